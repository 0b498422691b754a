from fractions import Fraction

import av
import numpy as np
import pytest

from detector.detections import Detections
from detector.pipeline.loop import run
from detector.video.colours import colours_of
from detector.video.frames import Colours
from detector.video.hdr import HLG, PQ, SHOWN, hlg_light, is_hdr, pq_code, pq_light, tone_mapped
from detector.video.reading.video_file import VideoFile
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


def test_dark_and_mid_tones_stay_and_the_peak_is_white():
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


@pytest.fixture
def hdr_clip(tmp_path):
    """A 10-bit PQ film of one grey of 30 cd/m²."""
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": PQ}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p10le")
            for index, plane in enumerate(frame.planes):
                level = 512 if index else round(64 + 876 * pq_code(np.array([30.0]))[0])
                plane.update(np.full(plane.buffer_size // 2, level, np.uint16).tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for name, value in tags.items():
                setattr(frame, name, value)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def test_an_hdr_video_is_read_and_written_as_bt709(hdr_clip, tmp_path):
    with VideoFile(hdr_clip) as video:
        assert is_hdr(video.info.colours)
        summary = run(video, lambda picture: Detections.empty(), [VideoWriter(tmp_path / "out.mp4", video.info)])
    assert any("HDR" in note for note in summary.notes)
    expected = 255 * (30 / 203) ** (1 / 2.4)
    with av.open(str(tmp_path / "out.mp4")) as video:
        frames = list(video.decode(video=0))
    assert len(frames) == 3
    found = colours_of(frames[0])
    assert found == SHOWN == Colours(matrix=1, primaries=1, transfer=1)
    assert frames[0].to_ndarray()[:48].mean() == pytest.approx(16 + expected * 219 / 255, abs=2)
