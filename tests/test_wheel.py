"""The wheel, installed by itself and run from another folder."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from convert.cfg import parse_cfg
from convert.network import plan
from convert.weights import write_weights
from tests.test_user_scripts import check_types

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CFG = """
[net]
width=96
height=96
channels=3

[convolutional]
filters={filters}
size=32
stride=32
activation=linear

[yolo]
mask=0
anchors=32,32
num=1
classes={classes}
"""


def run(*command, cwd, **variables):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def yolo3(tmp_path_factory):
    """The command, in an environment that finds the dependencies here but the project only in its wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv" / "lib").glob("*/site-packages")
    run(*pip, "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    # The .pth files inside a folder that a .pth names are not read: the editable install stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def call(*arguments):
        return run(folder / "venv" / "bin" / "yolo3", *arguments, cwd=folder)

    call.folder, call.python = folder, python
    found = run(python, "-c", "import convert, detector; print(convert.__file__, detector.__file__)", cwd=folder)
    assert all(Path(path).is_relative_to(site) for path in found.split())
    return call


@pytest.fixture(
    scope="module", params=[(80, "person, bicycle, car"), (20, "aeroplane, bicycle, bird")], ids=["coco", "voc"]
)
def model(yolo3, request):
    """A network of random weights whose class names nobody gave."""
    classes, names = request.param
    cfg = yolo3.folder / f"{classes}.cfg"
    cfg.write_text(CFG.format(filters=5 + classes, classes=classes))
    shapes = [
        parameter.shape for layer in plan(parse_cfg(cfg.read_text(), cfg.name)).layers for parameter in layer.parameters
    ]
    dice = np.random.default_rng(1)
    with cfg.with_suffix(".weights").open("wb") as file:
        write_weights(file, [dice.normal(size=shape).astype(np.float32) for shape in shapes])
    yolo3("convert", cfg.name, f"{classes}.weights", f"{classes}.h5")
    assert names in yolo3("inspect", f"{classes}.h5")
    return f"{classes}.h5"


def test_image_and_video(yolo3, model, colour_clip, flag):
    from PIL import Image

    Image.fromarray(flag).save(yolo3.folder / "flag.png")
    options = ["--model", model, "--overwrite"]
    yolo3("image", "flag.png", *options, "--out", "out")
    yolo3("video", colour_clip, "out.mp4", *options, "--log", "out.jsonl")
    assert (yolo3.folder / "out" / "flag.png").stat().st_size > 0
    assert (yolo3.folder / "out.mp4").stat().st_size > 0
    assert len((yolo3.folder / "out.jsonl").read_text().splitlines()) == 11


def test_configs_come_along(yolo3):
    assert "street.cfg" in yolo3("inspect", ROOT / "model_data" / "street.weights")


def test_the_page_comes_along(yolo3):
    show = "from detector.service.app import PAGE; print(*sorted(path.name for path in PAGE.iterdir()))"
    assert {"app.js", "index.html", "style.css"} <= set(run(yolo3.python, "-c", show, cwd=yolo3.folder).split())


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"], ["serve", "--help"]])
def test_answers(yolo3, arguments):
    assert yolo3(*arguments)


def test_version(yolo3):
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] in yolo3("--version")


@pytest.mark.parametrize("package", ["convert", "detector"])
def test_types_are_announced(yolo3, package):
    code = f"import {package}, pathlib; print((pathlib.Path({package}.__file__).parent / 'py.typed').exists())"
    assert run(yolo3.python, "-c", code, cwd=yolo3.folder).strip() == "True"


def test_type_checkers_understand_the_wheel(yolo3, tmp_path):
    check_types(yolo3.python, tmp_path)
