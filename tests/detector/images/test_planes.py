"""Pictures that are encoded in the planes in which the source stores them."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from detector.drawing.boxes import draw
from detector.images.planes import Planes
from detector.pipeline.annotate_video import draw_boxes
from detector.pipeline.loop import LoopOptions, run
from detector.video.colours import FromRgb, ToImage
from detector.video.frames import Colours
from detector.video.reading.video_file import VideoFile
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter


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
        run(video, detect, [writer], LoopOptions(annotate=annotate))


@pytest.mark.parametrize(("matrix", "full_range"), [(5, False), (1, False), (1, True), (5, True)])
@pytest.mark.parametrize("boxes", [[], [(31, 41, 120, 131)]], ids=["plain", "one box"])
def test_pixels_outside_boxes_are_unchanged(lossless, tmp_path, boxes_of, matrix, full_range, boxes):
    source = lossless(matrix, full_range)
    through(source, tmp_path / "out.mp4", lambda picture: boxes_of(*boxes), draw_boxes)
    before, after = planes_of(source), planes_of(tmp_path / "out.mp4")
    assert len(before) == len(after) == 5
    for old, new in zip(before, after, strict=True):
        changed = old != new
        assert changed[:160].mean() < (0.06 if boxes else 1e-9)
        if boxes:
            assert changed[41, 40:110].mean() > 0.9
            assert not changed[52:120, 40:110].any()  # within the outline
            assert not changed[140:160].any()


def test_picture_changed_in_rgb_is_converted_whole(lossless, tmp_path, boxes_of):
    source = lossless(1, False)

    def annotate(frame, detections):
        frame.to_rgb()[100:] = 255

    through(source, tmp_path / "out.mp4", lambda picture: boxes_of(), annotate)
    assert all((plane[100:160] > 230).all() for plane in planes_of(tmp_path / "out.mp4"))


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_rotated_planes_are_the_turned_picture(clips, tmp_path, rotate):
    upright = clips.make(tmp_path / "plain.mp4", range(2))
    turned = clips.make(tmp_path / "turned.mp4", range(2), rotate=rotate)
    with VideoFile(upright) as plain, VideoFile(turned) as video:
        for one, other in zip(plain, video, strict=True):
            assert isinstance(other.image, Planes) and other.size == (video.info.width, video.info.height)
            assert np.array_equal(np.rot90(one.image.luma, rotate // 90), other.image.luma)
            assert np.abs(np.rot90(one.picture, rotate // 90).astype(int) - other.picture).max() <= 3


@pytest.mark.parametrize("size", [(225, 161), (225, 160), (224, 161)])
def test_odd_sizes(clips, tmp_path, boxes_of, size):
    """VP9 stores them; the copy is even, and its pixels are the source's."""
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(clips.picture(number, width=size[0], height=size[1]))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    with VideoFile(path) as video:
        frames = list(video)
    assert all(frame.size == size and frame.picture.shape == (size[1], size[0], 3) for frame in frames)
    assert [clips.number(frame.picture) for frame in frames] == [0, 1, 2]
    through(path, tmp_path / "out.mp4", lambda picture: boxes_of((0, 0, *size)), draw_boxes)
    with av.open(str(tmp_path / "out.mp4")) as video:
        for frame, old in zip(video.decode(video=0), frames, strict=True):
            luma = frame.to_ndarray()[: frame.height]
            assert luma.shape == (size[1] + size[1] % 2, size[0] + size[0] % 2)
            assert np.array_equal(
                luma[50 : size[1] - 4, 4 : size[0] - 4], old.image.luma[50 : size[1] - 4, 4 : size[0] - 4]
            )


@pytest.mark.parametrize("pixel_format", ["yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le"])
@pytest.mark.parametrize("full_range", [False, True])
def test_other_layouts_come_in_planes_too(tmp_path, pixel_format, full_range):
    """Grey bars: each level of the source must be the 8-bit level that it stands for."""
    bits = 10 if "10" in pixel_format else 12 if "12" in pixel_format else 8
    levels = np.linspace(16, 235, 64).round().astype(int).repeat(4)
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 32, pixel_format
        stream.codec_context.color_range = 2 if full_range else 1
        stream.codec_context.colorspace = 1
        frame = av.VideoFrame(256, 32, pixel_format)
        for number, plane in enumerate(frame.planes):
            row = (levels << (bits - 8)) if number == 0 else np.full(plane.width, 128 << (bits - 8))
            kind = np.uint8 if bits == 8 else np.uint16
            padded = np.zeros((plane.height, plane.line_size // np.dtype(kind).itemsize), kind)
            padded[:, : plane.width] = row
            plane.update(padded.tobytes())
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        frame.color_range, frame.colorspace = 2 if full_range else 1, 1
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with VideoFile(path) as video:
        (image,) = (frame.image for frame in video)
    assert isinstance(image, Planes)
    assert np.abs(image.luma - levels).max() <= 1
    assert np.abs(image.chroma.astype(int) - 128).max() <= 1  # FFmpeg dithers


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full_range", [False, True])
def test_small_input_made_from_planes_is_the_resized_picture(matrix, full_range):
    """Against the exact conversion of the whole picture, which is then resized."""
    random = np.random.default_rng(matrix)
    soft = cv2.resize(random.integers(0, 256, (12, 18, 3), np.uint8), (288, 192), interpolation=cv2.INTER_CUBIC)
    colours = Colours(matrix=matrix, full_range=full_range)
    frame = FromRgb(colours, height=192)(soft)
    image = ToImage(frame)(frame)
    for size in ((144, 96), (100, 70), (288, 192), (320, 224)):
        expected = cv2.resize(image.rgb, size, interpolation=cv2.INTER_LINEAR) / 255
        assert np.abs(image.resized(*size) - expected).mean() < 0.005
        assert np.abs(image.resized(*size) - expected).max() < 0.05


def test_boxes_on_planes_look_as_they_do_in_rgb(boxes_of):
    random = np.random.default_rng(3)
    soft = cv2.resize(random.integers(0, 256, (6, 9, 3), np.uint8), (288, 192), interpolation=cv2.INTER_CUBIC)
    frame = FromRgb(Colours(matrix=1), height=192)(soft)
    image = ToImage(frame)(frame)
    plain = image.rgb.copy()
    found = boxes_of((31, 41, 120, 131), (150.4, 20.3, 280, 187), names=("car",))
    expected = plain.copy()
    draw(expected, found)
    draw(image, found)
    drawn = (expected != plain).any(axis=2)
    assert np.abs(image.rgb.astype(int) - expected)[drawn].mean() < 25  # colour is stored for four pixels together
    far = cv2.dilate(drawn.astype(np.uint8), np.ones((5, 5))) == 0
    assert np.array_equal(image.rgb[far], plain[far])
