"""The int8 network that OpenVINO reads elsewhere."""

import numpy as np
import pytest

from detector.detector import Detector
from detector.errors import EngineError, OutputError
from detector.pipeline.int8_export import export_int8

openvino = pytest.importorskip("openvino")


def test_the_network_that_was_compared_is_written(colour_model, pictures, made, tmp_path):
    notes = []
    out = tmp_path / "a b é.xml"
    assert export_int8(colour_model, out, calibrate=pictures, on_note=notes.append) == [out.with_suffix(".bin"), out]
    assert made == [48]
    assert "boxes agree by 1.00 on 48 pictures" in notes[-1]
    batch = np.random.default_rng(0).uniform(0, 1, (1, 96, 96, 3)).astype(np.float32)
    (found,) = openvino.Core().compile_model(out, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(batch).values()
    (expected,) = Detector.open(colour_model, engine="litert").engine.run(batch)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=0.05)


def test_nothing_is_written_where_it_cannot_be(colour_model, pictures, made, tmp_path):
    def refused(message, error=EngineError, out="out.xml", **options):
        with pytest.raises(error, match=message):
            export_int8(colour_model, tmp_path / out, **{"calibrate": pictures, **options})

    (tmp_path / "theirs.bin").write_bytes(b"mine")
    refused("exists already", OutputError, out="theirs.xml")
    assert (tmp_path / "theirs.bin").read_bytes() == b"mine"
    refused("ends in .xml", OutputError, out="out.onnx")
    refused("needs pictures to calibrate on", calibrate=None)
    refused("nowhere: no such file or folder", calibrate=tmp_path / "nowhere")
    few = [str(path) for path in sorted(pictures.iterdir())[:3]]
    refused("3 pictures are too few", calibrate=few)
    assert made == []
    assert not list(tmp_path.glob("out*"))
