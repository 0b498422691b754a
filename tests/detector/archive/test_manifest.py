from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.archive.manifest import (
    ArchiveRun,
    Entry,
    ManifestIndex,
    ManifestWriter,
    State,
    read_entries,
    read_index,
)
from detector.errors import ArchiveError, OutputError

RUN = ArchiveRun("1.0", "ab" * 32, {"confidence": 0.25}, 2, "cd" * 32)
KEY = "0123456789ab"
DONE = Entry(KEY, State.COMPLETE, 'a "b".mp4', "10@20", frames=5, log="a.jsonl", at=1000, notes=("one",))


def indexed(path):
    index = ManifestIndex()
    index.read(path)
    return index


def test_entries_come_back(tmp_path):
    path = tmp_path / "manifest.jsonl"
    entries = [DONE, replace(DONE, segment=3, segments=9), replace(DONE, state=State.FAILED, error="\udcff", at=999)]
    with ManifestWriter(path, RUN) as manifest:
        for entry in entries:
            manifest.add(entry)

    assert list(read_entries(path)) == entries
    index = indexed(path)
    assert index.runs == {path: RUN} and index.ended == {path: True}
    assert index.state(KEY) is State.COMPLETE  # the later one counts
    assert index.state(KEY, 3) is State.COMPLETE and index.state(KEY, 4) is None
    assert index.is_latest(DONE) and not index.is_latest(entries[2])


def test_a_changed_file(tmp_path):
    with ManifestWriter(tmp_path / "manifest.jsonl", RUN) as manifest:
        manifest.add(DONE)
    index = indexed(tmp_path / "manifest.jsonl")
    assert index.state(KEY, stamp="10@20") is State.COMPLETE and not index.changed(KEY, stamp="10@20")
    assert index.state(KEY, stamp="11@20") is None and index.changed(KEY, stamp="11@20")


@given(cut=st.integers(0, 700))
def test_cut_anywhere_it_can_be_read_and_continued(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("manifest") / "manifest.jsonl"
    with ManifestWriter(path, RUN) as manifest:
        manifest.add(DONE)
    path.write_bytes(path.read_bytes()[:cut])
    before = list(read_entries(path))

    with ManifestWriter(path, RUN) as manifest:
        manifest.add(replace(DONE, key="f" * 12))

    assert [entry.key for entry in read_entries(path)] == [*[entry.key for entry in before], "f" * 12]


def test_only_one_process_writes(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with (
        ManifestWriter(path, RUN),
        pytest.raises(OutputError, match="another run is writing"),
        ManifestWriter(path, RUN),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_sha256": "ef" * 32}, "the SHA-256 of its model was abab.*, not efef"),
        ({"version": "2.0"}, "its version of yolo3 was 1.0, not 2.0"),
        ({"settings": {"confidence": 0.5}}, "its confidence was 0.25, not 0.5"),
    ],
)
def test_another_run(tmp_path, change, words):
    with ManifestWriter(tmp_path / "manifest-0-of-2.jsonl", RUN):
        pass
    with pytest.raises(ArchiveError, match=rf"manifest-0-of-2.jsonl: is of another run: {words}.*another folder"):
        read_index(tmp_path, replace(RUN, **change))


@pytest.mark.parametrize(
    "line",
    [b"[]", b"{}", b'{"type":"x"}', b'{"type":"run","schema":2}', b'{"type":"input","key":"x","state":"y"}', b"\xff"],
)
def test_a_damaged_line(tmp_path, line):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(DONE.as_line() + line + b"\n" + DONE.as_line())
    with pytest.raises(ArchiveError, match="line 2 is not a line of a manifest"):
        indexed(path)
