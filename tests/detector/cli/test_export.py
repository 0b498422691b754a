"""The format of an export, determined by the name of its output."""

from pathlib import Path

import pytest

from detector.cli.export import _log_format, _model_format
from detector.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "log_format"),
    [
        (None, "csv"),
        ("-", "csv"),
        ("boxes.csv", "csv"),
        ("boxes.CSV", "csv"),
        ("boxes.parquet", "parquet"),
        ("in.coco.json", "coco"),
        ("in.darknet.json", "darknet"),
        ("in.labelstudio.json", "labelstudio"),
        ("in.mot.txt", "mot"),
        ("gt.txt", "mot"),
        ("in-labels", "yolo"),
        ("labels", "yolo"),
    ],
)
def test_the_name_of_an_exported_log_says_its_format(name, log_format):
    assert _log_format(None if name is None else Path(name)) == log_format


@pytest.mark.parametrize(
    ("name", "model_format"),
    [("net.tflite", "litert"), ("net.onnx", "onnx"), ("net.xml", "openvino"), ("net", "savedmodel")],
)
def test_the_name_of_an_exported_model_says_its_format(name, model_format):
    assert _model_format(Path(name)) == model_format


@pytest.mark.parametrize(
    ("find", "name", "words"),
    [
        (_log_format, "boxes.json", "--to with one of coco, darknet, labelstudio"),
        (_log_format, "boxes.xlsx", "--to with one of csv, coco"),
        (_model_format, "net.pb", r"expected \.tflite"),
    ],
)
def test_a_name_that_does_not_say_is_asked_about(find, name, words):
    with pytest.raises(SettingsError, match=words):
        find(Path(name))
