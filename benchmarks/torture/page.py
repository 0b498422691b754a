"""docs/reliability.md, written from a campaign."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import machine, put, table
from benchmarks.torture.bombs import CEILINGS_MB
from benchmarks.torture.campaign import Tallies
from benchmarks.torture.outcomes import Tally
from convert.text import printable

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

_WHAT = {
    "damaged input": "Inputs after an accident with their bytes or their structure, each read in every way in which "
    "yolo3 reads it. It must end in success or in one of the project's own errors, within 10 s of computing.",
    "killed": "SIGKILL at a random moment. Afterwards every file under a final name is whole, no process goes on, the "
    "user's other files and all inputs are unchanged, earlier outputs are there (every other run has some and replaces "
    "them), and continuing or starting over ends well and leaves nothing behind.",
    "disk": "The disk is full, or cannot be written to, from a random write call of the run on "
    "(`benchmarks/torture/full_disk.c`). The same is checked, and that the run ends with a message.",
    "surroundings": "Standard streams closed, 8 to 40 file descriptors, the working folder deleted, output read by "
    "`head -1`, the C locale, names with newlines, escapes, surrogates and 255 bytes; all without a terminal.",
    "four at once": "Four processes at the same time.",
    "privacy": "A textured object whose log lacks lines, its end, or its boxes for 0.4 s, hidden by `redraw --blur`. "
    "In no frame may it correlate with the original by more than 0.5; where lines are missing, the exit code is 1.",
    "resource bomb": "Files of less than 1 MB that ask for much, read under a limit of 4 GB of address space.",
}


def write_page(tallies: Tallies, *, seed: int) -> None:
    """Replace the campaign's section of the page."""
    parts = [
        f"Written by `scripts/torture --seed {seed} --write` on {time.strftime('%Y-%m-%d')}; {machine()}",
        _totals(tallies),
    ]
    for attack in dict.fromkeys(name for name, _ in tallies):
        kinds = {kind: tally for (name, kind), tally in tallies.items() if name == attack}
        done, asked = sum(tally.done for tally in kinds.values()), sum(tally.asked for tally in kinds.values())
        fewer = "" if done == asked else f" {done} of the {asked} cases of a whole campaign were run."
        rows = [_row(kind, tally) for kind, tally in kinds.items()]
        head = ("kind", "cases", "of", "endings", "slowest", "peak memory", "failed")
        parts.append(f"### {attack.capitalize()}\n\n{_WHAT[attack]}{fewer}\n\n{table(head, rows)}")
    failures = [line for tally in tallies.values() for line in tally.bad]
    if failures:
        parts.append("### Failures\n\n" + "\n".join(map(_failure, failures)))
    put("campaign", "\n\n".join(parts), page=PAGE)
    ceilings = [(kind, f"{size} MB") for kind, size in CEILINGS_MB.items()]
    put("ceilings", table(("input below 1 MB", "peak memory at most"), ceilings), page=PAGE)


def _totals(tallies: Tallies) -> str:
    endings: Counter[str] = Counter()
    for tally in tallies.values():
        endings.update(tally.endings)
    bad, asked = endings["BAD"], sum(tally.asked for tally in tallies.values())
    return f"{endings.total()} of the {asked} cases of a whole campaign were run; {bad or 'none'} of them failed."


def _failure(line: str) -> str:
    """A failure in a line: its case, and the last line of what was wrong."""
    case, what = ":".join(line.split(":")[:3]), line.strip().split("\n")[-1]
    text = what if what.startswith(case) else f"{case}: {what}"
    return f"- `{printable(text[:200]).replace('`', chr(39))}`"


def _row(kind: str, tally: Tally) -> Sequence[object]:
    endings = ", ".join(f"{name} {count}" for name, count in tally.endings.most_common() if name != "BAD")
    slowest = f"{tally.slowest:.1f} s" if tally.slowest else "-"
    peak = f"{tally.peak_bytes >> 20} MB" if tally.peak_bytes else "-"
    return kind.replace("|", "\\|"), tally.done, tally.asked, endings, slowest, peak, len(tally.bad)
