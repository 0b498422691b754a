"""Two scripts as users write them run, and type checkers understand them in strict mode."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

SCRIPTS = Path(__file__).parent / "users"


def run(*command, cwd=None):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_types(python, folder):
    """Run mypy and pyright in strict mode on copies of the scripts, with the packages that `python` finds."""
    for script in SCRIPTS.glob("*.py"):
        shutil.copy(script, folder)
    (folder / "mypy.ini").write_text("[mypy]\n")
    run(sys.executable, "-m", "mypy", "--strict", "--python-executable", python, *folder.glob("*.py"), cwd=folder)
    pyright = shutil.which("pyright")
    if pyright is None:
        pytest.skip("mypy passes; pyright is not installed (npm install --global pyright)")
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "include": ["."]}))
    run(pyright, "--pythonpath", python, cwd=folder)


@pytest.mark.slow
def test_opencv_and_supervision(colour_model, colour_clip, tmp_path):
    table = tmp_path / "boxes.csv"
    said = run(sys.executable, SCRIPTS / "opencv_supervision.py", colour_model, colour_clip, table)
    assert said.startswith("9 frames, ")
    rows = pd.read_csv(table)
    assert list(rows["frame"]) == list(range(9)) and set(rows["class_name"]) == {"red"}


def test_pandas(colour_model, flag, tmp_path):
    for name in ("a b.png", "c.png"):
        Image.fromarray(flag).save(tmp_path / name)
    said = run(sys.executable, SCRIPTS / "pandas_table.py", colour_model, tmp_path, tmp_path / "table.csv")
    assert said.splitlines() == ["blue 2", "red 2"]
    assert sorted(set(pd.read_csv(tmp_path / "table.csv")["picture"])) == ["a b.png", "c.png"]


@pytest.mark.slow
def test_type_checkers_understand_the_editable_install(tmp_path):
    check_types(sys.executable, tmp_path)
