"""The command's way in: `yolo3`, or `python -m detector`.

Small on purpose: from its first line on, a signal ends the program as it should, while the rest is being imported.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

INTERRUPTED = 130
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command; the exit code is 0, 1 (the work failed), 2 (the input was wrong) or 130 (interrupted)."""
    try:
        _install_signal_handlers()
        _write_any_name()
        Path.cwd()
        from convert.errors import Yolo3Error
        from detector.cli.app import app
        from detector.cli.console import complain

        try:
            try:
                app()
            except SystemExit as leaving:
                if leaving.code == INTERRUPTED:
                    _ignore_signals()
                raise
            finally:
                sys.stdout.flush()
        except Yolo3Error as error:
            complain("\n".join([str(error), *getattr(error, "__notes__", ())]))
            sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _ignore_signals()
        sys.exit(INTERRUPTED)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not _here():
            sys.exit(_said("error: the current folder no longer exists; change to another one", 2))
        if error.errno not in NO_ROOM:
            raise
        # Whatever is still to be printed has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(_said(f"error: standard output: could not be written ({error.strerror})", 1))


def _install_signal_handlers() -> None:
    """Let a polite kill, and a terminal that closes, end the program as Ctrl-C does: with whole files."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)


def _ignore_signals() -> None:
    """A second Ctrl-C has nothing left to end; Python, on its way out, would die of it with another exit code."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _write_any_name() -> None:
    """Let names that the terminal's encoding does not hold be printed, with escapes, rather than end the run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _here() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _said(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
