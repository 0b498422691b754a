"""The verbs of training, run in this process."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from detector.cli.training import TrainingBar
from detector.training.history import read_history

QUICK = ("--epochs", 2, "--batch", 8, "--learning-rate", 0.005, "--warm-up", 2, "--judge-every", 2)


def size(path):
    with Image.open(path) as image:
        return image.size


def test_figures_are_shown_only_by_a_bar():
    for quiet in (True, False):
        bar = TrainingBar([1, 2], quiet=quiet, total=2, unit="batch", desc="epoch 1/1")
        bar.set_postfix(refresh=False, loss="1.0")
        assert list(bar) == [1, 2]


def test_train_then_evaluate(yolo3, squares, squares_cfg, tmp_path):
    code, out, err = yolo3("train", squares, "--cfg", squares_cfg, "--out", tmp_path / "run", *QUICK)

    assert code == 0, err
    assert "Best AP" in out
    assert "32 training pictures with 64 boxes of 2 classes" in err
    for name in ("best.h5", "last.h5", "log.csv", "checkpoint.npz"):
        assert (tmp_path / "run" / name).is_file()
    assert size(tmp_path / "run" / "log.png")[0] > 500
    assert size(tmp_path / "run" / "examples.jpg") == (1600, 900)

    best, last = tmp_path / "run" / "best.h5", tmp_path / "run" / "last.h5"
    code, out, err = yolo3(
        "evaluate", squares, "--model", best, "--model", last, "--out", tmp_path / "e", "--json", tmp_path / "e.json"
    )

    assert code == 0, err
    assert out.startswith("16 pictures\n")
    assert "AP50" in out
    figures = json.loads((tmp_path / "e.json").read_text())["models"][str(best)]
    assert set(figures) == {"ap", "ap50", "ap75", "small", "medium", "large", "classes"}
    assert set(figures["classes"]["red"]) == {"ap", "ap50", "boxes", "best"}
    assert (tmp_path / "e" / "precision.png").is_file()
    assert (tmp_path / "e" / "best" / "confusion.png").is_file()
    worst = list((tmp_path / "e" / "best").glob("worst-1-*.jpg"))
    assert size(worst[0]) == (128, 64)


def test_a_model_to_start_from_gives_the_network(yolo3, squares, squares_cfg, tmp_path):
    yolo3("train", squares, "--cfg", squares_cfg, "--out", tmp_path / "one", *QUICK)
    (tmp_path / "three.names").write_text("red\nblue\ngreen\n")
    data = tmp_path / "three.data"
    data.write_text(f"train={squares.parent / 'train.txt'}\nnames={tmp_path / 'three.names'}\n")

    code, _, err = yolo3("train", data, "--start", tmp_path / "one" / "best.h5", "--out", tmp_path / "two", *QUICK)

    assert code == 0, err
    assert "the heads are changed to 3 classes" in err
    assert "3 of 4 layers; initialised at random: 3" in err


def test_a_bare_resume_continues_with_the_options_it_began_with(yolo3, squares, squares_cfg, tmp_path, monkeypatch):
    monkeypatch.chdir(squares.parent)
    yolo3("train", squares.name, "--cfg", squares_cfg, "--out", tmp_path / "run", *QUICK)
    monkeypatch.chdir(tmp_path)

    code, _, err = yolo3("train", "--resume", "--out", "run", "--epochs", 4)

    assert code == 0, err
    assert "resumes after epoch 2" in err
    assert [row.epoch for row in read_history(tmp_path / "run" / "log.csv", epochs=9)] == [1, 2, 3, 4]
    code, _, err = yolo3("train", "--resume", "--out", "run", "--batch", 4)
    assert code == 2
    assert "another batch" in err
    code, _, err = yolo3("train", squares, "--cfg", squares_cfg, "--out", "run", "--start", "run/best.h5")
    assert code == 2
    assert "holds checkpoint.npz, best.h5" in err


def test_weights_pasted_objects_and_tensorboard_are_remembered_by_a_bare_resume(
    yolo3, squares, squares_cfg, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "weights.txt"
    weights.write_text("blue = 3\n")
    augmented = ["--class-weights", weights.name, "--label-smoothing", 0.1, "--copy-paste", 0.5, "--mosaic", 0.5]

    code, _, err = yolo3(
        "train", squares, "--cfg", squares_cfg, "--out", "run", "--tensorboard", "board", *augmented, *QUICK
    )

    assert code == 0, err
    assert "class weights from 1.00 (red) to 3.00 (blue)" in err
    weights.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = yolo3("train", "--resume", "--out", "../run", "--epochs", 3)
    assert code == 0, err
    assert len(list((tmp_path / "board").iterdir())) == 2
    code, _, err = yolo3("train", "--resume", "--out", "../run", "--class-weights", "auto")
    assert code == 2
    assert "another class_weights" in err


def test_figures_are_not_written_over_a_file(yolo3, squares, colour_model, tmp_path):
    (tmp_path / "e.json").write_text("mine")
    options = ["evaluate", squares, "--model", colour_model, "--json", tmp_path / "e.json", "--quiet"]

    code, _, err = yolo3(*options)
    assert code == 2
    assert "--overwrite" in err
    assert (tmp_path / "e.json").read_text() == "mine"
    code, _, err = yolo3("evaluate", squares, "--model", colour_model, "--json", squares, "--overwrite")
    assert code == 2
    assert "is the input" in err
    code, _, err = yolo3(*options, "--overwrite")
    assert code == 0, err
    assert "models" in json.loads((tmp_path / "e.json").read_text())


def test_anchors_for_a_network_take_its_input(yolo3, squares, squares_cfg):
    squares_cfg.write_text(squares_cfg.read_text().replace("num=2", "num=2\niou_loss=ciou"))

    code, out, err = yolo3("anchors", squares, "--cfg", squares_cfg)
    _, larger, named = yolo3("anchors", squares, "--cfg", squares_cfg, "--size", 128)

    assert code == 0
    assert out.startswith("num=2\nanchors=1")
    assert "for an input of 64x64, stretch" in err
    assert "for an input of 128x128, stretch" in named
    assert larger != out


def test_json_goes_to_standard_output_alone(yolo3, squares, squares_cfg, tmp_path):
    yolo3("train", squares, "--cfg", squares_cfg, "--out", tmp_path / "run", *QUICK)

    _, out, _ = yolo3("evaluate", squares, "--model", tmp_path / "run" / "best.h5", "--json", "-")

    assert "models" in json.loads(out)


def test_anchors(yolo3, squares):
    code, out, err = yolo3("anchors", squares, "--count", 3, "--size", 64)

    assert code == 0
    assert out.startswith("num=3\nanchors=1")
    assert "mean IoU of 64 boxes" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["train", "gone.data", "--cfg", "CFG"], "gone.data: no such file", id="no data"),
        pytest.param(["train", "DATA"], "give --cfg", id="no network"),
        pytest.param(["train", "--cfg", "CFG"], "no DATA", id="no data named"),
        pytest.param(["train", "--resume", "--out", "gone"], "no checkpoint.npz to resume from", id="no run"),
        pytest.param(["train", "DATA", "--cfg", "gone.cfg"], "gone.cfg: no such file", id="no cfg"),
        pytest.param(["train", "DATA", "--cfg", "CFG", "--epochs", "0"], "epochs 0 is out of range", id="no epochs"),
        pytest.param(
            ["train", "DATA", "--cfg", "CFG", "--class-weights", "gone.txt"], "gone.txt: no such", id="weights"
        ),
        pytest.param(["train", "DATA", "--cfg", "CFG", "--tensorboard", "CFG"], "squares.cfg", id="tensorboard"),
        pytest.param(["train", "DATA", "--cfg", "CFG", "--start", "gone.weights"], "no such file", id="no weights"),
        pytest.param(["evaluate", "DATA", "--model", "gone.h5"], "gone.h5: no such file", id="no model"),
        pytest.param(["anchors", "DATA", "--size", "big"], "size 'big'", id="no size"),
    ],
)
def test_a_mistake_is_one_line(yolo3, squares, squares_cfg, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    filled = [{"DATA": squares, "CFG": squares_cfg}.get(word, word) for word in arguments]

    code, out, err = yolo3(*filled, "--quiet")

    assert code == 2
    assert out == ""
    assert words in err


def test_a_cfg_of_other_classes_is_named_with_its_line(yolo3, squares, squares_cfg, tmp_path):
    squares_cfg.write_text(
        squares_cfg.read_text().replace("classes=2", "classes=3").replace("filters=14", "filters=16")
    )

    code, _, err = yolo3("train", squares, "--cfg", squares_cfg, "--out", tmp_path / "run", "--quiet")

    assert code == 2
    assert "line 42: [yolo] has classes=3; the dataset has 2" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_and_ends_the_same(yolo3, squares, squares_cfg, tmp_path):
    options = ["--cfg", squares_cfg, "--epochs", 12, "--batch", 8, "--warm-up", 4, "--judge-every", 12, "--quiet"]
    yolo3("train", squares, *options, "--out", tmp_path / "whole")

    broken = tmp_path / "broken"
    command = [
        sys.executable,
        "-c",
        "from detector.__main__ import main; main()",
        "train",
        squares,
        *options,
        "--out",
        broken,
    ]
    process = subprocess.Popen(list(map(str, command)), cwd=Path(__file__).parents[3])
    while not (broken / "checkpoint.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    code, _, err = yolo3("train", squares, *options, "--out", broken, "--resume")

    assert code == 0, err
    whole, resumed = (
        [row.loss for row in read_history(folder / "log.csv", epochs=12)] for folder in (tmp_path / "whole", broken)
    )
    assert len(resumed) == 12
    assert resumed == pytest.approx(whole, rel=0.02)
