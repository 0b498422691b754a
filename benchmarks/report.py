"""Replace sections of pages in docs/ with new measurements; the rest of the page stays."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def put(section: str, text: str, *, page: Path = PAGE) -> None:
    """Replace the text between `<!-- section -->` and `<!-- /section -->`; add it at the end of a page without them."""
    content = page.read_text("utf-8") if page.exists() else "# How fast, and how good\n"
    first, last = f"<!-- {section} -->", f"<!-- /{section} -->"
    block = f"{first}\n{text.strip()}\n{last}"
    pattern = re.escape(first) + ".*?" + re.escape(last)
    if re.search(pattern, content, re.DOTALL):
        content = re.sub(pattern, lambda _: block, content, flags=re.DOTALL)
    else:
        content = f"{content.rstrip()}\n\n{block}\n"
    page.write_text(content, "utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the first column is left-aligned, the others right-aligned."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine() -> str:
    """Return the processor, its cores and its load, in a sentence."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = re.findall(r"^model name\s*:\s*(.*)$", cpuinfo.read_text(), re.MULTILINE)
        flags = " with AVX-512" if "avx512f" in cpuinfo.read_text() else ""
        model = (names or [model])[0] + flags
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return f"{model}, {os.cpu_count()} cores, load average {load} when this was written."
