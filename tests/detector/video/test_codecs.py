from fractions import Fraction
from pathlib import Path

import av
import pytest

from detector.detections import Detections
from detector.errors import OutputError, SettingsError
from detector.video.codecs import VideoSettings, encoder_for
from detector.video.sinks import VideoWriter
from detector.video.sources import VideoFile


@pytest.mark.parametrize(
    ("name", "codec", "written"),
    [
        ("out.mp4", "hevc", "hevc"),
        ("out.mp4", "av1", "av1"),
        ("out.mp4", "vp9", "vp9"),
        ("out.mkv", "vp9", "vp9"),
        ("out.webm", None, "vp9"),
        ("out.webm", "av1", "av1"),
    ],
)
def test_every_codec_keeps_frames_and_times(clips, tmp_path, name, codec, written):
    pts = [index * 40 + index % 7 for index in range(30)]
    source = clips.make(tmp_path / "in.mp4", pts, time_base=Fraction(1, 1000), sound="aac")
    with VideoFile(source) as video:
        settings = VideoSettings(codec=codec, preset="ultrafast")
        writer = VideoWriter(tmp_path / name, video.info, sound_from=source, settings=settings)
        with writer:
            for frame in video:
                writer.write(frame, Detections.empty())
    read = clips.decoded(tmp_path / name)
    assert [clips.number(picture) for _, picture in read] == list(range(30))
    assert all(abs(time - Fraction(tick, 1000)) <= Fraction(1, 1000) for (time, _), tick in zip(read, pts, strict=True))
    with av.open(str(tmp_path / name)) as result:
        # Newer FFmpegs call a decoder for AV1 by its library.
        assert written in result.streams.video[0].codec_context.codec.canonical_name
        (sound,) = result.streams.audio
        assert sound.codec_context.name == ("opus" if name.endswith(".webm") else "aac")
    assert any("to Opus" in note for note in writer.notes) == name.endswith(".webm")


def test_what_does_not_go_together():
    with pytest.raises(OutputError, match=r"a \.webm file holds no h264"):
        encoder_for(VideoSettings(codec="h264"), Path("a.webm"))
    with pytest.raises(SettingsError, match="quality 52 is out of range"):
        encoder_for(VideoSettings(crf=52), Path("a.mp4"))
    with pytest.raises(SettingsError, match="codec 'mpeg2' is not known"):
        encoder_for(VideoSettings(codec="mpeg2"), Path("a.mp4"))
