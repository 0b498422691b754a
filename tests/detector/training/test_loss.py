"""The loss against Darknet, whose deltas are minus the gradient of the raw outputs.

pjreddie's are computed here by loops written from its C code; AlexeyAB's were computed by its C code itself.
"""

import dataclasses
import json
import math

import numpy as np
import pytest

from convert.keras_import import import_keras
from detector.heads.boxes import iou, to_edges
from detector.training.loss import Target, Truths, head_loss, overlap
from detector.training.targets import make_targets, pad_classes, pad_truths

from .test_targets import rules

import_keras()
import tensorflow as tf  # noqa: E402

WIDTH, HEIGHT = 64, 32


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def box_iou(one, other):
    return float(iou(to_edges(np.array([one], np.float32)), to_edges(np.array([other], np.float32)))[0])


def darknet_deltas(output, truths, kinds, rule):
    """`forward_yolo_layer` of pjreddie's yolo_layer.c for one picture; (rows, columns, anchors, 5 + classes)."""
    rows, columns = output.shape[:2]
    raw = output.reshape(rows, columns, len(rule.mask), -1).astype(float)
    deltas = np.zeros_like(raw)
    classes = raw.shape[-1] - 5

    def predicted(row, column, slot):
        x, y, w, h = raw[row, column, slot, :4]
        anchor = rule.head.anchors[slot]
        return [
            (column + sigmoid(x)) / columns,
            (row + sigmoid(y)) / rows,
            math.exp(w) * anchor[0] / WIDTH,
            math.exp(h) * anchor[1] / HEIGHT,
        ]

    def box_delta(row, column, slot, truth):
        anchor = rule.head.anchors[slot]
        scale = 2 - truth[2] * truth[3]
        place = deltas[row, column, slot]
        place[0] = scale * (truth[0] * columns - column - sigmoid(raw[row, column, slot, 0]))
        place[1] = scale * (truth[1] * rows - row - sigmoid(raw[row, column, slot, 1]))
        place[2] = scale * (math.log(truth[2] * WIDTH / anchor[0]) - raw[row, column, slot, 2])
        place[3] = scale * (math.log(truth[3] * HEIGHT / anchor[1]) - raw[row, column, slot, 3])

    for row in range(rows):
        for column in range(columns):
            for slot in range(len(rule.mask)):
                best = max(box_iou(predicted(row, column, slot), truth) for truth in truths)
                deltas[row, column, slot, 4] = 0 - sigmoid(raw[row, column, slot, 4])
                if best > rule.ignore_thresh:
                    deltas[row, column, slot, 4] = 0
    for truth, kind in zip(truths, kinds, strict=True):
        row, column = int(truth[1] * rows), int(truth[0] * columns)
        shifted = [0, 0, truth[2], truth[3]]
        best = max(
            range(len(rule.anchors)),
            key=lambda n: box_iou([0, 0, rule.anchors[n][0] / WIDTH, rule.anchors[n][1] / HEIGHT], shifted),
        )
        if best in rule.mask:
            slot = rule.mask.index(best)
            box_delta(row, column, slot, truth)
            deltas[row, column, slot, 4] = 1 - sigmoid(raw[row, column, slot, 4])
            for number in range(classes):
                wanted = 1 if number == kind else 0
                deltas[row, column, slot, 5 + number] = wanted - sigmoid(raw[row, column, slot, 5 + number])
    return deltas.reshape(output.shape)


def terms_of(raw, boxes, kinds, rule, size=(WIDTH, HEIGHT)):
    """The terms of one head for one picture; boxes and kinds are arrays."""
    target = make_targets([boxes], [kinds], [rule], width=size[0], height=size[1])[0]
    arrays = Target(*map(tf.constant, (target.found, target.classes, target.place)))
    truths = Truths(tf.constant(pad_truths([boxes])), tf.constant(pad_classes([kinds])))
    return head_loss(raw, arrays, truths, rule)


def gradients(output, truths, kinds, rule, size=(WIDTH, HEIGHT)):
    raw = tf.Variable(output[None])
    with tf.GradientTape() as tape:
        terms = terms_of(raw, np.array(truths, np.float32), np.array(kinds), rule, size)
        loss = sum(terms.values())
    return np.asarray(tape.gradient(loss, raw))[0]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("head", [0, 1])
def test_gradients_are_darknets_deltas(seed, head):
    rng = np.random.default_rng(seed)
    rule = rules("ignore_thresh=.3")
    truths = [
        [*rng.uniform(0.1, 0.9, 2), *size]
        for size in ([5 / 64, 4 / 32], [9 / 64, 7 / 32], [18 / 64, 9 / 32], [0.6, 0.7])
    ]
    kinds = [0, 1, 1, 0]
    shape = (2, 4, 14) if head == 0 else (4, 8, 14)
    output = rng.normal(0, 0.7, shape).astype(np.float32)

    deltas = darknet_deltas(output, truths, kinds, rule[head])

    assert np.abs(deltas).max() > 0.1
    assert -gradients(output, truths, kinds, rule[head]) == pytest.approx(deltas, abs=2e-5)


def test_truth_thresh_trains_a_good_box_as_a_match():
    truth = [3.2 / 8, 2.6 / 4, 8 / 64, 8 / 32]
    output = np.zeros((4, 8, 14), np.float32)
    output[2, 3].reshape(2, 7)[0, 2:4] = math.log(2)  # the 4x4 anchor grown to the truth's 8x8
    never = gradients(output, [truth], [0], rules("ignore_thresh=.4")[1])[2, 3]
    always = gradients(output, [truth], [0], rules("ignore_thresh=.4\ntruth_thresh=.45")[1])[2, 3]

    assert never[4] == 0
    assert always[4] == pytest.approx(-0.5)


@pytest.mark.parametrize("kind", ["giou", "diou", "ciou"])
def test_box_losses_pull_towards_the_truth(kind):
    rng = np.random.default_rng(3)
    box = tf.Variable(rng.uniform(0.2, 0.6, (50, 4)).astype(np.float32))
    truth = tf.constant(rng.uniform(0.2, 0.6, (50, 4)).astype(np.float32))
    before = np.asarray(overlap(box, truth)).mean()
    for _ in range(200):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(1 - overlap(box, truth, kind))
        box.assign_sub(0.003 * tape.gradient(loss, box))

    assert np.isfinite(np.asarray(box)).all()
    assert np.asarray(overlap(box, truth)).mean() > max(0.8, before + 0.2)


def test_overlap_is_that_of_suppression():
    rng = np.random.default_rng(1)
    one, other = rng.uniform(0.1, 0.6, (2, 100, 4)).astype(np.float32)

    assert np.asarray(overlap(one, other)) == pytest.approx(iou(to_edges(one), to_edges(other)), abs=1e-5)


def test_ciou_by_hand():
    one, other = np.array([[0.5, 0.5, 0.4, 0.2]], np.float32), np.array([[0.6, 0.5, 0.2, 0.2]], np.float32)
    expected_iou, distance = 0.5, 0.01 / (0.4**2 + 0.2**2)
    shape = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    part = shape / (1 - expected_iou + shape)

    assert float(overlap(one, other, "diou")[0]) == pytest.approx(expected_iou - distance, abs=1e-5)
    assert float(overlap(one, other, "ciou")[0]) == pytest.approx(expected_iou - distance - part * shape, abs=1e-5)


SETTINGS = (
    "ciou ciou_yolov4 diou giou giou_0.5 iou iou_thresh_0.213 mse mse_ignore_0.3 mse_normalizer_1 normalizers truth_0.6"
)


@pytest.mark.parametrize("name", SETTINGS.split())
def test_gradients_are_those_of_alexeyabs_c_code(shared, name):
    with np.load(shared / "reference" / "loss" / f"{name}.npz") as file:
        parts = dict(file)
    for case in ("seed0_head0", "seed0_head1", "seed1_head0", "seed1_head1"):
        part = {key.removeprefix(f"{case}_"): value for key, value in parts.items() if key.startswith(case)}
        size = int(part["network_size"])

        found = gradients(part["output"], part["truth_xywh"], part["truth_class"], reference_rule(part), (size, size))

        deltas = part["delta"].reshape(found.shape)
        assert np.abs(deltas).max() > 0.1
        assert -found == pytest.approx(deltas, abs=1e-4)


def reference_rule(part):
    """The rule that a reference case was computed with."""
    options = json.loads(str(part["options"]))
    del options["cls_normalizer"]  # read by the C code, and applied only with counters_per_class
    anchors = tuple((float(width), float(height)) for width, height in part["anchors"].reshape(-1, 2))
    mask = tuple(part["mask"].tolist())
    base = rules()[0]
    head = dataclasses.replace(
        base.head,
        stride=int(part["network_size"]) // part["output"].shape[0],
        anchors=tuple(anchors[number] for number in mask),
        classes=int(part["classes"]),
    )
    return dataclasses.replace(base, head=head, anchors=anchors, mask=mask, dialect="alexeyab", **options)


def test_the_gradient_ignores_the_stretched_sigmoid():
    rule = rules("scale_x_y=1.2\niou_normalizer=1")[1]
    truth = [3.9 / 8, 2.2 / 4, 8 / 64, 8 / 32]
    output = np.zeros((4, 8, 14), np.float32)

    found = gradients(output, [truth], [0], rule)[2, 3].reshape(2, 7)[1]

    weight = 2 - truth[2] * truth[3]
    assert -found[:2] == pytest.approx([weight * (0.9 - 0.5), weight * (0.2 - 0.5)], abs=1e-5)


def test_labels_are_smoothed():
    truth = [3.9 / 8, 2.2 / 4, 8 / 64, 8 / 32]

    found = gradients(np.zeros((4, 8, 14), np.float32), [truth], [0], rules("label_smooth_eps=.1")[1])

    assert -found[2, 3].reshape(2, 7)[1, 5:] == pytest.approx([0.95 - 0.5, 0.05 - 0.5], abs=1e-5)


def test_gradients_are_finite_for_boxes_without_an_area():
    output = np.full((4, 8, 14), -90, np.float32)

    for kind in ("iou", "giou", "diou", "ciou"):
        found = gradients(output, [[0.5, 0.5, 8 / 64, 8 / 32]], [0], rules(f"iou_loss={kind}")[1])
        assert np.isfinite(found).all()


def test_a_picture_without_boxes_trains_background():
    output = np.random.default_rng(0).normal(size=(1, 4, 8, 14)).astype(np.float32)

    terms = terms_of(output, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), rules()[1])

    raw = output.reshape(1, 4, 8, 2, 7)[..., 4]
    assert float(terms["box"]) == 0
    assert float(terms["classes"]) == 0
    assert float(terms["objectness"]) == pytest.approx(np.log1p(np.exp(raw)).sum(), rel=1e-5)


def test_class_weights_multiply_what_an_object_pulls_on_and_nothing_else():
    rule = rules()[0]
    shape = (2, 4, len(rule.mask) * (5 + rule.head.classes))
    output = np.random.default_rng(0).normal(0, 1, (1, *shape)).astype(np.float32)
    boxes, kinds = [np.array([[0.3, 0.6, 0.2, 0.4]], np.float32)], [np.array([1])]
    weights = (1.0, 3.0, *[1.0] * (rule.head.classes - 2))

    def gradient(rule):
        target = Target(*vars(make_targets(boxes, kinds, [rule], width=WIDTH, height=HEIGHT)[0]).values())
        truths = Truths(pad_truths(boxes), pad_classes(kinds))
        raw = tf.Variable(output)
        with tf.GradientTape() as tape:
            loss = sum(head_loss(raw, target, truths, rule).values())
        return np.asarray(tape.gradient(loss, raw)).reshape(2, 4, len(rule.mask), -1), target.found[0]

    plain, found = gradient(rule)
    weighted, _ = gradient(dataclasses.replace(rule, class_weights=weights))

    there = found > 0
    assert there.sum() == 1
    assert weighted[there][:, 4:] == pytest.approx(3 * plain[there][:, 4:], rel=1e-5)
    assert weighted[there][:, :4] == pytest.approx(plain[there][:, :4], rel=1e-6)
    assert weighted[~there] == pytest.approx(plain[~there], rel=1e-6)
