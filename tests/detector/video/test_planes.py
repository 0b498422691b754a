"""Pictures that reach the encoder as the source stores them."""

from fractions import Fraction

import av
import pytest

from detector.draw import draw
from detector.video.codecs import VideoSettings
from detector.video.frames import Sink
from detector.video.loop import run
from detector.video.sinks import VideoWriter
from detector.video.sources import VideoFile


def planes_of(path):
    with av.open(str(path)) as video:
        return [frame.to_ndarray().astype(int) for frame in video.decode(video=0)]


@pytest.fixture
def lossless(clips, tmp_path):
    """A source of these colours."""

    def make(matrix, full_range):
        path = tmp_path / "in.mp4"
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
            stream.width, stream.height = clips.width, clips.height
            stream.pix_fmt = "yuvj420p" if full_range else "yuv420p"
            context = stream.codec_context
            context.colorspace, context.color_range = matrix, 2 if full_range else 1
            for number in range(5):
                frame = av.VideoFrame.from_ndarray(clips.picture(number)).reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make


def through(source, target, detect, annotate):
    with VideoFile(source) as video:
        writer = VideoWriter(target, video.info, settings=VideoSettings(crf=0, preset="ultrafast"))
        run(video, detect, [writer], annotate=annotate)


@pytest.mark.parametrize(("matrix", "full_range"), [(5, False), (1, False), (1, True), (5, True)])
@pytest.mark.parametrize("boxes", [[], [(31, 41, 120, 131)]], ids=["plain", "one box"])
def test_pixels_without_boxes_stay_as_they_are(lossless, tmp_path, boxes_of, matrix, full_range, boxes):
    source = lossless(matrix, full_range)
    through(source, tmp_path / "out.mp4", lambda picture: boxes_of(*boxes), draw)
    before, after = planes_of(source), planes_of(tmp_path / "out.mp4")
    assert len(before) == len(after) == 5
    for old, new in zip(before, after, strict=True):
        changed = old != new
        assert changed[:160].mean() < (0.06 if boxes else 1e-9)
        if boxes:
            assert changed[41, 40:110].mean() > 0.9
            assert not changed[52:120, 40:110].any()  # within the outline
            assert not changed[140:160].any()


def test_picture_drawn_on_in_an_unknown_place_is_converted_whole(lossless, tmp_path, boxes_of):
    source = lossless(1, False)

    def annotate(picture, detections):
        picture[100:] = 255

    through(source, tmp_path / "out.mp4", lambda picture: boxes_of(), annotate)
    assert all((plane[100:160] > 230).all() for plane in planes_of(tmp_path / "out.mp4"))


def test_rotated_and_odd_pictures_are_converted(clips, tmp_path):
    turned = clips.make(tmp_path / "turned.mp4", range(2), rotate=90)
    with VideoFile(turned) as video:
        assert [frame.planes for frame in video] == [None, None]
    plain = clips.make(tmp_path / "plain.mp4", range(2))
    seen = []

    class Look(Sink):
        def write(self, frame, detections):
            seen.append(frame.planes.shape)

        def __exit__(self, *ending):
            pass

    with VideoFile(plain) as video, Look() as look:
        for frame in video:
            look.write(frame, None)
    assert seen == [(240, 224)] * 2
