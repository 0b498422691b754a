"""Everything copied beside the video: subtitles, several audio tracks, chapters, tags, offsets between streams."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet

from detector.detections import Detections
from detector.pipeline.loop import run
from detector.video.reading.opening import open_video
from detector.video.section import WHOLE, Section
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter

TEXTS = [(200, 900, "Hallo"), (1500, 3500, "Grüße, Welt"), (4000, 4500, "Ende"), (5000, 5900, "…")]
"""Start and end in milliseconds."""

STYLES = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
TICK = Fraction(1, 1000)


def make(path, *, subtitles=("subrip", "ass"), sounds=("aac", "libmp3lame"), seconds=6, font=None):
    """A video with tracks in these codecs, in German, French, …; with two chapters, a title and a font."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "25"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        tones = [output.add_stream(codec, rate=44100) for codec in sounds]
        texts = [output.add_stream(codec) for codec in subtitles]
        for track, language in zip([*tones, *texts], ["eng", "ger", "fre", "spa", "ita"], strict=False):
            track.metadata.update({"language": language, "title": f"Spur {language}"})
        for track in texts:
            track.codec_context.time_base = TICK
            track.codec_context.subtitle_header = STYLES
        output.metadata.update({"title": "Ein Film — é", "creation_time": "2020-01-02T03:04:05.000000Z"})
        edges = [(0, 3000, "eins"), (3000, 1000 * seconds, "zwei")]
        output.set_chapters(
            [
                {"id": number, "start": start, "end": end, "time_base": TICK, "metadata": {"title": title}}
                for number, (start, end, title) in enumerate(edges)
            ]
        )
        if font:
            output.add_attachment("schrift.ttf", "font/ttf", font)
        for number in range(25 * seconds):
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), number, np.uint8))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        for pitch, track in enumerate(tones, 3):
            for start in range(0, seconds * 44100, 4410):
                wave = (np.sin(np.arange(start, start + 4410) * pitch / 100) * 9000).astype(np.int16)
                samples = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
                samples.sample_rate, samples.pts, samples.time_base = 44100, start, Fraction(1, 44100)
                output.mux(track.encode(samples))
            output.mux(track.encode(None))
        for track in texts:
            for number, (start, end, text) in enumerate(TEXTS):
                line = f"{number},0,Default,,0,0,0,,{text}".encode()
                packet = track.codec_context.encode_subtitle(SubtitleSet.create(line, 0, end - start))
                packet.stream, packet.time_base = track, TICK
                packet.pts = packet.dts = start
                packet.duration = end - start
                output.mux(packet)
    return path


def copied(source, target, part=WHOLE, **options):
    with open_video(source, section=part) as video:
        settings = VideoSettings(preset="ultrafast")
        writer = VideoWriter(target, video.info, audio_from=video.audio_from, settings=settings, **options)
        return run(video, lambda picture: Detections.empty(), [writer]).notes


def texts_of(path, track=0):
    """Start and end in milliseconds, and the words, of all that is shown."""
    found = []
    with av.open(str(path)) as video:
        stream = video.streams.subtitles[track]
        for packet in video.demux(stream):
            shown = stream.codec_context.decode2(packet) if packet.size else None
            words = b"".join(rect.dialogue for rect in shown).decode() if shown is not None else ""
            if words:
                start = round(packet.pts * packet.time_base * 1000)
                found.append((start, start + round(packet.duration * packet.time_base * 1000), words))
    return found


CONTAINERS = [
    (".mp4", ("mov_text", "mov_text")),
    (".mov", ("mov_text", "mov_text")),
    (".mkv", ("subrip", "ass")),
    (".webm", ("webvtt", "webvtt")),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make(tmp_path_factory.mktemp("source") / "in.mkv")


@pytest.mark.parametrize(("ending", "kinds"), CONTAINERS)
def test_subtitles_are_copied(source, tmp_path, ending, kinds):
    target = tmp_path / f"out{ending}"
    notes = copied(source, target)
    assert [note for note in notes if "subtitle track" in note] == []
    with av.open(str(target)) as video:
        tracks = video.streams.subtitles
        assert tuple(track.codec_context.codec.canonical_name for track in tracks) == kinds
        # QuickTime has numbers for languages, and FFmpeg not all of them.
        assert [track.language for track in tracks] == ["fre", "spa"] or ending == ".mov"
        titles = [track.metadata.get("title") or track.metadata.get("name") for track in tracks]
        assert titles == ["Spur fre", "Spur spa"]
    for track in (0, 1):
        assert texts_of(target, track) == TEXTS


@pytest.mark.parametrize(("ending", "kinds"), CONTAINERS)
def test_subtitles_are_cut_to_a_section(source, tmp_path, ending, kinds):
    target = tmp_path / f"out{ending}"
    copied(source, target, Section(Fraction(2), Fraction("5.4")))
    for track in (0, 1):
        assert texts_of(target, track) == [(0, 1500, "Grüße, Welt"), (2000, 2500, "Ende"), (3000, 3400, "…")]


@pytest.mark.parametrize(("ending", "kinds"), [(".mp4", "mov_text"), (".mkv", "subrip"), (".webm", "webvtt")])
def test_mp4_subtitles_are_copied(tmp_path, ending, kinds):
    source = make(tmp_path / "in.mp4", subtitles=("mov_text",), sounds=("aac",))
    copied(source, tmp_path / f"out{ending}")
    assert texts_of(source) == texts_of(tmp_path / f"out{ending}") == TEXTS
    with av.open(str(tmp_path / f"out{ending}")) as video:
        assert video.streams.subtitles[0].codec_context.codec.canonical_name == kinds


def test_bitmap_subtitles_are_left_out_with_a_note(tmp_path):
    """Subtitles of DVDs are bitmaps, which MP4 cannot hold."""
    made = make(tmp_path / "made.mkv", subtitles=(), sounds=())
    source = tmp_path / "in.mkv"
    with av.open(str(made)) as video, av.open(str(source), "w") as output:
        pictures = output.add_stream_from_template(video.streams.video[0])
        drawn = output.add_stream("dvdsub")
        for packet in video.demux(video=0):
            if packet.size:
                packet.stream = pictures
                output.mux(packet)
        for start in (500, 2500):
            packet = av.Packet(bytes(range(64)))
            packet.stream, packet.time_base, packet.pts, packet.dts = drawn, TICK, start, start
            packet.duration = 900
            output.mux(packet)
    notes = copied(source, tmp_path / "out.mp4")
    assert notes == (f"{tmp_path}/out.mp4: 1 subtitle track left out (dvd_subtitle): this container cannot hold it",)
    assert copied(source, tmp_path / "out.mkv") == ()
    with av.open(str(tmp_path / "out.mkv")) as video:
        packets = [(packet.pts, bytes(packet)) for packet in video.demux(subtitles=0) if packet.size]
    assert packets == [(500, bytes(range(64))), (2500, bytes(range(64)))]


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
def test_tags_and_chapters_are_copied(source, tmp_path, ending):
    target = tmp_path / f"out{ending}"
    copied(source, target)
    with av.open(str(target)) as video:
        assert video.metadata["title"] == "Ein Film — é"
        assert video.metadata["creation_time"] == "2020-01-02T03:04:05.000000Z"
        assert [track.metadata.get("title") or track.metadata.get("name") for track in video.streams.audio] == [
            "Spur eng",
            "Spur ger",
        ]
        assert [track.language for track in video.streams.audio] == ["eng", "ger"]
        assert chapters_of(video) == [(0, 3, "eins"), (3, 6, "zwei")]


def chapters_of(video):
    return [
        (*(chapter[edge] * chapter["time_base"] for edge in ("start", "end")), chapter["metadata"]["title"])
        for chapter in video.chapters()
    ]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_chapters_of_a_section(source, tmp_path, ending):
    copied(source, tmp_path / f"a{ending}", Section(Fraction(2), Fraction(5)))
    with av.open(str(tmp_path / f"a{ending}")) as video:
        assert chapters_of(video) == [(0, 1, "eins"), (1, 3, "zwei")]
    copied(source, tmp_path / f"b{ending}", Section(Fraction(4), None))
    with av.open(str(tmp_path / f"b{ending}")) as video:
        assert chapters_of(video) == [(0, 2, "zwei")]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_an_interrupted_run_has_no_chapters_after_its_end(source, tmp_path, ending):
    def detect(frame):
        if frame.image.rgb.mean() > 40:  # in the middle of the second text
            raise KeyboardInterrupt
        return Detections.empty()

    with open_video(source) as video:
        run(video, detect, [VideoWriter(tmp_path / f"out{ending}", video.info, audio_from=video.audio_from)])
    with av.open(str(tmp_path / f"out{ending}")) as video:
        ((start, end, title),) = chapters_of(video)
        assert (start, title) == (0, "eins")
        assert 1.5 < end < 2
        assert 1.5 < video.duration / av.time_base < 2.1
    assert texts_of(tmp_path / f"out{ending}") == [(200, 900, "Hallo"), (1500, round(end * 1000), "Grüße, Welt")]


def test_fonts_for_subtitles_are_copied(tmp_path):
    source = make(tmp_path / "in.mkv", font=b"\0\1\0\0 letters")
    copied(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as video:
        (font,) = video.streams.attachments
        assert (font.name, font.mimetype, font.data) == ("schrift.ttf", "font/ttf", b"\0\1\0\0 letters")
    assert copied(source, tmp_path / "out.mp4") == ()


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_both_sound_tracks_of_a_section(source, tmp_path, ending):
    copied(source, tmp_path / f"out{ending}", Section(Fraction(2), Fraction(4)))
    for track in (0, 1):
        with av.open(str(source)) as video:
            times = {bytes(packet): packet.pts * packet.time_base for packet in video.demux(audio=track) if packet.size}
        with av.open(str(tmp_path / f"out{ending}")) as video:
            found = [
                (packet.pts * packet.time_base, bytes(packet)) for packet in video.demux(audio=track) if packet.size
            ]
        assert len(found) > 70
        assert all(packet in times for _, packet in found)
        assert -0.06 < found[0][0] < 0.03 and 1.95 < found[-1][0] < 2


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("kind", "pictures_from", "audio_from"),
    [
        pytest.param(".mp4", 75, 0, id="pictures 3 s after sound, by an edit list"),
        pytest.param(".mkv", 75, 0, id="pictures 3 s after sound"),
        pytest.param(".ts", 75, 0, id="pictures 3 s after sound, ts"),
        pytest.param(".mp4", 0, 2, id="sound 2 s after pictures, by an edit list"),
        pytest.param(".mkv", 0, 2, id="sound 2 s after pictures"),
        pytest.param(".nut", -10, 0, id="pictures begin before 0"),
        pytest.param(".mkv", 250, 10, id="both at 10 s"),
    ],
)
def test_streams_keep_their_offsets(clips, tmp_path, ending, kind, pictures_from, audio_from):
    source = clips.make(
        tmp_path / f"in{kind}",
        range(pictures_from, pictures_from + 50),
        sound="libmp3lame" if kind == ".ts" else "aac",
        sound_start=44100 * audio_from,
        key_every=25,
    )
    target = tmp_path / f"out{ending}"
    assert copied(source, target) == ()
    before, after = clips.times(source), clips.times(target)
    heard_before, heard = clips.sound_packets(source), clips.sound_packets(target)
    moved = [packet for _, packet in heard_before].index(heard[0][1])  # a run-in may be left out
    distance, kept = heard_before[moved][0] - before[0], heard[0][0] - after[0]
    assert len(after) == 50
    assert abs(kept - distance) <= Fraction(1, 1000)
    if before[0] >= 0:
        assert abs(after[0] - before[0]) <= Fraction(1, 2000)
