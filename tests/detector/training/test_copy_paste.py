import numpy as np
import pytest

from detector.training.augment import Sample
from detector.training.copy_paste import MOST_COVERED, MOST_PASTED, paste_objects


def sample(boxes, colour, *, size=(120, 160)):
    picture = np.full((*size, 3), 128, np.uint8)
    for x, y, width, height in boxes:
        left, top = int((x - width / 2) * size[1]), int((y - height / 2) * size[0])
        picture[top : top + int(height * size[0]), left : left + int(width * size[1])] = colour
    return Sample(picture, np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), int(colour == BLUE)))


RED, BLUE = (230, 30, 30), (30, 30, 230)


@pytest.mark.parametrize("seed", range(20))
def test_pasted_objects_have_boxes_and_cover_no_others(seed):
    own = sample([(0.25, 0.5, 0.4, 0.9)], RED)
    donor = sample([(x, y, 0.15, 0.2) for x in (0.2, 0.7) for y in (0.3, 0.7)], BLUE, size=(90, 90))
    before = own.picture.copy()

    pasted = paste_objects(own, donor, np.random.default_rng(seed))

    assert np.array_equal(own.picture, before)
    assert pasted.boxes[0] == pytest.approx(own.boxes[0])
    assert pasted.class_id.tolist() == [0] + [1] * (len(pasted.boxes) - 1)
    assert 1 <= len(pasted.boxes) - 1 <= MOST_PASTED
    red = [(picture[..., 0] > 200).sum() for picture in (before, pasted.picture)]
    assert red[1] >= red[0] * (1 - MOST_PASTED * MOST_COVERED)
    for x, y, width, height in pasted.boxes[1:]:
        centre = pasted.picture[int(y * 120), int(x * 160)]
        assert centre[2] > 200 > centre[0]
        assert min(x - width / 2, y - height / 2) >= 0
        assert max(x + width / 2, y + height / 2) <= 1


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param([], id="no object"),
        pytest.param([(0.5, 0.5, 1.0, 1.0)], id="as large as the picture"),
        pytest.param([(0.5, 0.5, 0.01, 0.01)], id="a few pixels"),
    ],
)
def test_what_cannot_be_pasted_changes_nothing(boxes):
    own = sample([(0.5, 0.5, 0.2, 0.2)], RED)

    pasted = paste_objects(own, sample(boxes, BLUE), np.random.default_rng(0))

    assert np.array_equal(pasted.picture, own.picture)
    assert pasted.boxes == pytest.approx(own.boxes)


def test_the_same_seed_pastes_the_same():
    own, donor = sample([(0.2, 0.2, 0.2, 0.2)], RED), sample([(0.5, 0.5, 0.3, 0.3)], BLUE)

    one, other = (paste_objects(own, donor, np.random.default_rng(7)) for _ in "ab")

    assert np.array_equal(one.picture, other.picture)
    assert np.array_equal(one.boxes, other.boxes)
