import os

import pytest

from detector.archive.inputs import find_inputs, read_list
from detector.errors import ArchiveError, SettingsError


def names(found):
    return [item.name.rpartition("-")[0] for item in found]


def test_folders_patterns_and_files_each_once(inputs, tmp_path):
    found = find_inputs([str(inputs), str(inputs / "**" / "*.mp4"), str(inputs / "a.mp4")], out=tmp_path / "out")

    assert names(found) == ["a", "10", "a"]
    assert len({item.name for item in found}) == 3


def test_the_name_depends_on_the_place_alone(inputs, tmp_path, monkeypatch):
    every = {item.key: item.name for item in find_inputs([str(inputs)], out=tmp_path / "out")}
    monkeypatch.chdir(inputs / "ü")
    (one,) = find_inputs(["a.mp4"], out=tmp_path / "out")
    assert every[one.key] == one.name

    (link := tmp_path / "link").symlink_to(inputs)
    assert {item.key for item in find_inputs([str(link)], out=tmp_path / "out")} == set(every)


def test_a_long_name_leaves_room_for_suffixes(tmp_path):
    (long,) = find_inputs([str(tmp_path / ("ü" * 120 + ".mp4"))], out=tmp_path / "out")
    assert len(os.fsencode(long.name + ".mp4.yolo3-part12.mp4")) < 255


def test_credentials_are_not_part_of_the_name(tmp_path):
    keys = {
        find_inputs([address], out=tmp_path)[0].key
        for address in ("http://host/a.mp4?token=1", "http://me:word@host/a.mp4?token=2")
    }
    assert len(keys) == 1


def test_results_are_no_inputs(inputs):
    (inputs / "out").mkdir()
    (inputs / "out" / "a.mp4").write_bytes(b"")
    assert len(find_inputs([str(inputs)], out=inputs / "out")) == 3
    with pytest.raises(ArchiveError, match="one of the inputs; name another folder"):
        find_inputs([str(inputs / "out" / "a.mp4")], out=inputs / "out")


@pytest.mark.parametrize(("argument", "words"), [("empty", "holds no video"), ("*.mkv", "nothing matches")])
def test_nothing_found(argument, words, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=words):
        find_inputs([str(tmp_path / argument)], out=tmp_path / "out")


def test_a_list(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.mp4\r\n\n#1 b.mp4\n", "utf-8")
    assert read_list(path) == ["a.mp4", "#1 b.mp4"]
    path.write_text("\n")
    with pytest.raises(SettingsError, match="lists nothing"):
        read_list(path)
    with pytest.raises(SettingsError, match="the list cannot be read"):
        read_list(tmp_path / "missing.txt")
