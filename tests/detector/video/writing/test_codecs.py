from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest

from detector.detections import Detections
from detector.errors import OutputError, SettingsError
from detector.video.frames import Colours, VideoInfo
from detector.video.reading.video_file import VideoFile
from detector.video.writing.codecs import VideoSettings, encoder_for
from detector.video.writing.video_writer import VideoWriter

HOLDS = [
    *((f"out{ending}", codec) for ending in (".mp4", ".m4v", ".mkv") for codec in ("h264", "hevc", "av1", "vp9")),
    *(("out.mov", codec) for codec in ("h264", "hevc")),
    *(("out.webm", codec) for codec in ("vp9", "av1")),
]


@pytest.mark.parametrize(("name", "codec"), HOLDS)
def test_every_codec_keeps_frames_and_times(clips, tmp_path, name, codec):
    pts = [index * 40 + index % 7 for index in range(29)] + [2000]
    source = clips.make(tmp_path / "in.mp4", pts, time_base=Fraction(1, 1000), sound="aac")
    with VideoFile(source) as video:
        settings = VideoSettings(codec=codec, preset="ultrafast")
        writer = VideoWriter(tmp_path / name, video.info, audio_from=source, settings=settings)
        with writer:
            for frame in video:
                writer.write(frame, Detections.empty())
    read = clips.decoded(tmp_path / name)
    assert [clips.number(picture) for _, picture in read] == list(range(30))
    tolerance = Fraction(1, 1000) if name.endswith((".mkv", ".webm")) else 0
    assert all(abs(time - Fraction(tick, 1000)) <= tolerance for (time, _), tick in zip(read, pts, strict=True))
    with av.open(str(tmp_path / name)) as result:
        # Newer FFmpegs call a decoder for AV1 by its library.
        assert codec in result.streams.video[0].codec_context.codec.canonical_name
        (sound,) = result.streams.audio
        assert sound.codec_context.name == ("opus" if name.endswith(".webm") else "aac")
        if codec == "hevc" and not name.endswith(".mkv"):
            assert result.streams.video[0].codec_context.codec_tag == "hvc1"  # Apple's players want it
    assert any("to Opus" in note for note in writer.notes) == name.endswith(".webm")


@pytest.mark.parametrize(("name", "codec"), HOLDS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_video_of_few_frames(clips, tmp_path, name, codec, count):
    info = VideoInfo("made", clips.width, clips.height, Fraction(1, 25))
    with VideoWriter(tmp_path / name, info, settings=VideoSettings(codec=codec, preset="ultrafast")) as writer:
        for frame in clips.frames(count):
            writer.write(frame, Detections.empty())
    assert [clips.number(picture) for _, picture in clips.decoded(tmp_path / name)] == list(range(count))
    assert clips.times(tmp_path / name) == [Fraction(number, 25) for number in range(count)]


def test_webm_is_vp9_unless_told_otherwise():
    assert encoder_for(VideoSettings(), Path("a.webm")).name == "libvpx-vp9"
    assert encoder_for(VideoSettings(), Path("a.mp4")).name == "libx264"


@pytest.mark.parametrize(("name", "codec"), HOLDS)
@pytest.mark.parametrize(
    "colours",
    [
        pytest.param(Colours(6, False, 6, 6), id="BT.601"),
        pytest.param(Colours(1, True, 1, 1), id="BT.709, full range"),
        pytest.param(Colours(9, False, 9, 14), id="BT.2020"),
    ],
)
def test_every_codec_keeps_the_colours(clips, tmp_path, name, codec, colours):
    path = tmp_path / name
    info = VideoInfo("made", clips.width, clips.height, Fraction(1, 25), colours=colours)
    with VideoWriter(path, info, settings=VideoSettings(codec=codec, preset="ultrafast")) as writer:
        for frame in clips.frames(2):
            writer.write(frame, Detections.empty())
    with VideoFile(path) as video:
        assert video.info.colours == colours


@pytest.mark.parametrize(("name", "codec"), HOLDS)
@pytest.mark.parametrize("aspect", [Fraction(16, 11), Fraction(8, 9)])
def test_every_codec_keeps_the_shape_on_the_screen(clips, tmp_path, name, codec, aspect):
    path = tmp_path / name
    info = VideoInfo("made", clips.width, clips.height, Fraction(1, 25), pixel_aspect=aspect)
    with VideoWriter(path, info, settings=VideoSettings(codec=codec, preset="ultrafast")) as writer:
        for frame in clips.frames(3):
            writer.write(frame, Detections.empty())
    with VideoFile(path) as video:
        shown = Fraction(video.info.width, video.info.height) * video.info.pixel_aspect
        numbers = [clips.number(cv2.resize(frame.picture, (clips.width, clips.height))) for frame in video]
    assert float(shown) == pytest.approx(clips.width / clips.height * aspect, rel=0.02)
    assert numbers == [0, 1, 2]


def test_codecs_and_containers_that_do_not_fit():
    with pytest.raises(OutputError, match=r"a \.webm file cannot hold h264"):
        encoder_for(VideoSettings(codec="h264"), Path("a.webm"))
    with pytest.raises(OutputError, match=r"a \.mov file cannot hold av1; use --codec h264 or hevc"):
        encoder_for(VideoSettings(codec="av1"), Path("a.mov"))
    with pytest.raises(SettingsError, match="quality 52 is out of range"):
        encoder_for(VideoSettings(crf=52), Path("a.mp4"))
    with pytest.raises(SettingsError, match="codec 'mpeg2' is not known"):
        encoder_for(VideoSettings(codec="mpeg2"), Path("a.mp4"))
