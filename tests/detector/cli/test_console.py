"""What the command prints, and its exit codes."""

import io
import sys

import pytest
import typer

from detector.cli import console
from detector.video.status import RunStatus


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (RunStatus.COMPLETE, 0),
        (RunStatus.STOPPED, 0),
        (RunStatus.TRUNCATED, 1),
        (RunStatus.FAILED, 1),
        (RunStatus.INTERRUPTED, 130),
    ],
)
def test_each_status_has_its_exit_code(status, code):
    assert console.exit_code(status) == code


def test_leave_returns_when_all_went_well():
    console.leave(0)
    with pytest.raises(typer.Exit) as leaving:
        console.leave(130)
    assert leaving.value.exit_code == 130


def test_results_and_errors_go_their_own_ways(capsys):
    console.say("dog 0.97")
    console.complain("no.jpg: does not exist")
    console.note_printer(False)("converted")
    console.note_printer(True)("not shown")

    printed = capsys.readouterr()
    assert printed.out == "dog 0.97\n"
    assert printed.err == "error: no.jpg: does not exist\nconverted\n"


def test_quiet_progress_prints_nothing(capsys):
    assert list(console.progress([1, 2, 3], quiet=True, unit="picture")) == [1, 2, 3]
    with console.frame_progress(True, 9) as bar:
        assert bar is None

    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_bars(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(console.progress(iter("ab"), desc="checking", unit="picture", total=2)) == ["a", "b"]
    with console.frame_progress(False, 9) as bar:
        bar.update(9)

    assert "picture" in sys.stderr.getvalue()
    assert "9/9" in sys.stderr.getvalue()


def test_what_is_no_terminal_gets_no_bars(capsys):
    assert list(console.progress("ab", unit="picture")) == ["a", "b"]
    with console.frame_progress(False, 9) as bar:
        bar.update(9)

    assert capsys.readouterr().err == ""


def test_no_password_is_ever_printed(capsys):
    console.complain("rtsp://me:secret@camera/1: no answer")
    console.note_printer(False)("lost http://camera/?pwd=secret")
    console.say("rtsp://me:secret@camera/1:")

    printed = capsys.readouterr()
    assert "secret" not in printed.out + printed.err
    assert printed.out == "rtsp://camera/1:\n"


def test_nothing_printed_acts_on_the_terminal(capsys):
    console.say("dog\x1b[2J 0.97")
    console.complain("two\nlines\r of it")

    printed = capsys.readouterr()
    assert printed.out == "dog\\x1b[2J 0.97\n"
    assert printed.err == "error: two\nlines\\r of it\n"
