import numpy as np
import pytest

from convert.cfg import parse_cfg
from convert.errors import CfgError
from convert.network import plan
from detector.errors import SettingsError
from detector.training.targets import make_targets, pad_classes, pad_truths, read_rules, shape_iou

TWO_HEADS = """
[net]
width=64
height=32
channels=3
[convolutional]
filters=4
size=3
stride=8
pad=1
[convolutional]
filters=4
size=3
stride=2
pad=1
[convolutional]
filters=14
activation=linear
[yolo]
mask=2,3
anchors=4,4, 8,8, 16,8, 40,24
num=4
classes=2
{keys}
[route]
layers=0
[convolutional]
filters=14
activation=linear
[yolo]
mask=0,1
anchors=4,4, 8,8, 16,8, 40,24
num=4
classes=2
{keys}
"""


def rules(keys=""):
    return read_rules(plan(parse_cfg(TWO_HEADS.format(keys=keys))))


def targets(boxes, class_ids, keys=""):
    arrays = [np.array(one, np.float32).reshape(-1, 4) for one in boxes]
    return make_targets(arrays, [np.array(one, np.int64) for one in class_ids], rules(keys), width=64, height=32)


def test_training_keys_are_read():
    coarse, fine = rules("ignore_thresh=.6\ntruth_thresh=.9\niou_loss=giou\niou_normalizer=2")

    assert (coarse.head.stride, fine.head.stride) == (16, 8)
    assert (coarse.mask, fine.mask) == ((2, 3), (0, 1))
    assert (coarse.ignore_thresh, coarse.truth_thresh, coarse.iou_loss, coarse.iou_normalizer) == (0.6, 0.9, "giou", 2)


@pytest.mark.parametrize(
    ("size", "head", "slot"),
    [((4, 5), 1, 0), ((9, 8), 1, 1), ((16, 9), 0, 0), ((60, 30), 0, 1)],
)
def test_a_box_is_assigned_to_the_best_anchor_of_all_heads(size, head, slot):
    box = [0.6, 0.7, size[0] / 64, size[1] / 32]

    found = targets([[box]], [[1]])

    assert found[1 - head].found.sum() == 0
    assert found[head].found.sum() == 1
    row, column = (int(0.7 * found[head].found.shape[1]), int(0.6 * found[head].found.shape[2]))
    assert found[head].found[0, row, column, slot] == 1
    columns, slots = found[head].found.shape[2:]
    assert found[head].place[0, 0].tolist() == [
        (row * columns + column) * slots + slot if number == slot else -1 for number in range(slots)
    ]
    assert found[head].classes[0, row, column, slot].tolist() == [0, 1]


def test_other_anchors_above_iou_thresh_are_assigned_too():
    box = [0.6, 0.7, 10 / 64, 8 / 32]  # IoU 0.8 with 8x8, 0.625 with 16x8

    assert [int(one.found.sum()) for one in targets([[box]], [[0]])] == [0, 1]
    assert [int(one.found.sum()) for one in targets([[box]], [[0]], "iou_thresh=.6")] == [1, 1]


@pytest.mark.parametrize(("keys", "taught"), [("", [False, True]), ("iou_loss=mse", [True, True])])
def test_a_later_box_replaces_an_earlier_one_only_for_pjreddie(keys, taught):
    one, other = [0.6, 0.7, 8 / 64, 8 / 32], [0.61, 0.71, 8 / 64, 8 / 32]

    _, fine = targets([[one, other]], [[0, 1]], keys)

    assert fine.found.sum() == 1
    assert (fine.place[0, :2].max(axis=1) >= 0).tolist() == taught
    assert fine.classes[tuple(np.argwhere(fine.found)[0])].tolist() == [1, 1]


def test_the_last_row_and_column_hold_a_box_at_the_edge():
    _, fine = targets([[[1.0, 1.0, 8 / 64, 8 / 32]]], [[0]])

    assert fine.found[0, -1, -1].sum() == 1


def test_truths_are_padded_to_a_multiple():
    padded = pad_truths([np.ones((3, 4), np.float32), np.ones((17, 4), np.float32)])

    assert padded.shape == (2, 32, 4)
    assert padded.sum(axis=(1, 2)).tolist() == [12, 68]
    assert pad_classes([np.array([2, 1, 0])]).tolist() == [[2, 1, 0, *[-1] * 13]]


def test_a_cfg_of_pjreddies_has_no_normalizers():
    assert {rule.iou_normalizer for rule in rules()} == {1.0}
    assert {rule.iou_normalizer for rule in rules("iou_loss=mse")} == {0.75}


def test_shape_iou_is_that_of_boxes_on_one_middle():
    sizes, anchors = np.array([[4, 2]], np.float32), np.array([[2, 4], [4, 2], [8, 8]], np.float32)

    assert shape_iou(sizes, anchors)[0] == pytest.approx([4 / 12, 1, 8 / 64])


def test_new_coords_are_refused_with_their_line():
    with pytest.raises(CfgError, match=r"line 19: \[yolo\] new_coords=1"):
        rules("new_coords=1")


def test_a_classifier_is_refused():
    with pytest.raises(SettingsError, match="no \\[yolo\\] head"):
        read_rules(plan(parse_cfg("[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=2\n[avgpool]\n[softmax]\n")))
