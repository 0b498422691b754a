"""The rules of the house: which way imports go, how large modules and functions are, what docs/design.md lists."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    "convert detector.detections detector.errors detector.profiling",
    "detector.images detector.engines detector.heads detector.datasets",
    "detector.drawing detector.tiling detector.video detector.settings",
    "detector.detector detector.precision detector.picture_detections"
    " detector.logs detector.tracking detector.recognition",
    "detector.pipeline detector.evaluation",
    "detector.training detector.service detector.archive",
    "detector.cli",
    "detector detector.__main__ scripts benchmarks",
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
OF_ANY_SIZE = ("detector/cli/", "scripts/street/")
"""Where a function may be long: a command has an argument for each option, and a drawing is a list of shapes."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {
    module_name(path): path
    for package in ("convert", "detector", "scripts", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imported(module: str) -> set[str]:
    """The project's modules that a module imports, at its top or within a function, for types only or not."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: a relative import; write the module's full name"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else str(node.module) for name in names}
    return found & FILES.keys() - {module}


IMPORTS = {module: imported(module) for module in FILES}


def room(module: str) -> str:
    """A module's folder within its package, or the module itself where it lies in the package."""
    return ".".join(module.split(".")[:2])


def floor(module: str) -> int:
    return FLOOR[room(module) if room(module) in FLOOR else module.split(".")[0]]


def circle(graph: dict[str, set[str]]) -> str:
    """Return the members of an import circle; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def test_modules_import_in_no_circle():
    assert circle(IMPORTS) == ""


def test_rooms_import_in_no_circle():
    rooms: dict[str, set[str]] = {}
    for module, targets in IMPORTS.items():
        rooms.setdefault(room(module), set()).update(room(target) for target in targets)
    assert circle({one: others - {one} for one, others in rooms.items()}) == ""


@pytest.mark.parametrize("module", FILES)
def test_imports_go_down(module):
    assert module.split(".")[0] != "detector" or room(module) in FLOOR, f"give {room(module)} a floor in FLOORS"
    up = {target for target in IMPORTS[module] if floor(target) > floor(module)}
    assert not up
    assert module.split(".")[0] != "convert" or all(target.startswith("convert") for target in IMPORTS[module])


@pytest.mark.parametrize("module", FILES)
def test_size(module):
    text = FILES[module].read_text("utf-8")
    assert text.count("\n") <= 400
    if FILES[module].relative_to(ROOT).as_posix().startswith(OF_ANY_SIZE):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            parameters = sum(argument.arg not in ("self", "cls") for argument in arguments)
            assert lines <= 60, f"{node.name} has {lines} lines"
            assert parameters <= 8, f"{node.name} has {parameters} parameters"


def listed() -> set[str]:
    """The modules that docs/design.md lists under "The house": folders by indentation, names, descriptions."""
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    block = re.search(r"^## The house.*?^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block
    modules, folders = set(), [""]
    for line in block[1].splitlines():
        names, depth = re.split(r"\s{2,}", line.strip())[0], (len(line) - len(line.lstrip())) // 2
        for name in names.split(", "):
            if name.endswith("/"):
                folders[depth + 1 :] = [folders[depth] + name]
                modules.add(folders[-1])
            else:
                modules.add(folders[depth] + name)
    return modules


def test_design_lists_the_modules_that_exist():
    files = {path.relative_to(ROOT).as_posix() for path in FILES.values()}
    there = {path.rpartition("/")[0] + "/" for path in files} | {path for path in files if "__init__" not in path}

    assert sorted(name for name in listed() if not (ROOT / name).exists()) == []
    assert sorted(there - listed()) == []


def test_exported_names():
    import convert
    import detector

    assert convert.__all__ == ["Conversion", "Yolo3Error", "convert"]
    assert detector.__all__ == ["Classifier", "Detections", "Detector", "Settings", "Tiles", "Yolo3Error", "explain"]
    for package in (convert, detector):
        assert package.__all__ == sorted(package.__all__)
        assert all(hasattr(package, name) for name in package.__all__)
