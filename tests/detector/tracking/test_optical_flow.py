"""Boxes that follow the picture, and whether anything moved, on pictures whose every motion is known."""

import cv2
import numpy as np
import pytest

from detector.images.planes import Planes
from detector.tracking.optical_flow import Follower, Stillness, luma_of, reduced, scene_changed


def texture(width, height, seed=0, grain=5):
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    fine, coarse = (
        cv2.normalize(cv2.GaussianBlur(noise, (0, 0), g), None, 0, 1, cv2.NORM_MINMAX) for g in (grain, 8 * grain)
    )
    smooth = fine + coarse  # as natural pictures are
    return cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def warped(picture, *, shift=(0.0, 0.0), scale=1.0, centre=(0.0, 0.0)):
    x, y = centre
    matrix = np.array([[scale, 0, x - scale * x + shift[0]], [0, scale, y - scale * y + shift[1]]], np.float32)
    size = picture.shape[1], picture.shape[0]
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def follow(frames, *boxes):
    follower = Follower()
    follower.start(frames[0], np.array(boxes, np.float32).reshape(-1, 4))
    for frame in frames[1:]:
        result = follower.follow(frame)
    return result


@pytest.mark.parametrize(("width", "height"), [(160, 120), (640, 360), (1283, 721)])
@pytest.mark.parametrize("step", [(3, 2), (-4, 1), (0.5, -0.5)])
def test_boxes_move_with_the_picture(width, height, step):
    picture = texture(width, height, grain=width / 100)
    frames = [warped(picture, shift=(step[0] * n, step[1] * n)) for n in range(6)]
    box = np.array([0.4 * width, 0.4 * height, 0.7 * width, 0.7 * height], np.float32)
    boxes, visible, cut = follow(frames, box)
    assert visible.all() and not cut
    np.testing.assert_allclose(boxes[0], box + np.tile(step, 2) * 5, atol=1.5)


def test_each_box_has_its_own_motion():
    ground, block = texture(480, 320, 1), texture(60, 60, 2)

    def frame(n):
        picture = ground.copy()
        picture[100:160, 50 + 4 * n : 110 + 4 * n] = block
        return picture

    boxes, _, _ = follow([frame(n) for n in range(6)], (50, 100, 110, 160), (300, 100, 360, 160))
    np.testing.assert_allclose(boxes, [[70, 100, 130, 160], [300, 100, 360, 160]], atol=1)


def test_a_box_grows_with_what_it_shows():
    picture = texture(320, 240)
    frames = [warped(picture, scale=1.04**n, centre=(160, 120)) for n in range(6)]
    boxes, _, _ = follow(frames, (110, 80, 210, 160))
    half = np.array([50, 40]) * 1.04**5
    np.testing.assert_allclose(boxes[0], [160 - half[0], 120 - half[1], 160 + half[0], 120 + half[1]], atol=2)


def test_a_box_that_leaves_is_cut_and_then_gone():
    picture = texture(320, 240)
    frames = [warped(picture, shift=(10 * n, 0)) for n in range(9)]
    boxes, visible, _ = follow(frames[:4], (250, 80, 310, 160))
    assert visible.all()
    np.testing.assert_allclose(boxes[0], [280, 80, 320, 160], atol=2)
    _, visible, _ = follow(frames, (250, 80, 310, 160), (20, 20, 60, 60))
    assert visible.tolist() == [False, True]


def test_what_comes_in_stays_at_the_border():
    picture = texture(320, 240)
    boxes, _, _ = follow([warped(picture, shift=(5 * n, 0)) for n in range(5)], (0, 80, 60, 160))
    np.testing.assert_allclose(boxes[0], [0, 80, 80, 160], atol=2)


@pytest.mark.parametrize("shape", [(1, 1), (2, 700), (700, 2), (9, 12), (40, 3000)])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_pictures_of_any_size_and_any_number_of_boxes(shape, count):
    picture = np.random.default_rng(3).integers(0, 255, shape, np.uint8)
    boxes, visible, cut = follow([picture] * 3, *[(0, 0, shape[1], shape[0])] * count)
    assert boxes.shape == (count, 4) and visible.all() and not cut
    assert np.allclose(boxes, [0, 0, shape[1], shape[0]], atol=1)


def test_boxes_stay_where_nothing_can_be_followed():
    grey = np.full((240, 320), 120, np.uint8)
    boxes, visible, _ = follow([grey, grey + 3, grey], (50, 50, 100, 100), (0, 0, 0, 0))
    assert boxes.tolist() == [[50, 50, 100, 100], [0, 0, 0, 0]]
    assert visible.tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda p: texture(320, 240, 9, 20), True, id="another scene"),
        pytest.param(lambda p: np.full_like(p, 16), True, id="black"),
        pytest.param(lambda p: warped(p, shift=(90, 60)), True, id="a jolt"),
        pytest.param(lambda p: p, False, id="the same"),
        pytest.param(lambda p: warped(p, shift=(6, 3)), False, id="a pan"),
        pytest.param(lambda p: (p * 0.8 + 40).astype(np.uint8), False, id="other light"),
        pytest.param(lambda p: noisy(p, 20, 1), False, id="noise"),
    ],
)
def test_change_of_scene(change, expected):
    picture = texture(320, 240, grain=20)
    assert scene_changed(picture, change(picture)) is expected
    assert follow([picture, change(picture)], (50, 50, 90, 90))[2] is expected


def test_noise_on_grey_is_no_change_of_scene():
    grey = np.full((240, 320), 90, np.uint8)
    assert not scene_changed(noisy(grey, 25, 1), noisy(grey, 25, 2))


def noisy(picture, deviation, seed):
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def still_scene(width=640, height=360):
    return cv2.addWeighted(texture(width, height, 5, 3), 0.5, texture(width, height, 6, 40), 0.5, 0)


def moved(first, then):
    stillness = Stillness()
    stillness.remember(first)
    return stillness.moved(then)


@pytest.mark.parametrize("deviation", [0, 2, 8, 15])
def test_noise_is_not_motion(deviation):
    scene = still_scene()
    stillness = Stillness()
    stillness.remember(noisy(scene, deviation, 0))
    assert not any(stillness.moved(noisy(scene, deviation, seed)) for seed in range(1, 30))


@pytest.mark.parametrize(
    "light",
    [
        pytest.param(lambda p: p + 15.0, id="brighter"),
        pytest.param(lambda p: p * 0.97, id="a cloud"),
        pytest.param(lambda p: p + np.linspace(0, 30, p.shape[1]), id="from one side"),
    ],
)
def test_light_is_not_motion(light):
    scene = np.clip(still_scene(), 40, 200)
    assert not moved(scene, light(scene).astype(np.uint8))


@pytest.mark.parametrize("deviation", [0, 5])
@pytest.mark.parametrize("side", [10, 30, 120])
def test_what_is_new_is_motion(side, deviation):
    scene = still_scene()
    then = scene.copy()
    block = then[100 : 100 + side, 200 : 200 + side]
    block[:] = np.where(block < 128, block + 70, block - 70)
    assert moved(noisy(scene, deviation, 0), noisy(then, deviation, 1))


def test_a_camera_that_turns_by_a_pixel_is_motion_and_noise_is_not(shared):
    photos = sorted((shared / "assets" / "coco_val2017_128").rglob("*.jpg"))[:40]
    assert photos
    for path in photos:
        photo = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert moved(photo[:, :-1], photo[:, 1:]), path.name
        assert not moved(noisy(photo, 8, 1), noisy(photo, 8, 2)), path.name


def test_pictures_of_another_size_are_another_scene():
    small, large = texture(160, 120), texture(170, 120)
    assert follow([small, large], (10, 10, 50, 50))[2] and moved(small, large)


def test_slow_motion_adds_up():
    scene, block = still_scene(), texture(50, 50, 8)

    def frame(n):
        picture = scene.copy()
        picture[150:200, 100 + n // 4 : 150 + n // 4] = block
        return picture

    stillness = Stillness()
    stillness.remember(frame(0))
    seen = [stillness.moved(frame(n)) for n in range(0, 60)]
    assert seen[0] is False and seen[-1] is True
    assert sum(not moved(frame(n), frame(n + 1)) for n in range(59)) > 40  # from frame to frame there is little


def test_a_planes_luma_is_taken_as_it_is_and_left_alone():
    stored = np.random.default_rng(1).integers(0, 255, (12, 8), np.uint8)
    planes = Planes(stored, lambda _: pytest.fail("needs no RGB"), matrix=1, full_range=False)
    assert np.array_equal(luma_of(planes), stored[:8])
    small = reduced(luma_of(planes), 100)
    planes.fill(0, 0, 8, 8, (0, 0, 0))
    assert small.any()  # a copy: boxes drawn later do not show


def test_a_reduced_picture_is_of_means():
    picture = np.random.default_rng(1).integers(0, 255, (9, 14), np.uint8)
    means = picture[:8, :12].reshape(2, 4, 3, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(reduced(picture, 4), means, atol=1)
    assert [reduced(np.zeros(shape, np.uint8), 4).shape for shape in ((4, 3), (1, 50), (3, 50))] == [
        (4, 3), (1, 50), (1, 25),
    ]  # fmt: skip
