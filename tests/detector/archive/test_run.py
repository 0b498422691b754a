import errno
import json
import shutil

import pytest

from detector.archive.manifest import State, read_entries
from detector.archive.merging import join_archive
from detector.archive.parquet import write_parquet
from detector.archive.shards import Shard
from detector.errors import ArchiveError, OutputError, WriteError
from detector.logs.frame_log import open_log
from tests.detector.archive.conftest import contents


def states(out):
    return [entry.state for entry in read_entries(out / "manifest.jsonl")]


def test_one_output_set_per_input_with_a_model_opened_once(archive, inputs, out, numbers):
    result = archive(inputs)

    assert (result.processed, result.frames, result.problems) == (3, 20, [])
    assert numbers.opened_times == 2  # one with several workers, for videos, one for pictures
    entries = list(read_entries(out / "manifest.jsonl"))
    assert [entry.frames for entry in entries] == [12, 1, 7]
    run, frames = open_log(out / entries[0].log)
    assert run.source == str(inputs / "a.mp4") and [len(frame.detections) for frame in frames] == [0, 1, 2] * 4
    record = json.loads((out / entries[1].log).read_text())
    assert len(record["detections"]) == 2 and (out / record["copy"]).exists()
    assert sorted(path.suffix for path in out.iterdir()) == sorted(".json .png .mp4 .jsonl .mp4 .jsonl .jsonl".split())


def test_done_inputs_are_skipped_and_changed_ones_are_not(archive, inputs, out, numbers, clips):
    archive(inputs)
    before, frames = contents(out), numbers.frames

    result = archive(inputs)
    assert (result.processed, result.skipped, numbers.frames) == (0, 3, frames)

    clips.make(inputs / "a.mp4", range(9))
    (out / next(name for name in before if name.startswith("10-"))).unlink()
    result = archive(inputs)
    assert (result.processed, result.skipped, result.frames) == (2, 1, 10)


def test_shards_make_what_one_run_makes(archive, inputs, out, tmp_path):
    archive(inputs, out="whole")
    for index in range(3):
        archive(inputs, shard=Shard(index, 3))

    assert contents(out) == contents(tmp_path / "whole")
    joined = join_archive(out)
    assert (joined.inputs, joined.frames, joined.problems) == (3, 20, [])
    lines = [json.loads(line) for line in (out / "detections.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 20 and {line["source"] for line in lines} == {
        str(inputs / name) for name in ("a.mp4", "ü/a.mp4", "ü/10.png")
    }
    assert archive(inputs).skipped == 3
    assert archive(inputs, shard=Shard(0, 2)).processed == 0


def test_boxes_as_one_table(archive, inputs, out, tmp_path):
    dataset = pytest.importorskip("pyarrow.dataset")
    archive(inputs)
    join_archive(out)

    boxes, problems = write_parquet(out, tmp_path / "table")

    table = dataset.dataset(tmp_path / "table", partitioning="hive").to_table()
    assert problems == [] and boxes == table.num_rows == 12 + 6
    keys = {entry.key for entry in read_entries(out / "manifest.jsonl") if entry.frames != 1}
    assert set(map(str, table["input"].to_pylist())) == keys
    assert write_parquet(out, tmp_path / "table") == (boxes, [])


def test_join_names_what_is_missing(turns, archive, inputs, out):
    archive(inputs, shard=Shard(0, 2))
    assert len(list(read_entries(out / "manifest-0-of-2.jsonl"))) == 2
    problems = join_archive(out).problems
    assert problems == [
        f"{out}: has nothing of shard 1/2; run it",
        f"{out}: 1 of 3 inputs have no result; to see which, name the inputs too",
    ]


def test_join_notices_changed_and_lost_logs(archive, inputs, out):
    archive(inputs)
    changed, lost = sorted(out.glob("a-*.jsonl"))
    changed.write_bytes(changed.read_bytes().replace(b"car", b"dog"))
    lost.unlink()
    joined = join_archive(out)
    assert joined.frames == 1 and len(joined.problems) == 2
    assert any("was changed since" in problem for problem in joined.problems)


def test_join_without_a_manifest(tmp_path):
    with pytest.raises(ArchiveError, match="holds no manifest"):
        join_archive(tmp_path)


def test_bad_inputs_are_tried_again_and_listed(archive, inputs, out):
    (inputs / "broken.mp4").write_bytes(b"no video")
    result = archive(inputs, inputs / "missing.mp4", retries=2)

    assert result.processed == 3 and [source for source, _ in result.problems] == [
        str(inputs / "broken.mp4"),
        str(inputs / "missing.mp4"),
    ]
    assert states(out).count(State.FAILED) == 6

    (inputs / "broken.mp4").unlink()
    shutil.copy(inputs / "a.mp4", inputs / "broken.mp4")
    result = archive(inputs)
    assert (result.processed, result.skipped, result.problems) == (1, 3, [])


def test_an_error_that_nobody_expected_does_not_stop_the_others(archive, inputs, numbers):
    numbers.error, numbers.error_at = RuntimeError("surprise"), 3
    result = archive(inputs, retries=0)
    assert result.processed == 2 and "RuntimeError: surprise" in result.problems[0][1]
    assert archive(inputs).problems == []


def test_ctrl_c_and_then_the_rest(archive, inputs, out, numbers, tmp_path):
    archive(inputs, out="whole")
    numbers.error, numbers.error_at = KeyboardInterrupt(), numbers.frames + 15
    with pytest.raises(KeyboardInterrupt):
        archive(inputs)
    assert '"interrupted"' in (out / "manifest.jsonl").read_text().splitlines()[-1]

    result = archive(inputs)
    assert (result.skipped, result.problems) == (2, [])
    assert {name: data for name, data in contents(out).items() if name.endswith("l")} == {
        name: data for name, data in contents(tmp_path / "whole").items() if name.endswith("l")
    }


def test_a_full_disk_stops_the_run(archive, inputs, out, numbers, monkeypatch):
    def full(*arguments, **options):
        raise WriteError("a.mp4: could not be written: No space left on device") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("detector.archive.work.annotate_video", full)
    with pytest.raises(WriteError, match="No space left"):
        archive(inputs)
    assert states(out) == []


def test_a_folder_that_cannot_be_made(archive, inputs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((OutputError, ArchiveError), match="file"):
        archive(inputs, out="file")
