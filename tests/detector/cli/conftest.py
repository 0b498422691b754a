"""The command, run in this process."""

import sys

import pytest

from detector.__main__ import main


@pytest.fixture
def yolo3(monkeypatch, capsys):
    """Run the command; returns exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["yolo3", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return run
