import numpy as np
import pytest

from detector.datasets.dataset import read_dataset
from detector.detections import Detections
from detector.errors import SettingsError
from detector.evaluation.average_precision import score
from detector.evaluation.operating_points import OperatingPoint
from detector.evaluation.report import (
    EvaluationReport,
    evaluate_models,
    model_labels,
    table,
    translated,
    translation,
)
from detector.evaluation.settings import EvaluationSettings
from tests.detector.evaluation.boxes import BOX, FAR, NAMES, found, truth


def test_classes_are_matched_by_name():
    ids = translation(("dog", "bird", "cat"), NAMES, "m.h5")
    boxes = Detections(
        np.array([BOX, FAR, BOX], np.float32), np.ones(3, np.float32), np.array([0, 1, 2]), ("dog", "bird", "cat")
    )

    assert ids.tolist() == [1, -1, 0]
    assert translated(boxes, ids, NAMES).class_id.tolist() == [1, 0]


def test_numbered_classes_are_matched_by_id():
    assert translation(("class 0", "class 1"), NAMES, "m.h5").tolist() == [0, 1]
    with pytest.raises(SettingsError, match="none of its classes"):
        translation(("class 0", "class 1", "class 2"), NAMES, "m.h5")


def test_the_table_compares_models():
    one = score([truth((0, BOX))], [found((0, BOX, 0.9))], NAMES)
    two = score([truth((0, BOX))], [found()], NAMES)

    lines = table(EvaluationReport({"a.h5": one, "b.h5": two}, {}, ())).splitlines()

    assert lines[0].split() == ["model", "AP", "AP50", "AP75", "small", "medium", "large"]
    assert lines[1].split() == ["a.h5", "1.000", "1.000", "1.000", "-", "1.000", "-"]
    assert lines[-1].split() == ["cat", "1", "1.000", "1.000", "0.000", "0.000"]


def test_the_table_of_one_model_says_where_f1_is_highest():
    one = score([truth((0, BOX))], [found((0, BOX, 0.9))], NAMES)
    points = {"a.h5": [OperatingPoint(0.9, 1.0, 0.5, 2 / 3), None]}

    lines = table(EvaluationReport({"a.h5": one}, points, ())).splitlines()

    assert lines[-2].split() == ["class", "boxes", "AP", "AP50", "precision", "recall", "F1", "at", "confidence"]
    assert lines[-1].split() == ["cat", "1", "1.000", "1.000", "1.000", "0.500", "0.667", "0.900"]


@pytest.mark.parametrize(
    ("models", "labels"),
    [
        (["/a/best.h5"], ["best.h5"]),
        (["/a/best.h5", "/a/last.h5"], ["best.h5", "last.h5"]),
        (["/a/best.h5", "/b/best.h5"], ["a/best.h5", "b/best.h5"]),
        (["/a/run/best.h5", "/b/run/best.h5"], ["a/run/best.h5", "b/run/best.h5"]),
        (["/a/best.h5", "/a/../a/best.h5"], ["best.h5", "best.h5"]),
    ],
)
def test_models_with_the_same_name_have_different_labels(models, labels):
    assert list(model_labels(models).values()) == labels


def test_two_models_with_the_same_name_have_separate_folders(colour_model, squares, tmp_path):
    copies = [tmp_path / name / "best.h5" for name in ("one", "two")]
    for copy in copies:
        copy.parent.mkdir()
        copy.write_bytes(colour_model.read_bytes())

    report = evaluate_models(read_dataset(squares), copies, EvaluationSettings(), out=tmp_path / "e")

    assert list(report.scores) == list(map(str, copies))
    assert "one/best.h5" in table(report)
    assert (tmp_path / "e" / "one-best" / "confusion.png").is_file()
    assert (tmp_path / "e" / "two-best" / "confusion.png").is_file()
    assert set(report.as_json()["models"][str(copies[0])]["classes"]["red"]) == {"ap", "ap50", "boxes", "best"}
