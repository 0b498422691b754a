"""Every kind of head against loops written from Darknet's C, on Darknet's own memory layout."""

import math

import numpy as np
import pytest

from convert.head import Head
from detector.heads.decode import decode
from detector.heads.yolo_v1_v2 import tree_probabilities

ROWS, COLUMNS, WIDTH, HEIGHT = 3, 5, 160, 96
ANCHORS = ((30.0, 20.0), (60.0, 90.0))
PARENTS = (-1, -1, -1, 0, 0, 2, 2, 2, 5, 5)
THRESHOLD = 0.3


def logistic(x):
    return 1 / (1 + math.exp(-x))


def softmax(values):
    largest = max(values)
    powers = [math.exp(value - largest) for value in values]
    return [power / sum(powers) for power in powers]


def planes(output, head):
    """NHWC as Darknet's memory: entry(anchor, number, cell)."""
    flat = output.reshape(ROWS, COLUMNS, len(head.anchors), -1).transpose(2, 3, 0, 1).ravel().tolist()
    per_box = len(flat) // (len(head.anchors) * ROWS * COLUMNS)
    return lambda anchor, number, cell: flat[(anchor * per_box + number) * ROWS * COLUMNS + cell]


def cells(head):
    for cell in range(ROWS * COLUMNS):
        for anchor in range(len(head.anchors)):
            yield cell, cell // COLUMNS, cell % COLUMNS, anchor


def slow_yolo(output, head):
    """get_yolo_box, get_yolo_detections (yolo_layer.c)."""
    entry = planes(output, head)
    own = (lambda x: x) if head.new_coords else logistic

    def stretch(value):
        return own(value) * head.scale_x_y - 0.5 * (head.scale_x_y - 1)

    for cell, row, column, n in cells(head):
        objectness = own(entry(n, 4, cell))
        if objectness <= THRESHOLD:
            continue
        x = (column + stretch(entry(n, 0, cell))) / COLUMNS
        y = (row + stretch(entry(n, 1, cell))) / ROWS
        w, h = entry(n, 2, cell), entry(n, 3, cell)
        w, h = (w * w * 4, h * h * 4) if head.new_coords else (math.exp(w), math.exp(h))
        for j in range(head.classes):
            score = objectness * own(entry(n, 5 + j, cell))
            if score > THRESHOLD:
                yield x, y, w * head.anchors[n][0] / WIDTH, h * head.anchors[n][1] / HEIGHT, score, j


def slow_gaussian(output, head):
    """forward_gaussian_yolo_layer, get_gaussian_yolo_box, get_gaussian_yolo_detections (gaussian_yolo_layer.c)."""
    entry = planes(output, head)

    def stretch(value):
        return logistic(value) * head.scale_x_y - 0.5 * (head.scale_x_y - 1)

    for cell, row, column, n in cells(head):
        objectness = logistic(entry(n, 8, cell))
        if objectness <= THRESHOLD:
            continue
        w = math.exp(entry(n, 4, cell)) * head.anchors[n][0] / WIDTH
        h = math.exp(entry(n, 6, cell)) * head.anchors[n][1] / HEIGHT
        x = (column + stretch(entry(n, 0, cell))) / COLUMNS
        y = (row + stretch(entry(n, 2, cell))) / ROWS
        if head.yolo_point == "left_top":
            x, y = x + w / 2, y + h / 2
        elif head.yolo_point == "right_bottom":
            x, y = x - w / 2, y - h / 2
        uncertainty = sum(logistic(entry(n, k, cell)) for k in (1, 3, 5, 7)) / 4
        for j in range(head.classes):
            score = objectness * logistic(entry(n, 9 + j, cell)) * (1 - uncertainty)
            if score > THRESHOLD:
                yield x, y, w, h, score, j


def slow_region(output, head):
    """forward_region_layer, get_region_box, get_region_boxes (region_layer.c); anchors in cells there."""
    entry = planes(output, head)
    for cell, row, column, n in cells(head):
        scale = logistic(entry(n, 4, cell))
        x = (column + logistic(entry(n, 0, cell))) / COLUMNS
        y = (row + logistic(entry(n, 1, cell))) / ROWS
        w = math.exp(entry(n, 2, cell)) * (head.anchors[n][0] / head.stride) / COLUMNS
        h = math.exp(entry(n, 3, cell)) * (head.anchors[n][1] / head.stride) / ROWS
        raw = [entry(n, 5 + j, cell) for j in range(head.classes)]
        if head.tree:
            probable, found = slow_tree(raw, head.tree), False
            for j in reversed(range(head.classes)):
                if not found and probable[j] > 0.5:
                    found = True
                else:
                    probable[j] = 0
                if scale > THRESHOLD and probable[j]:
                    yield x, y, w, h, probable[j], j
        else:
            for j, kind in enumerate(softmax(raw)):
                if scale * kind > THRESHOLD:
                    yield x, y, w, h, scale * kind, j


def slow_tree(raw, parents):
    """read_tree's groups, a softmax in each, then hierarchy_predictions (tree.c)."""
    probable, start = [], 0
    for index in range(len(parents)):
        if index + 1 == len(parents) or parents[index + 1] != parents[index]:
            probable += softmax(raw[start : index + 1])
            start = index + 1
    for index, parent in enumerate(parents):
        if parent >= 0:
            probable[index] *= probable[parent]
    return probable


def slow_detection(output, head):
    """get_detection_detections (detection_layer.c), on its own row of numbers."""
    side, n, c = output.shape[0], len(head.anchors), head.classes
    flat = np.concatenate([output[..., :c].ravel(), output[..., c : c + n].ravel(), output[..., c + n :].ravel()])
    for i in range(side * side):
        row, column = i // side, i % side
        kinds = flat[i * c : (i + 1) * c].tolist()
        kinds = softmax(kinds) if head.softmax else kinds
        for k in range(n):
            scale = flat[side * side * c + i * n + k]
            x, y, w, h = flat[side * side * (c + n) + (i * n + k) * 4 :][:4].tolist()
            power = 2 if head.square_root else 1
            for j in range(c):
                if scale * kinds[j] > THRESHOLD:
                    yield (x + column) / side, (y + row) / side, w**power, h**power, scale * kinds[j], j


def head(kind, **options):
    return Head(kind=kind, layer=9, stride=32, anchors=ANCHORS, classes=4, **options)


CASES = [
    pytest.param(head("yolo"), slow_yolo, id="yolo"),
    pytest.param(head("yolo", scale_x_y=1.2), slow_yolo, id="yolo stretched"),
    pytest.param(head("yolo", scale_x_y=2.0, new_coords=True), slow_yolo, id="yolo new_coords"),
    pytest.param(head("Gaussian_yolo"), slow_gaussian, id="Gaussian"),
    pytest.param(head("Gaussian_yolo", scale_x_y=1.1, yolo_point="left_top"), slow_gaussian, id="Gaussian left top"),
    pytest.param(head("Gaussian_yolo", yolo_point="right_bottom"), slow_gaussian, id="Gaussian right bottom"),
    pytest.param(head("region", softmax=True), slow_region, id="region"),
    pytest.param(
        Head(kind="region", layer=9, stride=32, anchors=ANCHORS, classes=10, softmax=True, tree=PARENTS),
        slow_region,
        id="region tree",
    ),
    pytest.param(head("detection"), slow_detection, id="detection"),
    pytest.param(head("detection", softmax=True, square_root=True), slow_detection, id="detection sqrt"),
]


@pytest.mark.parametrize(("head", "slow"), CASES)
def test_the_boxes_are_darknets(head, slow):
    rows, columns = (4, 4) if head.kind == "detection" else (ROWS, COLUMNS)
    output = np.random.default_rng(5).normal(0.4, 1.2, (rows, columns, head.channels)).astype(np.float32)
    expected = list(slow(output, head))
    assert len(expected) > 5

    found = decode([output], [head], confidence=THRESHOLD, width=WIDTH, height=HEIGHT)

    assert sorted(found.class_id.tolist()) == sorted(row[5] for row in expected)
    order = np.lexsort((found.class_id, found.score))
    expected.sort(key=lambda row: (row[4], row[5]))
    np.testing.assert_allclose(found.score[order], [row[4] for row in expected], rtol=2e-5)
    np.testing.assert_allclose(found.boxes[order], [row[:4] for row in expected], rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize(("head", "slow"), CASES)
def test_chosen_classes_only(head, slow):
    rows, columns = (4, 4) if head.kind == "detection" else (ROWS, COLUMNS)
    output = np.random.default_rng(5).normal(0.4, 1.2, (rows, columns, head.channels)).astype(np.float32)
    wanted = np.array([1, 3], np.intp)
    expected = [row[5] for row in slow(output, head) if row[5] in wanted]

    found = decode([output], [head], confidence=THRESHOLD, width=WIDTH, height=HEIGHT, classes=wanted)

    assert sorted(found.class_id.tolist()) == sorted(expected)


def test_a_hierarchy_multiplies_down_from_the_roots():
    raw = np.random.default_rng(1).normal(0, 3, (7, len(PARENTS))).astype(np.float32)
    for row, found in zip(raw.tolist(), tree_probabilities(raw, PARENTS), strict=True):
        np.testing.assert_allclose(found, slow_tree(row, PARENTS), rtol=1e-5)
