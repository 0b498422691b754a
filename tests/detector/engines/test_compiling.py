from pathlib import Path

import numpy as np
import pytest

from convert.opened_model import OpenedModel
from detector.engines.compiling import export
from detector.engines.litert import LitertEngine
from detector.engines.opening import open_engine
from detector.errors import EngineError, OutputError, WriteError

PICTURE = np.random.default_rng(2).uniform(0, 1, (1, 64, 96, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("precision", "tolerance", "smaller"), [("float32", 1e-3, 1), ("float16", 0.05, 1.5), ("int8", 1.0, 2)]
)
def test_an_exported_network_runs_alone(colour_model, tmp_path, precision, tolerance, smaller):
    export(colour_model, tmp_path / "net.tflite", to="litert", precision=precision)

    (found,) = LitertEngine(tmp_path / "net.tflite", threads=1).run(PICTURE)
    (expected,) = open_engine("keras", OpenedModel.read(colour_model)).run(PICTURE)

    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert list(tmp_path.iterdir()) == [tmp_path / "net.tflite"]
    assert (tmp_path / "net.tflite").stat().st_size * smaller < 130_000


def test_an_exported_saved_model_is_tensorflows_own(colour_model, tmp_path):
    export(colour_model, tmp_path / "net", to="savedmodel")
    import tensorflow as tf

    loaded = tf.saved_model.load(str(tmp_path / "net"))
    found = loaded.serve(PICTURE)
    (expected,) = open_engine("keras", OpenedModel.read(colour_model)).run(PICTURE)

    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_an_exported_openvino_network_runs_alone(colour_model, tmp_path):
    openvino = pytest.importorskip("openvino")
    export(colour_model, tmp_path / "net.xml", to="openvino")

    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    found = openvino.Core().compile_model(tmp_path / "net.xml", "CPU", exact)([PICTURE])[0]
    (expected,) = open_engine("keras", OpenedModel.read(colour_model)).run(PICTURE)

    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.bin", "net.xml"]


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("taken.tflite", {"to": "litert"}, OutputError, "exists already"),
        ("net.bin", {"to": "openvino"}, OutputError, "ends in .xml"),
        ("net.onnx", {"to": "onnx", "precision": "int8"}, EngineError, "not written in int8"),
    ],
)
def test_impossible_outputs_are_refused_before_any_work(colour_model, tmp_path, name, options, error, message):
    (tmp_path / "taken.tflite").write_text("mine")

    with pytest.raises(error, match=message):
        export(colour_model, tmp_path / name, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.tflite"]


def test_an_output_that_is_there_is_replaced_on_demand(colour_model, tmp_path):
    (tmp_path / "taken.tflite").write_text("mine")
    export(colour_model, tmp_path / "taken.tflite", to="litert", overwrite=True)

    assert (tmp_path / "taken.tflite").read_bytes()[4:8] == b"TFL3"


def test_a_folder_that_is_no_saved_model_is_never_replaced(colour_model, tmp_path):
    thesis = tmp_path / "thesis"
    (thesis / "variables").mkdir(parents=True)
    (thesis / "chapter1.tex").write_text("years of work")
    for name in ("thesis", "thesis/variables"):
        (tmp_path / name / "saved_model.pb").write_text("")
        (tmp_path / name / "notes.txt").write_text("mine")
        with pytest.raises(OutputError, match=r"would be lost; name a new folder"):
            export(colour_model, tmp_path / name, to="savedmodel", overwrite=True)
    assert (thesis / "chapter1.tex").read_text() == "years of work"


def test_a_saved_model_is_replaced_on_demand_and_an_empty_folder_filled(colour_model, tmp_path):
    (tmp_path / "net").mkdir()
    export(colour_model, tmp_path / "net", to="savedmodel")
    with pytest.raises(OutputError, match="--overwrite"):
        export(colour_model, tmp_path / "net", to="savedmodel")
    before = (tmp_path / "net" / "saved_model.pb").stat().st_ino
    export(colour_model, tmp_path / "net", to="savedmodel", overwrite=True)

    assert (tmp_path / "net" / "saved_model.pb").stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


@pytest.mark.parametrize("to", ["litert", "savedmodel"])
def test_the_model_itself_is_never_the_output(colour_model, tmp_path, to):
    model = tmp_path / "net.h5"
    model.write_bytes(colour_model.read_bytes())
    (tmp_path / "link.tflite").symlink_to(model)

    for out in (model, tmp_path / "link.tflite"):
        with pytest.raises(OutputError):
            export(model, out, to=to, overwrite=True)
    assert model.read_bytes() == colour_model.read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_device_is_written_to_and_stays_a_device(colour_model, tmp_path):
    (tmp_path / "out.tflite").symlink_to("/dev/full")

    with pytest.raises(WriteError, match=r"out\.tflite: could not be written"):
        export(colour_model, tmp_path / "out.tflite", to="litert", overwrite=True)
    assert (tmp_path / "out.tflite").is_symlink()
