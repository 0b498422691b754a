import os

import pytest

from detector.datasets.text import find_file, is_file, read_text
from detector.errors import DatasetError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_is_read_in_several_encodings(tmp_path, encoding):
    (tmp_path / "a.txt").write_text("größe", encoding)

    assert read_text(tmp_path / "a.txt") == "größe"


def test_reading_something_other_than_a_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "a.txt")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_text(tmp_path)


def test_files_are_found_beside_and_by_their_latin_1_names(tmp_path):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / os.fsdecode("ä.png".encode("latin-1"))).write_text("")

    assert find_file("a.txt", tmp_path) == tmp_path / "a.txt"
    assert find_file("ä.png", tmp_path) is not None
    assert find_file("b.txt", tmp_path) is None
    assert find_file("日.png", tmp_path) is None


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_an_impossible_name_is_not_a_file(tmp_path, name):
    assert not is_file(tmp_path / name)
