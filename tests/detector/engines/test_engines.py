import itertools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from convert import convert
from convert.opened_model import OpenedModel
from detector import Detector
from detector.engines.base import one_by_one
from detector.engines.opening import PACKAGES, open_engine
from detector.errors import EngineError
from detector.heads.boxes import iou

NETWORKS = ["yolo-fastest-1.1-xl", "MobileNetV2-YOLOv3-Nano-coco", "yoloface-50k", "yolov3-tiny-grocery"]
COMPILED = ["litert", "onnxruntime", "openvino"]
QUICK = {
    ("yoloface-50k", "litert"),
    ("yoloface-50k", "onnxruntime"),
    ("MobileNetV2-YOLOv3-Nano-coco", "openvino"),
    ("yolov3-tiny-grocery", "openvino"),
}
"""Networks that are compiled in each run of the tests; the others take too long."""


def need(engine):
    pytest.importorskip(PACKAGES[engine])
    if engine == "onnxruntime":
        pytest.importorskip("tf2onnx")


@pytest.fixture(scope="module")
def real_model(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")

    def real_model(network):
        path = folder / f"{network}.h5"
        if not path.exists():
            source = shared / "assets" / "weights" / network
            convert(f"{source}.cfg", f"{source}.weights", path)
        return path

    return real_model


def _with_ties_by_class(found):
    """Best first; boxes whose confidences differ only in rounding may come in either order."""
    return found[np.lexsort((found.class_id, -found.confidence.round(4)))]


@pytest.mark.parametrize(
    ("network", "engine"),
    [
        pytest.param(*both, marks=[] if both in QUICK else pytest.mark.slow)
        for both in itertools.product(NETWORKS, COMPILED)
    ],
)
def test_every_engine_detects_the_same_boxes_as_keras(shared, real_model, network, engine):
    need(engine)
    model = real_model(network)
    reference, other = (Detector.open(model, engine=name, confidence=0.1) for name in ("keras", engine))
    boxes = 0
    for path in sorted((shared / "assets" / "images").glob("*.jpg")):
        expected, found = (_with_ties_by_class(detector.detect(path)) for detector in (reference, other))
        assert found.class_id.tolist() == expected.class_id.tolist(), path
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=0.01)
        assert np.all(iou(found.xyxy, expected.xyxy) >= 0.99)
        boxes += len(found)
    assert boxes


@pytest.mark.parametrize("engine", COMPILED)
def test_one_compiled_network_accepts_every_size_and_batch(real_model, engine):
    need(engine)
    model = real_model("yolov3-tiny-grocery")
    opened = OpenedModel.read(model)
    reference, other = open_engine("keras", opened), open_engine(engine, opened, threads=1)
    random = np.random.default_rng(3)
    for shape in [(1, 320, 320, 3), (1, 192, 320, 3), (3, 96, 64, 3), (1, 416, 416, 3), (1, 320, 320, 3)]:
        batch = random.uniform(0, 1, shape).astype(np.float32)
        for found, expected in zip(other.run(batch), reference.run(batch), strict=True):
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("engine", COMPILED)
def test_heads_outlive_the_next_picture(colour_model, engine):
    need(engine)
    engine = open_engine(engine, OpenedModel.read(colour_model))
    first = engine.run(np.ones((1, 96, 96, 3), np.float32))
    kept = [head.copy() for head in first]
    engine.run(np.zeros((1, 96, 96, 3), np.float32))

    for head, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(head, copy)


def test_a_batch_goes_one_by_one():
    seen = []

    def run(picture):
        seen.append(picture.shape)
        return [picture * 2, picture[:, :1]]

    batch = np.arange(12, dtype=np.float32).reshape(3, 2, 2, 1)
    double, top = one_by_one(run, batch)

    assert seen == [(1, 2, 2, 1)] * 3
    np.testing.assert_array_equal(double, batch * 2)
    np.testing.assert_array_equal(top, batch[:, :1])


def test_auto_picks_litert_and_says_why(colour_model):
    notes = []

    assert open_engine("auto", OpenedModel.read(colour_model), on_note=notes.append).name == "litert"
    assert notes[-1].startswith("engine: litert (")


def test_auto_falls_back_to_keras_where_litert_is_missing(colour_model, monkeypatch):
    monkeypatch.setitem(PACKAGES, "litert", "a_module_that_is_not_there")
    notes = []

    assert open_engine("auto", OpenedModel.read(colour_model), on_note=notes.append).name == "keras"
    assert "not installed" in notes[-1]


def test_an_engine_that_is_not_installed_is_named(colour_model, monkeypatch):
    monkeypatch.setitem(PACKAGES, "openvino", "a_module_that_is_not_there")

    with pytest.raises(EngineError, match=r"openvino is not installed; pip install -e '.\[openvino\]'"):
        open_engine("openvino", OpenedModel.read(colour_model))


def test_detection_through_litert_imports_neither_tensorflow_nor_keras(colour_model, flag):
    Detector.open(colour_model, engine="litert")  # compiled and kept now
    program = """
import json, sys
import numpy as np
from detector import Detector
picture = np.array(json.loads(sys.stdin.read()), np.uint8)
found = Detector.open(sys.argv[1], engine="litert").detect(picture)
print(len(found), [name for name in ("tensorflow", "keras") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", program, colour_model],
        input=json.dumps(flag.tolist()),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )

    assert run.stdout.strip() == "2 []"
    assert run.stderr == ""


def test_workers_run_separate_pictures(colour_model):
    model = colour_model
    opened = OpenedModel.read(model)
    one, several = open_engine("litert", opened, threads=1), open_engine("litert", opened, threads=4, workers=3)
    pictures = [
        np.random.default_rng(seed).uniform(0, 1, (1, 96, 96 + 32 * (seed % 3), 3)).astype(np.float32)
        for seed in range(12)
    ]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(several.run, pictures))
    for picture, heads in zip(pictures, found, strict=True):
        for expected, head in zip(one.run(picture), heads, strict=True):
            np.testing.assert_allclose(head, expected, rtol=1e-4, atol=1e-5)
