import random

from benchmarks.fuzz_video import fuzz, mutated


def test_damaged_copies_end_in_frames_or_one_clear_error(clips, tmp_path):
    videos = [
        clips.make(tmp_path / "a.mp4", range(12), sound="aac"),
        clips.make(tmp_path / "a.mkv", range(12)),
        clips.make(tmp_path / "a.ts", range(12)),
    ]
    endings, bad = fuzz(videos, copies=45, seed=1)
    assert bad == []
    assert endings.total() == 45
    assert set(endings) <= {"frames", "VideoError", "StreamError"}
    assert endings["VideoError"] and endings["StreamError"]


def test_copies_are_damaged_and_the_same_each_time():
    content = bytes(range(256)) * 20
    assert mutated(content, random.Random(3)) == mutated(content, random.Random(3)) != content
