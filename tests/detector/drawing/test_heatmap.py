import numpy as np
import pytest

from detector.drawing.heatmap import overlay, share_inside

GREY = np.full((40, 60, 3), 128, np.uint8)


def test_cold_places_stay_and_hot_ones_turn_red():
    heat = np.zeros((40, 60), np.float32)
    heat[:, 30:] = 1

    shown = overlay(GREY, heat)

    assert (shown[:, :30] == 128).all()
    red, green, blue = shown[20, 45].astype(int)
    assert red > green + 30
    assert red > blue + 30


def test_warmer_is_more_opaque():
    heat = np.tile(np.linspace(0, 1, 60, dtype=np.float32), (40, 1))

    change = np.abs(overlay(GREY, heat).astype(int) - 128).sum(axis=-1)[20]

    assert change[0] == 0
    assert change[10] < change[59]


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="does not have the size of"):
        overlay(GREY, np.zeros((40, 61), np.float32))


@pytest.mark.parametrize(
    ("box", "grown", "share"),
    [((0, 0, 60, 40), 0, 1), ((0, 0, 30, 40), 0, 0.5), ((10, 10, 20, 20), 0, 1 / 24), ((10, 10, 20, 20), 1.0, 4 / 24)],
)
def test_share_inside(box, grown, share):
    heat = np.ones((40, 60), np.float32)

    assert share_inside(heat, np.array(box, np.float32), grown=grown) == pytest.approx(share)


def test_no_heat_is_nowhere():
    assert share_inside(np.zeros((4, 4), np.float32), np.array([0, 0, 4, 4], np.float32)) == 0
