"""Long videos cut into segments: the same log, timestamps and sound as an unbroken run."""

from fractions import Fraction

import av
import pytest

from detector.archive.manifest import State, read_entries
from detector.archive.merging import join_archive
from detector.archive.segments import parse_segment_seconds, segments_of
from detector.archive.shards import Shard
from detector.errors import SettingsError


@pytest.fixture(autouse=True)
def small_files_are_long(monkeypatch):
    monkeypatch.setattr("detector.archive.segments._LEAST_BYTES_PER_MINUTE", 0)


UNEVEN = [index * 40 + index % 7 for index in range(100)]


@pytest.fixture
def film(clips, tmp_path):
    """100 frames at uneven times with a key frame at each tenth, B-frames and sound."""
    (tmp_path / "in").mkdir()
    return clips.make(
        tmp_path / "in" / "ein Film ∞.mp4",
        UNEVEN,
        time_base=Fraction(1, 1000),
        key_every=10,
        encoding={"bf": "2", "preset": "veryfast", "x264-params": "scenecut=0"},
        sound="aac",
    )


def test_a_cut_is_at_key_frames_and_loses_nothing(film):
    segments = segments_of(film, 1.0, deinterlace=True)
    assert [segment.frames for segment in segments] == [30, 30, 40]
    assert [segment.section.start for segment in segments] == [
        None,
        Fraction(UNEVEN[30], 1000),
        Fraction(UNEVEN[60], 1000),
    ]
    assert all(segment.count == 3 for segment in segments)


def test_joined_it_is_as_if_it_had_not_been_cut(archive, film, out, tmp_path, clips):
    archive(film, out="whole")
    result = archive(film, segment_seconds=1.0)

    assert (result.processed, result.segments, result.frames, result.problems) == (1, 3, 100, [])
    assert [entry.segment for entry in read_entries(out / "manifest.jsonl")] == [0, 1, 2, None]
    assert [path.suffix for path in sorted(out.iterdir())] == [".jsonl", ".mp4", ".jsonl"]
    (log,), (whole_log,) = out.glob("*-*.jsonl"), (tmp_path / "whole").glob("*-*.jsonl")
    assert log.read_bytes() == whole_log.read_bytes()
    (copy,), (whole_copy,) = out.glob("*.mp4"), (tmp_path / "whole").glob("*.mp4")
    assert clips.times(copy) == clips.times(whole_copy) == clips.times(film)
    assert [clips.number(picture) for _, picture in clips.decoded(copy)] == list(range(100))
    assert clips.sound_packets(copy) == clips.sound_packets(whole_copy) == clips.sound_packets(film)
    again = archive(film, segment_seconds=1.0)
    assert (again.processed, again.skipped) == (0, 1)


def test_shards_process_segments_and_join_makes_the_video(turns, archive, film, out, tmp_path, clips):
    archive(film, out="whole")
    archive(film, segment_seconds=1.0, shard=Shard(0, 2))
    assert any("of its 3 segments have no result yet" in problem for problem in join_archive(out).problems)
    archive(film, segment_seconds=1.0, shard=Shard(1, 2))
    assert (archive(film, segment_seconds=1.0, shard=Shard(1, 2))).segments == 0

    joined = join_archive(out)
    assert (joined.inputs, joined.frames, joined.problems) == (1, 100, [])
    assert join_archive(out).frames == 100
    assert next(out.glob("ein*.jsonl")).read_bytes() == next((tmp_path / "whole").glob("ein*.jsonl")).read_bytes()
    assert clips.sound_packets(next(out.glob("*.mp4"))) == clips.sound_packets(film)
    assert archive(film, segment_seconds=1.0, shard=Shard(0, 2)).skipped == 1


def test_a_video_of_another_clock(archive, clips, tmp_path, out):
    film = clips.make(
        tmp_path / "late.ts",
        range(90_000, 90_000 + 100 * 3600, 3600),
        time_base=Fraction(1, 90_000),
        key_every=10,
        options={"muxdelay": "20"},
    )
    archive(film, out="whole")
    archive(film, segment_seconds=1.0)
    copy, whole = next(out.glob("*.mp4")), next((tmp_path / "whole").glob("*.mp4"))
    assert clips.times(copy) == clips.times(whole)
    assert next(out.glob("late-*.jsonl")).read_bytes() == next((tmp_path / "whole").glob("late-*.jsonl")).read_bytes()


def test_interrupted_in_a_segment(archive, film, numbers, out, tmp_path):
    archive(film, out="whole")
    numbers.error, numbers.error_at = KeyboardInterrupt(), numbers.frames + 45
    with pytest.raises(KeyboardInterrupt):
        archive(film, segment_seconds=1.0)
    before = numbers.frames

    assert archive(film, segment_seconds=1.0).problems == []
    assert 40 <= numbers.frames - before < 70  # not those of the first segment
    assert next(out.glob("ein*.jsonl")).read_bytes() == next((tmp_path / "whole").glob("ein*.jsonl")).read_bytes()


def test_a_segment_that_fails_is_listed_and_done_again(archive, film, numbers, out):
    numbers.error, numbers.error_at = RuntimeError("surprise"), 45
    result = archive(film, segment_seconds=1.0, retries=0)
    assert result.segments == 2 and "surprise" in result.problems[0][1]
    assert not list(out.glob("*.mp4"))
    assert archive(film, segment_seconds=1.0).problems == []
    assert [entry.state for entry in read_entries(out / "manifest.jsonl")].count(State.FAILED) == 1


def test_segments_of_another_run_are_not_joined(archive, film, out):
    for index in range(2):
        archive(film, segment_seconds=1.0, shard=Shard(index, 2))
    (folder,) = out.glob("*.segments")
    (folder / "00001.jsonl").write_bytes((folder / "00000.jsonl").read_bytes())
    problems = join_archive(out).problems
    assert any("does not continue the segment before it" in problem for problem in problems)
    assert folder.is_dir()


@pytest.mark.parametrize("kind", ["short", "doubled", "jump", "one key frame"])
def test_what_cannot_be_cut_exactly_is_not_cut(kind, clips, tmp_path):
    pts = {"short": range(30), "jump": [*range(60), *range(100_000, 100_040)]}.get(kind, range(100))
    film = clips.make(tmp_path / "film.mp4", pts, key_every=1000 if kind == "one key frame" else 10)
    if kind == "doubled":
        film = doubled(film, tmp_path / "doubled.mkv")
    assert segments_of(film, 1.0, deinterlace=True) == []


def doubled(source, target):
    """The same video with each fifth timestamp that of the frame before."""
    with av.open(str(source)) as video, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(video.streams.video[0])
        for number, packet in enumerate(video.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = (number - (number % 5 == 4)) * 512
                packet.stream = stream
                output.mux(packet)
    return target


def test_interlaced_videos_are_not_cut(shared):
    (film,) = (shared / "assets" / "videos_made").glob("*interlaced*")
    assert segments_of(film, 0.5, deinterlace=True) == []


def test_a_real_video_with_uneven_timestamps(archive, videos, out, tmp_path):
    film = videos / "vehicle_counting_input.mp4"
    archive(film, out="whole", copies=False)
    result = archive(film, segment_seconds=2.0, copies=False)
    assert result.problems == [] and result.segments == 10
    log, whole = next(out.glob("*-*.jsonl")), next((tmp_path / "whole").glob("*-*.jsonl"))
    assert log.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(("text", "seconds"), [("0", None), ("10", 600.0), ("0.5", 30.0)])
def test_lengths(text, seconds):
    assert parse_segment_seconds(text) == seconds


@pytest.mark.parametrize("text", ["0.001", "x", "-1"])
def test_wrong_lengths(text):
    with pytest.raises(SettingsError):
        parse_segment_seconds(text)


def test_frames_that_depend_on_others_are_not_cut(archive, film):
    from detector.tracking.frame_skipping import FrameSkipping

    with pytest.raises(SettingsError, match="--segment-minutes is for runs that detect in every frame"):
        archive(film, segment_seconds=1.0, skipping=FrameSkipping(5))
