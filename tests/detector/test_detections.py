"""Detections as parallel arrays, and in the forms of other libraries."""

import json

import numpy as np
import pytest

from detector.detections import Detections

NAMES = ("dog", "Vögelchen")


@pytest.fixture
def found():
    return Detections(
        np.array([[0, 0, 10, 10], [5, 5, 20, 30], [1, 2, 3, 4]], np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([0, 1, 0]),
        NAMES,
        tracker_id=np.array([7, -1, 8]),
    )


@pytest.mark.parametrize(
    ("chosen", "confidences"),
    [
        (0, [0.9]),
        (-1, [0.7]),
        (-3, [0.9]),
        (np.int64(1), [0.8]),
        (slice(1, None), [0.8, 0.7]),
        ([2, 0], [0.7, 0.9]),
        ([True, False, True], [0.9, 0.7]),
        (np.array([False, True, False]), [0.8]),
        ([], []),
    ],
)
def test_indexing(found, chosen, confidences):
    part = found[chosen]

    assert isinstance(part, Detections)
    assert part.confidence.tolist() == pytest.approx(confidences)
    assert len(part.xyxy) == len(part.class_id) == len(part.tracker_id) == len(confidences)


@pytest.mark.parametrize("index", [3, -4, 99])
def test_an_index_out_of_range(found, index):
    with pytest.raises(IndexError, match="3 boxes"):
        found[index]


def test_a_loop_over_all_boxes_ends(found):
    assert [name for *_, name in found] == ["dog", "Vögelchen", "dog"]
    assert found.class_names == ["dog", "Vögelchen", "dog"]
    assert Detections.empty(NAMES).class_names == []


def test_json(found):
    records = json.loads(found.to_json())

    assert records[0] == {"class_id": 0, "name": "dog", "confidence": 0.9, "box": [0, 0, 10, 10], "track": 7}
    assert "track" not in records[1]
    assert "Vögelchen" in found.to_json()


def test_data_frame(found):
    pytest.importorskip("pandas")
    frame = found.to_dataframe()

    assert frame.columns.tolist() == ["xmin", "ymin", "xmax", "ymax", "confidence", "class_id", "name", "tracker_id"]
    assert frame.loc[frame["name"] == "dog", "xmax"].tolist() == [10, 3]
    assert len(Detections.empty(NAMES).to_dataframe()) == 0


def test_supervision(found):
    supervision = pytest.importorskip("supervision")
    converted = found.to_supervision()

    assert isinstance(converted, supervision.Detections)
    assert converted["class_name"].tolist() == ["dog", "Vögelchen", "dog"]
    assert converted[converted.class_id == 1].xyxy.tolist() == [[5, 5, 20, 30]]
    assert len(Detections.empty(NAMES).to_supervision()) == 0


def test_parts_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="equal lengths, not 1, 0, 1"):
        Detections(np.zeros((1, 4), np.float32), np.zeros(0, np.float32), np.zeros(1, np.int64), NAMES)
    with pytest.raises(ValueError, match="tracker_id"):
        Detections(
            np.zeros((1, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int64), NAMES, np.zeros(2, np.int64)
        )
