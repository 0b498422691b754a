import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.detections import Detections
from detector.errors import SettingsError
from detector.images.tiles import MOST_TILES, Tiles
from detector.tiling import merge, over_smaller

NAMES = ("a", "b")
WHOLE = (0, 0, 200, 100)
LEFT, RIGHT = (0, 0, 110, 100), (90, 0, 200, 100)


def detections(*rows):
    """Rows of left, top, right, bottom, confidence, class id."""
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.array([row[4] for row in rows], np.float32), np.array([row[5] for row in rows], np.int64), NAMES
    )


def views(tiles, width, height, size=320):
    return tiles.views(width, height, input_width=size, input_height=size)


def test_without_overlap_these_are_quadrants():
    assert views(Tiles(2, 2, overlap=0), 640, 480) == [
        (0, 0, 320, 240),
        (320, 0, 640, 240),
        (0, 240, 320, 480),
        (320, 240, 640, 480),
    ]


def test_neighbours_share_the_overlap():
    first, second = views(Tiles(2, 1, overlap=0.2), 900, 480)

    assert first == (0, 0, 500, 480)
    assert second == (400, 0, 900, 480)


@pytest.mark.parametrize(
    ("width", "height", "grid"),
    [(640, 480, (1, 1)), (1280, 720, (3, 2)), (4000, 3000, (8, 6)), (320, 100000, (1, 196))],
)
def test_auto_scales_no_tile_down_by_more_than_two(width, height, grid):
    found = views(Tiles(), width, height)

    assert (len({view[0] for view in found}), len({view[1] for view in found})) == grid
    assert max(max(right - left, bottom - top) for left, top, right, bottom in found) <= 642


@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    columns=st.integers(1, 16),
    rows=st.integers(1, 16),
    overlap=st.floats(0, 0.9),
)
def test_tiles_cover_every_pixel(width, height, columns, rows, overlap):
    found = views(Tiles(columns, rows, overlap), width, height)

    for axis, side in ((0, width), (1, height)):
        spans = sorted({(view[axis], view[axis + 2]) for view in found})
        assert (spans[0][0], spans[-1][1]) == (0, side)
        assert all(begin % 2 == 0 and begin < end <= side for begin, end in spans)
        assert all(second[0] <= first[1] for first, second in itertools.pairwise(spans))


@pytest.mark.parametrize(("text", "grid"), [("2x2", (2, 2)), ("3x1", (3, 1)), ("auto", (0, 0))])
def test_parse(text, grid):
    tiles = Tiles.parse(text, 0.1)

    assert (tiles.columns, tiles.rows, tiles.overlap) == (*grid, 0.1)
    assert str(tiles) == text


@pytest.mark.parametrize("text", ["2", "0x2", "2x", "x", "-1x2", "2×2", "17x16", "999x999", "2x2x2", ""])
def test_invalid_tiles(text):
    with pytest.raises(SettingsError, match="tiles"):
        Tiles.parse(text)


@pytest.mark.parametrize("overlap", [-0.1, 0.95, float("nan")])
def test_overlap_out_of_range(overlap):
    with pytest.raises(SettingsError, match="overlap"):
        Tiles(2, 2, overlap)


def test_the_largest_grid():
    assert len(views(Tiles(16, 16), 4000, 4000)) == MOST_TILES


def merged(*found, of=(WHOLE, LEFT, RIGHT)):
    result = merge(list(found), list(of))
    return [(*map(round, box.tolist()), round(confidence, 2), class_id) for box, confidence, class_id, _ in result]


NONE = detections()


def test_boxes_are_moved_into_the_picture_best_first():
    assert merged(detections((5, 5, 15, 15, 0.5, 0)), NONE, detections((50, 50, 60, 60, 0.9, 1))) == [
        (140, 50, 150, 60, 0.9, 1),
        (5, 5, 15, 15, 0.5, 0),
    ]


def test_an_object_in_several_views_is_one_box_with_the_best_ones_edges():
    assert merged(
        detections((94, 40, 106, 60, 0.3, 0)),
        detections((95, 40, 107, 60, 0.9, 0)),
        detections((4, 40, 17, 60, 0.6, 0)),
    ) == [(95, 40, 107, 60, 0.9, 0)]


def test_classes_are_merged_apart():
    found = merged(detections((94, 40, 106, 60, 0.3, 0)), detections((94, 40, 106, 60, 0.9, 1)), NONE)

    assert [row[-1] for row in found] == [1, 0]


def test_with_class_agnostic_the_best_of_all_classes_stays():
    found = merge(
        [detections((94, 40, 106, 60, 0.3, 0)), detections((94, 40, 106, 60, 0.9, 1))],
        [WHOLE, LEFT],
        class_agnostic=True,
    )

    assert found.class_id.tolist() == [1]


def test_boxes_separate_in_one_view_stay_separate():
    assert len(merged(detections((10, 10, 30, 30, 0.9, 0), (12, 10, 32, 30, 0.8, 0)), NONE, NONE)) == 2


def test_a_part_cut_by_a_seam_is_merged_into_the_whole_object():
    # The right tile begins at 90: it sees the right half of an object from 80 to 100, up to its own left edge.
    assert merged(detections((80, 40, 100, 60, 0.4, 0)), NONE, detections((0, 40, 10, 60, 0.9, 0))) == [
        (80, 40, 100, 60, 0.9, 0)
    ]


def test_parts_seen_only_in_cut_views_become_their_hull():
    # Each tile sees the 20 columns of the overlap, and 4 columns more of its own.
    assert merged(NONE, detections((86, 40, 110, 60, 0.8, 0)), detections((0, 40, 24, 60, 0.9, 0))) == [
        (86, 40, 114, 60, 0.9, 0)
    ]


def test_small_and_large_objects_over_one_another_are_two():
    # A person in front of a truck, both whole in what shows them: much of the smaller is shared, little of the larger.
    assert len(merged(detections((20, 20, 80, 80, 0.9, 0)), detections((30, 30, 45, 50, 0.8, 0)), NONE)) == 2


def test_large_boxes_come_from_the_whole_picture():
    assert merged(NONE, detections((10, 10, 60, 60, 0.9, 0)), NONE) == []


def test_nothing_found():
    assert len(merge([NONE, NONE], [WHOLE, LEFT])) == 0


def test_over_smaller():
    box = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[5, 0, 15, 10], [2, 2, 4, 4], [20, 0, 30, 10], [3, 3, 3, 3]], np.float32)

    np.testing.assert_allclose(over_smaller(box, others), [0.5, 1, 0, 0])
