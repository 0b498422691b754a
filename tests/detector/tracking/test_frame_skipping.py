"""Which frames are detected in, and what the others get."""

import contextlib
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import SettingsError
from detector.logs.frame_log import read_log
from detector.pipeline.loop import known_or
from detector.pipeline.outputs import Outputs
from detector.pipeline.watch import CameraOptions, watch_cameras
from detector.settings import Settings
from detector.tracking.frame_skipping import EVERY_FRAME, REFRESH_SECONDS, FrameSkipping, FrameSkippingDetector
from detector.video.frames import Frame
from detector.video.reading.video_file import VideoFile
from tests.detector.clips import FakeDetector

RATE = 25


def scene(seed):
    noise = np.random.default_rng(seed).uniform(0, 255, (120, 200)).astype(np.float32)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 12), None, 20, 235, cv2.NORM_MINMAX)
    return cv2.cvtColor(smooth.astype(np.uint8), cv2.COLOR_GRAY2RGB)


GROUND = scene(1)
BLOCK = np.random.default_rng(2).integers(0, 255, (10, 10, 3), np.uint8).repeat(4, 0).repeat(4, 1)


def street(x):
    """A still street with a block of 40x40 pixels on it."""
    picture = GROUND.copy()
    picture[40:80, x : x + 40] = BLOCK
    return picture


class Finds:
    """Finds the block where it says it is, and remembers of which frames it was asked."""

    def __init__(self, *pictures):
        self.pictures, self.asked = pictures, []

    def __call__(self, frame):
        picture = frame.image
        self.asked.append(next(n for n, one in enumerate(self.pictures) if one is picture))
        column = np.abs(picture.astype(int) - GROUND).sum(axis=(0, 2)).nonzero()[0]
        left = float(column[0]) if len(column) else 0.0
        box = np.array([[left + 1 / 3, 40, left + 40, 80]], np.float32)
        return Detections(box, np.array([0.912345], np.float32), np.array([0]), ("block",))


def as_frames(pictures, rate=RATE):
    return [Frame(n, n, Fraction(1) / Fraction(rate), picture) for n, picture in enumerate(pictures)]


def go(pictures, settings, *, rate=RATE):
    """Of which frames the detector was asked, what was found, which were propagated to, and the detector."""
    find, frames = Finds(*pictures), as_frames(pictures, rate)
    skipping = FrameSkippingDetector(find, settings)
    found = [skipping(frame) for frame in frames]
    return find.asked, found, [frame.propagated for frame in frames], skipping


def test_boxes_move_between_frames_that_are_detected_in():
    pictures = [street(20 + 4 * n) for n in range(10)]
    asked, found, propagated, skipping = go(pictures, FrameSkipping(every=4))
    assert asked == [0, 4, 8]
    assert propagated == [bool(n % 4) for n in range(10)]
    np.testing.assert_allclose([one.xyxy[0, 0] for one in found], [20 + 4 * n for n in range(10)], atol=0.8)
    assert skipping.note == "detected in 3 of 10 frames"


def test_boxes_stay_between_frames_where_that_is_asked_for():
    pictures = [street(20 + 4 * n) for n in range(6)]
    _, found, _, _ = go(pictures, FrameSkipping(every=3, carry="still"))
    np.testing.assert_allclose([one.xyxy[0, 0] for one in found], [20, 20, 20, 32, 32, 32], atol=0.4)


def test_a_new_scene_is_detected_in_at_once():
    other = [scene(9).copy() for _ in range(4)]
    asked, _found, propagated, _ = go([*(street(20) for _ in range(4)), *other], FrameSkipping(every=6))
    assert asked == [0, 4, 6]
    assert propagated == [False, True, True, True, False, True, False, True]


def test_still_frames_are_not_detected_in_for_two_seconds_at_most():
    pictures = [street(20) for _ in range(120)]
    asked, found, propagated, _ = go(pictures, FrameSkipping(skip_still=True))
    assert asked == [0, 50, 100] and REFRESH_SECONDS * RATE == 50
    assert propagated.count(False) == 3
    assert {tuple(one.xyxy[0].tolist()) for one, kept in zip(found, propagated, strict=True) if kept} == {
        tuple(np.float32([20.33, 40, 60, 80]))
    }


def test_seconds_are_the_videos_own():
    asked, _, _, _ = go([street(20) for _ in range(6)], FrameSkipping(skip_still=True), rate=0.4)
    assert asked == [0, 1, 2, 3, 4, 5]


def test_what_moves_is_detected_in():
    places = [20] * 5 + [20 + 3 * n for n in range(5)] + [32] * 5
    asked, found, _propagated, _ = go([street(x) for x in places], FrameSkipping(skip_still=True))
    assert asked == [0, 6, 7, 8, 9]
    np.testing.assert_allclose([one.xyxy[0, 0] for one in found], places, atol=0.4)


def test_both_together():
    places = [20] * 9 + [20 + 3 * n for n in range(7)] + [38] * 9
    asked, found, _propagated, _ = go([street(x) for x in places], FrameSkipping(every=3, skip_still=True))
    assert asked == [0, 12, 15]
    # Frames 9 to 11 came before the next that could be looked into, and were followed.
    np.testing.assert_allclose([one.xyxy[0, 0] for one in found], places, atol=0.8)


@pytest.mark.parametrize(("noise", "crf"), [(0, 35), (6, 23), (12, 30)])
def test_a_camera_that_stands_still(tmp_path, noise, crf):
    """Noise, light that slowly goes, and what the encoder makes of them, above all at its keyframes."""
    dice = np.random.default_rng(7)
    ground = np.concatenate([np.concatenate([scene(3), scene(4)], 1), np.concatenate([scene(5), scene(6)], 1)], 0)
    with av.open(str(tmp_path / "in.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"crf": str(crf), "g": "12"})
        stream.height, stream.width = ground.shape[:2]
        for number in range(100):
            picture = ground + number * 0.1
            if 60 <= number < 70:
                left = 100 + 8 * (number - 60)
                picture[90:130, left : left + 40] = BLOCK
            seen = np.clip(picture + dice.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(seen)))
        output.mux(stream.encode(None))
    nothing = Detections.empty()
    with VideoFile(tmp_path / "in.mp4") as source:
        skipping = FrameSkippingDetector(lambda _: nothing, FrameSkipping(skip_still=True))
        detected = []
        for frame in source:
            skipping(frame)
            if not frame.propagated:
                detected.append(frame.index)
    assert detected == [0, 50, *range(60, 71)]


@pytest.mark.parametrize("settings", [FrameSkipping(every=3), FrameSkipping(2, skip_still=True)])
def test_no_boxes_and_a_single_frame(settings):
    nothing = Detections.empty(("block",))
    frames = as_frames([street(20 + n) for n in range(5)])
    skipping = FrameSkippingDetector(lambda _: nothing, settings)
    assert [len(skipping(frame)) for frame in frames] == [0] * 5
    assert FrameSkippingDetector(lambda _: nothing, settings)(frames[1]) is nothing


def test_drawing_on_a_frame_afterwards_changes_nothing():
    settings = FrameSkipping(every=5, skip_still=True)
    pictures = [street(20 + 4 * n) for n in range(9)]
    _, expected, _propagated, _ = go([one.copy() for one in pictures], settings)
    find = Finds(*pictures)
    skipping = FrameSkippingDetector(find, settings)
    for frame, before in zip(as_frames(pictures), expected, strict=True):
        found = skipping(frame)
        frame.image[::2] = 255
        assert found.as_records() == before.as_records()


@pytest.mark.parametrize(
    "settings", [FrameSkipping(4), FrameSkipping(skip_still=True), FrameSkipping(3, skip_still=True)]
)
@pytest.mark.parametrize("first", range(1, 24))
def test_a_run_taken_up_again_says_the_same(settings, first):
    """From the last frame that was detected in before it, whose detections its log holds."""
    places = [20, 24, 28, 32, *[32] * 6, *[32 + 3 * n for n in range(8)], *[53] * 6]
    pictures = [street(x) for x in places]
    _, expected, propagated, _ = go(pictures, settings)
    last = max(n for n in range(first) if not propagated[n])
    frames = as_frames(pictures)
    frames[last].detections = _rounded(expected[last])
    find = Finds(*pictures)
    skipping = FrameSkippingDetector(known_or(find), settings, count_from=first)
    found = [skipping(frame) for frame in frames[last:]][first - last :]
    assert [one.as_records() for one in found] == [one.as_records() for one in expected[first:]]
    assert [frame.propagated for frame in frames[first:]] == propagated[first:]
    assert find.asked == [n for n in range(first, 24) if not propagated[n]]
    assert (skipping.asked, skipping.detected) == (24 - first, len(find.asked))


def _rounded(found):
    """As a log holds them."""
    (record,) = found.as_records()
    box = np.array([record["box"]], np.float32)
    return Detections(box, np.array([record["confidence"]], np.float32), found.class_id, found.names)


@pytest.mark.parametrize("every", [0, -1])
def test_every_is_one_or_more(every):
    with pytest.raises(SettingsError, match="expected 1"):
        FrameSkipping(every=every)


def test_carry_is_a_known_word():
    with pytest.raises(SettingsError, match="motion or still"):
        FrameSkipping(carry="fly")


def test_what_the_log_holds_of_it():
    assert EVERY_FRAME.everything and EVERY_FRAME.as_json() == {}
    assert FrameSkipping(3).as_json() == {"every": 3, "carry": "motion"}
    assert FrameSkipping(skip_still=True).as_json() == {"skip_still": True}


def test_cameras_are_detected_in_sparsely_each_for_itself(clips, colour_model, tmp_path):
    videos = [str(clips.make(tmp_path / f"{name}.mp4", range(12))) for name in "ab"]

    options = CameraOptions(
        tuple(videos),
        colour_model,
        Settings(),
        Outputs(log=tmp_path / "out.jsonl"),
        buffer="all",
        skipping=FrameSkipping(4, carry="still"),
    )
    answers = watch_cameras(
        options, bar=lambda total: contextlib.nullcontext(None), on_note=print, open_detector=FakeDetector().opened
    )
    assert [answer.frames for answer in answers] == [12, 12]
    for number in (1, 2):
        run, *frames, _ = read_log(tmp_path / f"out-{number}.jsonl")
        assert run.settings["every"] == 4
        assert [frame.propagated for frame in frames] == [bool(index % 4) for index in range(12)]
