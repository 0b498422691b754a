from fractions import Fraction

import av
import numpy as np
import pytest

from detector.detections import Detections
from detector.pipeline.loop import run
from detector.video.colours import ToRgb, colours_of
from detector.video.frames import Colours
from detector.video.hdr import HLG, PQ, SHOWN, hlg_light, is_hdr, pq_code, pq_light, tone_mapped
from detector.video.reading.video_file import VideoFile
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter


def grey(code, transfer):
    return tone_mapped(np.full((1, 1, 3), round(code * 65535), np.uint16), transfer)[0, 0].tolist()


@pytest.mark.parametrize(("nits", "code"), [(0, 0.0), (100, 0.508078), (203, 0.580690), (1000, 0.751827), (10_000, 1)])
def test_pq_is_that_of_the_standard(nits, code):
    """Values of SMPTE ST 2084, as ITU-R BT.2408 gives them."""
    assert pq_code(np.array([float(nits)]))[0] == pytest.approx(code, abs=1e-5)
    assert pq_light(np.array([code]))[0] == pytest.approx(nits, rel=1e-3, abs=1e-4)


def test_hlg_is_that_of_the_standard():
    assert hlg_light(np.array([0, 0.5, 0.75, 1])) == pytest.approx([0, 1 / 12, 0.2650, 1], abs=1e-4)


def test_dark_and_mid_tones_are_unchanged_and_the_peak_is_white():
    for nits in (1, 10, 30):  # below the knee: the screen shows what was meant, white being 203
        shown = (grey(pq_code(np.array([float(nits)]))[0], PQ)[0] / 255) ** 2.4 * 203
        assert shown == pytest.approx(nits, rel=0.05)
    assert grey(pq_code(np.array([1000.0]))[0], PQ) == [255] * 3
    assert grey(1.0, PQ) == grey(1.0, HLG) == [255] * 3
    assert grey(0.0, PQ) == grey(0.0, HLG) == [0] * 3


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_is_never_darker(transfer):
    ramp = np.arange(65536, dtype=np.uint16)[None, :, None].repeat(3, axis=2)
    shown = tone_mapped(ramp, transfer)[0].astype(int)
    assert (np.diff(shown, axis=0) >= 0).all()
    assert (np.ptp(shown, axis=1) <= 1).all()  # grey stays grey


def test_colours_keep_their_hue():
    dark, bright = (
        tone_mapped(np.rint(65535 * pq_code(np.array([[[2.0, 1, 1]]]) * nits)).astype(np.uint16), PQ)[0, 0] / 255
        for nits in (10, 400)
    )
    assert dark[0] > 1.2 * dark[1] and bright[0] > 1.2 * bright[1]
    assert bright**2.4 / bright[0] ** 2.4 == pytest.approx(dark**2.4 / dark[0] ** 2.4, abs=0.02)


BRIGHT = np.array([[200.0, 20, 20], [20, 150, 20], [15, 30, 180], [90, 90, 90], [120, 80, 10], [30, 30, 30]])
"""cd/m² of red, green and blue in BT.2020, in six columns."""


def pq_yuv(nits):
    """10-bit limited-range BT.2020 YUV of light in cd/m² (ITU-R BT.2100, table 6)."""
    r, g, b = np.moveaxis(pq_code(nits), -1, 0)
    y = 0.2627 * r + 0.6780 * g + 0.0593 * b
    return np.rint(np.stack([64 + 876 * y, 512 + 896 * (b - y) / 1.8814, 512 + 896 * (r - y) / 1.4746])).astype(
        np.uint16
    )


@pytest.fixture
def hdr_clip(tmp_path):
    """A 10-bit PQ film of coloured bars."""
    path = tmp_path / "hdr.mkv"
    bars = pq_yuv(BRIGHT)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 48, "yuv420p10le"
        tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": PQ}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number in range(3):
            frame = av.VideoFrame(192, 48, "yuv420p10le")
            for plane, levels in zip(frame.planes, bars, strict=True):
                row = np.zeros(plane.line_size // 2, np.uint16)
                row[: plane.width] = levels.repeat(plane.width // len(BRIGHT))
                plane.update(np.tile(row, plane.buffer_size // plane.line_size).tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for name, value in tags.items():
                setattr(frame, name, value)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def in_bt709(nits):
    """8-bit BT.709 of light in cd/m² below the knee, white being 203 (ITU-R BT.2087 and BT.1886)."""
    matrix = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
    return 255 * np.clip(nits @ matrix.T / 203, 0, 1) ** (1 / 2.4)


def test_an_hdr_video_is_read_and_written_as_bt709(hdr_clip, tmp_path):
    seen = []

    def detect(frame):
        seen.append(np.asarray(frame.image).copy())
        return Detections.empty()

    with VideoFile(hdr_clip) as video:
        assert is_hdr(video.info.colours)
        settings = VideoSettings(crf=1)
        summary = run(video, detect, [VideoWriter(tmp_path / "out.mp4", video.info, settings=settings)])
    assert any("HDR" in note for note in summary.notes)
    with av.open(str(tmp_path / "out.mp4")) as video:
        frames = list(video.decode(video=0))
    assert len(frames) == len(seen) == 3
    assert colours_of(frames[0]) == SHOWN == Colours(matrix=1, primaries=1, transfer=1)
    middles = [16 + 32 * bar for bar in range(len(BRIGHT))]
    written = ToRgb(width=192, height=48)(frames[0])
    # Below the knee of the roll-off, brightness is computed exactly; above it, the hue is.
    dark = [number for number, light in enumerate(BRIGHT) if light.max() <= 40]
    assert dark == [5]
    for picture in (seen[0], written):
        colours = picture[24, middles].astype(float)
        np.testing.assert_allclose(colours[dark], in_bt709(BRIGHT[dark]), atol=3)
        for colour, expected in zip(colours, in_bt709(BRIGHT), strict=True):
            linear, wanted = (colour / 255) ** 2.4, (expected / 255) ** 2.4
            assert linear / linear.max() == pytest.approx(wanted / wanted.max(), abs=0.04)
    np.testing.assert_allclose(written[24, middles].astype(int), seen[0][24, middles].astype(int), atol=4)


@pytest.mark.parametrize("white", [65280, 65472, 65535])
def test_white_is_the_given_code(white):
    assert tone_mapped(np.full((1, 1, 3), white, np.uint16), PQ, white=white)[0, 0].tolist() == [255] * 3
    middle = tone_mapped(np.full((1, 1, 3), round(0.5 * white), np.uint16), PQ, white=white)
    assert middle[0, 0].tolist() == grey(0.5, PQ)
