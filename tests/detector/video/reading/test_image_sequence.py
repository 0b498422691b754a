"""Folders, patterns and animations as videos."""

import contextlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, features

from detector.cli.logs import redraw_verb
from detector.detections import Detections
from detector.errors import OutputError, PictureError, SettingsError, StreamError, VideoError, WriteError
from detector.logs.frame_log import FrameRecord, read_log
from detector.pipeline.annotate_video import VideoOptions, annotate_video
from detector.pipeline.outputs import Outputs
from detector.settings import Settings
from detector.video.reading.image_sequence import is_picture_series, parse_rate
from detector.video.reading.opening import open_video
from detector.video.section import Section
from detector.video.status import RunStatus
from tests.detector.clips import FakeDetector


@pytest.fixture
def folder(clips, tmp_path):
    """Twelve numbered pictures whose names sort wrongly by letters, and what else lies in folders."""
    place = tmp_path / "die Bilder ∞"
    place.mkdir()
    for number in range(12):
        Image.fromarray(clips.picture(number)).save(place / f"bild {number}.png")
    (place / "notes.txt").write_text("no picture")
    (place / ".hidden.png").write_bytes(b"")
    return place


def read(source, **options):
    with open_video(source, **options) as video:
        return video.info, list(video), video.notes


def section(start=None, end=None):
    return Section(*(None if given is None else Fraction(str(given)) for given in (start, end)))


def test_a_folder_in_natural_order_at_25_a_second(clips, folder):
    info, frames, notes = read(folder)
    assert [clips.number(frame.picture) for frame in frames] == list(range(12))
    assert [(frame.index, frame.time) for frame in frames] == [(number, Fraction(number, 25)) for number in range(12)]
    assert (info.width, info.height, info.frame_rate, info.frame_count) == (clips.width, clips.height, 25, 12)
    assert notes == []


def test_a_pattern_at_another_rate(clips, folder):
    info, frames, _ = read(f"{folder}/bild ?.png", fps=Fraction(30000, 1001))
    assert [clips.number(frame.picture) for frame in frames] == list(range(10))
    assert frames[3].time == Fraction(3 * 1001, 30000)
    assert info.frame_rate == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("25", 25), ("12.5", Fraction(25, 2)), ("30000/1001", Fraction(30000, 1001)), ("0.1", Fraction(1, 10))],
)
def test_rates(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "-5", "1001", "25/0", "fast", "", "nan", "1/2/3"])
def test_invalid_rates(text):
    with pytest.raises(SettingsError, match="is not a frame rate"):
        parse_rate(text)


def test_pictures_of_other_sizes_are_fitted_in(folder):
    Image.new("RGB", (100, 320), (250, 0, 0)).save(folder / "bild 3.png")  # half as high it fits: 50x160 in the middle
    Image.new("RGB", (56, 40), (0, 250, 0)).save(folder / "bild 4.png")
    info, frames, notes = read(folder)
    assert all(frame.picture.shape == (info.height, info.width, 3) for frame in frames)
    red = frames[3].picture[:, :, 0] > 200
    assert np.flatnonzero(red.any(axis=0)).tolist() == list(range(87, 137)) and red[:, 90:130].all()
    assert not frames[3].picture[:, :80].any()
    assert (frames[4].picture[:, :, 1] > 240).all()
    assert notes == [f"{folder}: 2 pictures of another size fitted into 224x160, the first one's"]


def test_rotation_of_a_photo_is_applied(folder, clips):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(clips.picture(5))).save(folder / "bild 5.png", exif=exif)
    _, frames, notes = read(folder)
    assert clips.number(frames[5].picture) == 5
    assert notes == []


@pytest.mark.parametrize("damaged", [(0,), (3, 7), (0, 1, 11)])
def test_a_damaged_picture_is_skipped_and_the_others_keep_their_times(clips, folder, damaged):
    for number in damaged:
        path = folder / f"bild {number}.png"
        path.write_bytes(path.read_bytes()[:200])
    frames = []
    with open_video(folder) as video:
        with pytest.raises(StreamError, match=rf"{len(damaged)} of 12 pictures could not be read"):
            for frame in video:
                frames.append(frame)
        assert len(video.notes) == len(damaged)
        assert all(f"bild {number}.png" in note for number, note in zip(damaged, video.notes, strict=True))
    good = [number for number in range(12) if number not in damaged]
    assert [clips.number(frame.picture) for frame in frames] == good
    assert [frame.time for frame in frames] == [Fraction(number, 25) for number in good]
    assert [frame.index for frame in frames] == list(range(len(good)))


def test_no_picture_at_all(tmp_path):
    with pytest.raises(PictureError, match="the folder holds no pictures"):
        open_video(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(PictureError, match=r"only 1 other"):
        open_video(tmp_path)
    with pytest.raises(PictureError, match="no picture matches it"):
        open_video(tmp_path / "*.png")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(PictureError, match=r"none of its 2 pictures can be read; .*a\.png: not a picture"):
        open_video(tmp_path)


def test_a_section_of_a_folder(clips, folder):
    info, frames, _ = read(folder, section=section(0.1, 0.2))
    assert [clips.number(frame.picture) for frame in frames] == [3, 4]
    assert [frame.index for frame in frames] == [0, 1]
    assert (info.begin_seconds, info.frame_count) == (Fraction(3, 25), 2)
    assert "before the requested end, 9 s" in read(folder, section=section(0.4, 9))[2][0]
    with pytest.raises(SettingsError, match=r"the requested start, 0\.48 s, is after its last frame"):
        open_video(folder, section=section(0.48))
    with pytest.raises(SettingsError, match=r"no frame from 0\.001 s to 0\.002 s; the next is at 0\.04 s"):
        open_video(folder, section=section(0.001, 0.002))


@pytest.mark.parametrize("name", ["rtsp://camera/[1]", "http://host/a?b=*", "a.mp4", "a%03d.png"])
def test_names_that_are_not_patterns(name):
    assert not is_picture_series(name)


def test_a_rate_is_for_pictures_only(clips, tmp_path):
    path = clips.make(tmp_path / "a.mp4", range(3))
    with pytest.raises(SettingsError, match=r"a\.mp4: has its own timestamps; --fps is for"):
        open_video(path, fps=Fraction(10))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp", "a.tif", "a.ppm"])
def test_a_single_picture_is_not_a_video(tmp_path, name):
    Image.new("RGB", (64, 48), "red").save(tmp_path / name)
    with pytest.raises(VideoError, match=r"is a single picture, not a video; use `yolo3 image`"):
        open_video(tmp_path / name)


def test_numbered_names_as_other_programs_take_them(tmp_path):
    with pytest.raises(VideoError, match=r"no such file; for numbered pictures give their folder"):
        open_video(tmp_path / "frame_%04d.png")


DELAYS = (40, 200, 0, 10, 350)
"""Milliseconds; none and 10 mean 100 to browsers."""
TIMES = [0, 40, 240, 340, 440]


def drawn(clips, number):
    """A numbered picture, its lower half transparent."""
    picture = np.dstack([clips.picture(number), np.full((clips.height, clips.width), 255, np.uint8)])
    picture[clips.height // 2 :, :, 3] = 0
    return Image.fromarray(picture)


def animation(clips, path, **options):
    first, *others = (drawn(clips, number) for number in range(5))
    first.save(path, save_all=True, append_images=others, duration=list(DELAYS), loop=0, **options)
    return path


ANIMATIONS = [
    pytest.param("a.gif", {"disposal": 2}, id="gif"),
    pytest.param("a.png", {"disposal": 1}, id="apng"),
    pytest.param("a.webp", {"lossless": True}, id="webp"),
    pytest.param(
        "a.avif",
        {"quality": 100},
        id="avif",
        marks=pytest.mark.skipif(not features.check("avif"), reason="this Pillow knows no AVIF"),
    ),
]


@pytest.mark.parametrize(("name", "options"), ANIMATIONS)
def test_animations(clips, tmp_path, name, options):
    info, frames, notes = read(animation(clips, tmp_path / name, **options))
    assert [clips.number(frame.picture) for frame in frames] == list(range(5))  # once, however often it is looped
    assert (info.width, info.height, info.frame_count) == (clips.width, clips.height, 5)
    assert notes == []
    for frame in frames:
        assert (frame.picture[clips.height // 2 + 10 :] > 250).all()  # white where it is transparent
    if name != "a.avif":  # which Pillow writes with times of its own where there is no delay
        assert [frame.time * 1000 for frame in frames] == TIMES
        assert [frame.duration for frame in frames] == [40, 200, 100, 100, 350]


def test_partial_gif_frames_keep_the_previous_one(tmp_path):
    """Frames that change a part only: the rest is that of the frame before."""
    pictures = []
    for number in range(3):
        picture = Image.new("RGB", (60, 20), "white")
        picture.paste((255, 0, 0), (20 * number, 0, 20 * number + 20, 20))
        pictures.append(picture)
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=80)
    _, frames, _ = read(tmp_path / "a.gif")
    for number, frame in enumerate(frames):
        red = frame.picture[10, :, 1] < 50
        assert np.flatnonzero(red).tolist() == list(range(20 * number, 20 * number + 20))


def test_the_fallback_picture_is_not_a_frame(clips, tmp_path):
    first, *others = (drawn(clips, number) for number in range(4))
    first.save(tmp_path / "a.png", save_all=True, append_images=others, duration=80, default_image=True)
    _, frames, _ = read(tmp_path / "a.png")
    assert [clips.number(frame.picture) for frame in frames] == [1, 2, 3]
    assert [frame.time * 1000 for frame in frames] == [0, 80, 160]


def test_a_section_of_an_animation(clips, tmp_path):
    path = animation(clips, tmp_path / "a.gif")
    info, frames, _ = read(path, section=section(0.1, 0.4))
    assert [clips.number(frame.picture) for frame in frames] == [2, 3]
    assert info.begin_seconds == Fraction(240, 1000)
    with pytest.raises(SettingsError, match=r"is after its last frame, which ends at 0\.79 s"):
        open_video(path, section=section(5))
    with pytest.raises(SettingsError, match=r"no frame from 0\.05 s to 0\.1 s"):
        open_video(path, section=section(0.05, 0.1))
    assert "ends at 0.79 s, before the requested end, 5 s" in read(path, section=section(None, 5))[2][0]


@pytest.mark.parametrize(("name", "options"), [case for case in ANIMATIONS if case.id in ("gif", "apng")])
def test_a_truncated_animation(clips, tmp_path, name, options):
    path = animation(clips, tmp_path / name, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    numbers = []
    with open_video(path) as video, pytest.raises(StreamError, match=r"damaged or truncated; \d frames? could be read"):
        for frame in video:
            numbers.append(clips.number(frame.picture))
    assert 0 < len(numbers) < 5
    assert numbers == list(range(len(numbers)))


def test_a_gif_truncated_anywhere_is_reported(clips, tmp_path):
    whole = animation(clips, tmp_path / "whole.gif", disposal=2).read_bytes()
    path = tmp_path / "a.gif"
    said = 0
    for length in [*range(12, len(whole), len(whole) // 150), *range(len(whole) - 40, len(whole))]:
        path.write_bytes(whole[:length])
        try:
            _, _, notes = read(path)
        except (PictureError, VideoError, StreamError) as error:
            assert str(path) in str(error)
            said += 1
        else:
            assert notes == [f"{path}: has no end mark; it may be truncated"]  # cut between two frames
    assert said > 100


class Counting(FakeDetector):
    def __init__(self, *, fail_at=None):
        super().__init__()
        self.count, self.fail_at = 0, fail_at

    def detect(self, picture):
        if self.count == self.fail_at:
            raise WriteError("no room")
        self.count += 1
        return Detections(
            np.array([[20, 60, 90, 120]], np.float32),
            np.array([0.9], np.float32),
            np.array([0]),
            ("red", "green", "blue"),
        )


def annotate(source, model, outputs, finder=None, **options):
    finder = finder or Counting()
    given = VideoOptions(source, model, Settings(), outputs, **options)
    return annotate_video(given, bar=lambda total: contextlib.nullcontext(None), open_detector=finder.opened)


def test_a_folder_becomes_a_video_is_resumed_and_redrawn(clips, colour_model, folder, tmp_path):
    out, log = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    whole = Outputs(tmp_path / "whole.mp4", tmp_path / "whole.jsonl")
    rate = Fraction(10)
    assert annotate(folder, colour_model, whole, fps=rate).status is RunStatus.COMPLETE
    with pytest.raises(WriteError):
        annotate(folder, colour_model, Outputs(out, log), Counting(fail_at=8), fps=rate)
    with pytest.raises(OutputError, match="its frame rate was 10, not 25"):
        annotate(folder, colour_model, Outputs(out, log, resume=True))
    annotate(folder, colour_model, Outputs(out, log, resume=True), fps=rate)
    assert log.read_bytes() == whole.log.read_bytes()
    assert clips.times(out) == [Fraction(number, 10) for number in range(12)]
    assert [clips.number(picture) for _, picture in clips.decoded(out)] == list(range(12))
    redraw_verb(folder, log, tmp_path / "again.mp4", quiet=True)
    assert clips.times(tmp_path / "again.mp4") == clips.times(out)


def test_a_damaged_picture_makes_the_run_end_as_truncated(clips, colour_model, folder, tmp_path):
    (folder / "bild 4.png").write_bytes(b"nothing")
    log = tmp_path / "out.jsonl"
    summary = annotate(folder, colour_model, Outputs(tmp_path / "out.mp4", log))
    assert summary.status is RunStatus.TRUNCATED
    assert [note for note in summary.notes if "bild 4.png: not a picture" in note]
    assert Fraction(4, 25) not in clips.times(tmp_path / "out.mp4")
    frames = [record for record in read_log(log) if isinstance(record, FrameRecord)]
    assert [frame.frame for frame in frames] == list(range(11))
    assert frames[4].time == 0.2


def test_a_picture_that_is_read_is_not_overwritten(colour_model, folder):
    before = (folder / "bild 2.png").read_bytes()
    with pytest.raises(OutputError, match=r"bild 2\.png: is the input"):
        annotate(folder, colour_model, Outputs(None, folder / "bild 2.png", overwrite=True))
    assert (folder / "bild 2.png").read_bytes() == before
