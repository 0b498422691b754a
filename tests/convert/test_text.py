import pickle

import pytest

from convert.errors import DownloadError, Yolo3Error
from convert.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain car", "plain car"),
        ("Größe 猫 👩‍🚀 क्षि", "Größe 猫 👩‍🚀 क्षि"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[2Jred\x07", r"\x1b[2Jred\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\x7f\x00", r"\x7f\x00"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("caf\udce9.mp4", r"caf\xe9.mp4"),
        ("\ud800", r"\ud800"),
        (7, "7"),
    ],
)
def test_what_acts_on_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown
    printable(text).encode()  # can be written to any UTF-8 stream


def test_an_error_has_as_many_lines_as_arguments():
    assert str(Yolo3Error("a\nb.h5: damaged")) == r"a\nb.h5: damaged"
    assert str(DownloadError("could not be fetched:", "  a: HTTP 500 \x1b[0m")) == (
        "could not be fetched:\n  a: HTTP 500 \\x1b[0m"
    )
    assert str(Yolo3Error()) == ""


def test_an_error_holds_no_password_of_an_address():
    error = DownloadError("rtsp://me:secret@camera/1: no answer", ValueError("http://h/x?token=abc"))
    for shown in (str(error), repr(error), repr(pickle.loads(pickle.dumps(error)))):
        assert "secret" not in shown and "abc" not in shown
    assert str(error) == "rtsp://camera/1: no answer\nhttp://h/x?token=***"
