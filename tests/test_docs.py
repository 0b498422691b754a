"""The documentation names what exists: the modules of the API pages, and the files that pages link to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MODULES = [module for page in PAGES for module in re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.MULTILINE)]


@pytest.mark.parametrize("module", MODULES)
def test_module_of_an_api_page(module):
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert page.read_text("utf-8").startswith("# ")
