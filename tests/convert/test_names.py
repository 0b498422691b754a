"""Class names: one per line, as many as the network has classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.errors import NamesError
from convert.names import configs_folder, default_names, read_names, renamed


@pytest.fixture
def names(tmp_path: Path) -> Path:
    return tmp_path / "my.names"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("car\ntraffic light\n猫\n".encode(), id="plain"),
        pytest.param("car\ntraffic light\n猫".encode(), id="no line end at the end"),
        pytest.param("car\r\ntraffic light\r\n猫\r\n".encode(), id="CRLF"),
        pytest.param("\ufeffcar\ntraffic light\n猫\n".encode(), id="BOM"),
        pytest.param(" car \n\ttraffic light\n猫 \n\n \n".encode(), id="space around and empty lines at the end"),
    ],
)
def test_spellings_of_the_same_list(data: bytes, names: Path) -> None:
    names.write_bytes(data)
    assert read_names(names) == read_names(names, 3) == ("car", "traffic light", "猫")


def test_terminal_controls_and_line_breaks_are_escaped(names: Path) -> None:
    names.write_text("a\u2028b\nc\x0bd\n\x1b[2Jcar\rdog\n", encoding="utf-8")
    assert read_names(names) == (r"a\u2028b", r"c\x0bd", r"\x1b[2Jcar\rdog")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"car\n\nbus\n", r"my\.names, line 2: empty", id="empty line within"),
        pytest.param(b"", r"my\.names, line 1: empty", id="empty file"),
        pytest.param("car\nGröße\n".encode("latin-1"), "a text file that begins 'car.*expected .* UTF-8", id="latin-1"),
        pytest.param(b"\x00\x02\xfe\xff", "byte 2 is not UTF-8", id="binary"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "a PNG picture; expected class names", id="a picture"),
    ],
)
def test_an_invalid_list_of_names_is_reported(data: bytes, words: str, names: Path) -> None:
    names.write_bytes(data)
    with pytest.raises(NamesError, match=words):
        read_names(names)


@pytest.mark.parametrize("classes", [1, 3])
def test_a_count_that_differs_from_the_networks_is_reported(classes: int, names: Path) -> None:
    names.write_text("car\nbus\n")
    with pytest.raises(NamesError, match=rf"my\.names: 2 names; the network has {classes} classes\. Use the names"):
        read_names(names, classes)


def test_a_missing_file_is_reported(names: Path) -> None:
    with pytest.raises(NamesError, match=r"my\.names: no such file; expected class names, one per line"):
        read_names(names)


def test_a_folder_is_not_a_names_file(tmp_path: Path) -> None:
    with pytest.raises(NamesError, match=r"cannot be read \(Is a directory\)"):
        read_names(tmp_path)


@pytest.mark.parametrize(
    ("classes", "first", "last", "sentence"),
    [
        (80, "person", "toothbrush", "80 classes: names taken from coco.names"),
        (20, "aeroplane", "tvmonitor", "20 classes: names taken from voc.names"),
        (3, "class 0", "class 2", "3 classes: named class 0 to class 2; pass --names FILE for real names"),
        (79, "class 0", "class 78", "79 classes: named class 0 to class 78; pass --names FILE for real names"),
    ],
)
def test_default_names_of_a_network(classes: int, first: str, last: str, sentence: str) -> None:
    names, told = default_names(classes)
    assert (len(names), names[0], names[-1], told) == (classes, first, last, sentence)


def test_the_projects_own_lists_are_found() -> None:
    assert (configs_folder() / "coco.names").is_file()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("dog=Hund", ("cat", "Hund", "7")),
        ("0=Katze, dog = Hund", ("Katze", "Hund", "7")),
        ("7=seven", ("cat", "dog", "seven")),
        ("cat=a b=c", ("a b=c", "dog", "7")),
    ],
)
def test_some_names_are_changed(change: str, expected: tuple[str, ...]) -> None:
    assert renamed(("cat", "dog", "7"), change) == expected


@pytest.mark.parametrize("change", ["bird=x", "3=x", "dog=", "=x", "dog=x,cat"])
def test_renaming_an_unknown_class_is_reported(change: str) -> None:
    with pytest.raises(NamesError, match="expected OLD=NEW"):
        renamed(("cat", "dog", "7"), change)


def test_all_names_are_replaced_by_a_file(names: Path) -> None:
    names.write_text("a\nb\n")
    assert renamed(("cat", "dog"), str(names)) == ("a", "b")
    with pytest.raises(NamesError, match="2 names; the network has 3"):
        renamed(("cat", "dog", "7"), str(names))
