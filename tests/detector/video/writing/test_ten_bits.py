"""Videos of 10 bits keep them in HEVC and AV1."""

from fractions import Fraction

import av
import numpy as np
import pytest

from detector.drawing.boxes import draw
from detector.video.reading.video_file import VideoFile
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter

WIDTH, HEIGHT = 192, 96


@pytest.fixture
def film(tmp_path):
    """Six frames with a ramp of a hundred shades, more than 8 bits have."""
    path = tmp_path / "ten.mp4"
    with av.open(str(path), "w") as output:
        options = {"x265-params": "lossless=1:log-level=error"}
        stream = output.add_stream("libx265", rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p10le"
        for number in range(6):
            luma = np.tile(np.linspace(100, 200, WIDTH).astype(np.uint16), (HEIGHT, 1)) + number
            chroma = np.full((HEIGHT // 2, WIDTH), 512, np.uint16)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p10le")))
        output.mux(stream.encode(None))
    return path


def decoded(path):
    """The layout of a video, and the 10-bit luma of its frames."""
    with av.open(str(path)) as source:
        frames = [frame.reformat(format="yuv420p10le").to_ndarray()[:HEIGHT] for frame in source.decode(video=0)]
        return source.streams.video[0].pix_fmt, np.array(frames).astype(int)


def copied(film, out, boxes=None, **settings):
    with VideoFile(str(film)) as source, VideoWriter(out, source.info, settings=VideoSettings(**settings)) as sink:
        for frame in source:
            if boxes is not None:
                draw(frame.image, boxes, labels=False)
            sink.write(frame, boxes)
    return decoded(out)


@pytest.mark.parametrize(
    ("codec", "layout", "shades", "error"),
    [("hevc", "yuv420p10le", 80, 0.3), ("av1", "yuv420p10le", 80, 0.3), ("h264", "yuv420p", 1, 2.5)],
)
def test_shades(codec, layout, shades, error, film, tmp_path):
    found, frames = copied(film, tmp_path / "out.mp4", codec=codec, crf=4)
    expected = decoded(film)[1]
    assert found == layout and frames.shape == expected.shape
    assert len(np.unique(frames[0])) > shades
    assert np.abs(frames - expected).mean() < error


def test_boxes_are_drawn_and_all_else_is_the_sources(film, tmp_path, boxes_of):
    box = boxes_of((20, 20, 80, 70), names=("car",))
    _, plain = copied(film, tmp_path / "plain.mp4", codec="hevc", crf=4)
    _, drawn = copied(film, tmp_path / "drawn.mp4", box, codec="hevc", crf=4)
    change = np.abs(drawn - plain).max(axis=0)
    assert change[20, 30:70].min() > 40
    assert change[:, 110:].max() <= 4


def test_a_source_of_8_bits_stays_one(clips, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(3))
    with (
        VideoFile(str(source)) as video,
        VideoWriter(tmp_path / "out.mp4", video.info, settings=VideoSettings(codec="hevc")) as sink,
    ):
        for frame in video:
            assert frame.image.decoded is None
            sink.write(frame, None)
    with av.open(str(tmp_path / "out.mp4")) as copy:
        assert copy.streams.video[0].pix_fmt == "yuv420p"
