import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.heads.boxes import iou, to_edges
from detector.heads.nms import suppress


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param((0, 0, 2, 2), (0, 0, 2, 2), 1.0, id="the same"),
        pytest.param((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3, id="half over"),
        pytest.param((0, 0, 4, 4), (1, 1, 2, 2), 1 / 16, id="inside"),
        pytest.param((0, 0, 1, 1), (1, 0, 2, 1), 0.0, id="touching"),
        pytest.param((0, 0, 1, 1), (5, 5, 6, 6), 0.0, id="apart"),
        pytest.param((1, 1, 1, 1), (1, 1, 1, 1), 0.0, id="both without area"),
    ],
)
def test_iou(one, other, expected):
    np.testing.assert_allclose(iou(boxes(one), boxes(other)), [expected], rtol=1e-6)


def test_the_better_of_two_overlapping_boxes_stays():
    kept = suppress(
        boxes((0.5, 0.5, 0.4, 0.4), (0.52, 0.5, 0.4, 0.4)), np.array([0.6, 0.9]), np.array([0, 0]), threshold=0.45
    )

    assert kept.tolist() == [1]


def test_another_class_does_not_count():
    kept = suppress(
        boxes((0.5, 0.5, 0.4, 0.4), (0.5, 0.5, 0.4, 0.4)), np.array([0.6, 0.9]), np.array([0, 1]), threshold=0.45
    )

    assert kept.tolist() == [1, 0]


def test_an_overlap_of_exactly_the_threshold_stays():
    # Two unit boxes half over each other: IoU is 1/3.
    pair = boxes((0.5, 0.5, 1, 1), (1.0, 0.5, 1, 1))
    threshold = float(iou(to_edges(pair)[:1], to_edges(pair)[1:])[0])

    assert len(suppress(pair, np.array([0.9, 0.8]), np.array([0, 0]), threshold=threshold)) == 2
    assert len(suppress(pair, np.array([0.9, 0.8]), np.array([0, 0]), threshold=threshold - 1e-6)) == 1


def test_a_suppressed_box_suppresses_nothing():
    chain = boxes((0.30, 0.5, 0.2, 0.2), (0.36, 0.5, 0.2, 0.2), (0.42, 0.5, 0.2, 0.2))

    kept = suppress(chain, np.array([0.9, 0.8, 0.7]), np.zeros(3, int), threshold=0.45)

    assert kept.tolist() == [0, 2]


def test_equal_scores_keep_their_order():
    same = boxes(*[(0.5, 0.5, 0.4, 0.4)] * 3, (0.1, 0.1, 0.1, 0.1))

    assert suppress(same, np.full(4, 0.5), np.zeros(4, int), threshold=0.45).tolist() == [0, 3]


def test_no_boxes_at_all():
    assert suppress(boxes(), np.zeros(0), np.zeros(0, int), threshold=0.45).tolist() == []


@pytest.mark.parametrize(
    ("kind", "beta", "count"),
    [("default", 0.6, 1), ("greedynms", 0.1, 2), ("diounms", 0.6, 2), ("diounms", 9.0, 1)],
)
def test_the_distance_of_centres_keeps_a_box(kind, beta, count):
    # IoU is 0.4625, distance² / diagonal² is 0.0455: to the power of 0.6 that is 0.157.
    pair = boxes((0.3, 0.3, 0.4, 0.2), (0.3 + 0.147, 0.3, 0.4, 0.2))

    kept = suppress(pair, np.array([0.9, 0.8]), np.zeros(2, int), threshold=0.45, kind=kind, beta=beta)

    assert len(kept) == count


unit = st.floats(0, 1, width=32)
size = st.floats(0.0078125, 0.5, width=32)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(unit, unit, size, size, st.sampled_from([0.3, 0.5, 0.7, 0.9]), st.integers(0, 2)), max_size=25),
    st.sampled_from(["default", "greedynms", "diounms"]),
)
def test_the_same_as_darknets_loops(rows, kind):
    xywh = boxes(*[row[:4] for row in rows])
    score = np.array([row[4] for row in rows])
    class_id = np.array([row[5] for row in rows], int)

    kept = suppress(xywh, score, class_id, threshold=0.45, kind=kind, beta=0.6)

    expected = _darknet_loops(xywh, score, class_id, 0.45, kind)
    if expected is not None:
        assert kept.tolist() == expected


def _darknet_loops(xywh, score, class_id, threshold, kind):
    """box.c's do_nms_sort and diounms_sort, pair by pair; None when a pair is too near the threshold to call."""
    alive = [True] * len(xywh)
    order = sorted(range(len(xywh)), key=lambda index: (-score[index], index))
    for position, i in enumerate(order):
        if not alive[i]:
            continue
        for j in order[position + 1 :]:
            if class_id[i] != class_id[j] or not alive[j]:
                continue
            overlap = _overlap(*map(float, xywh[i]), *map(float, xywh[j]), distance=kind != "default")
            if abs(overlap - threshold) < 1e-4:
                return None
            if overlap > threshold:
                alive[j] = False
    return [index for index in order if alive[index]]


def _overlap(ax, ay, aw, ah, bx, by, bw, bh, *, distance):
    wide = min(ax + aw / 2, bx + bw / 2) - max(ax - aw / 2, bx - bw / 2)
    high = min(ay + ah / 2, by + bh / 2) - max(ay - ah / 2, by - bh / 2)
    shared = wide * high if wide > 0 and high > 0 else 0
    overlap = shared / (aw * ah + bw * bh - shared)
    if distance:
        hull_w = max(ax + aw / 2, bx + bw / 2) - min(ax - aw / 2, bx - bw / 2)
        hull_h = max(ay + ah / 2, by + bh / 2) - min(ay - ah / 2, by - bh / 2)
        overlap -= (((ax - bx) ** 2 + (ay - by) ** 2) / (hull_w**2 + hull_h**2)) ** 0.6
    return overlap


def test_class_agnostic_suppression_ignores_classes():
    two = boxes((0.5, 0.5, 0.4, 0.4), (0.52, 0.5, 0.4, 0.4))
    score, class_id = np.array([0.6, 0.9]), np.array([0, 1])

    assert suppress(two, score, class_id, threshold=0.45).tolist() == [1, 0]
    assert suppress(two, score, class_id, threshold=0.45, class_agnostic=True).tolist() == [1]
