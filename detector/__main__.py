"""The entry point of the command: `yolo3`, or `python -m detector`.

It imports little, so that signals are handled before the rest is imported.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

from detector.cli.exit_codes import INPUT_WRONG, INTERRUPTED, WORK_FAILED

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command; return 0 (success), 1 (the work failed), 2 (wrong input) or 130 (interrupted)."""
    try:
        _open_closed_streams()
        _install_signal_handlers()
        _escape_what_cannot_be_shown()
        Path.cwd()
        from convert.errors import Yolo3Error
        from detector.cli.app import build_app
        from detector.cli.console import complain

        try:
            try:
                build_app(sys.argv[1] if len(sys.argv) > 1 else "")()
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
        if isinstance(error, FileNotFoundError) and not _folder_exists():
            print("error: the current folder no longer exists; change to another one", file=sys.stderr)
            sys.exit(INPUT_WRONG)
        if error.errno in (errno.EMFILE, errno.ENFILE):
            print("error: too many open files; allow more (ulimit -n)", file=sys.stderr)
            sys.exit(WORK_FAILED)
        if error.errno not in (*NO_ROOM, errno.EPIPE):
            raise
        # Whatever is still to be printed has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if error.errno != errno.EPIPE:  # a reader that has closed the pipe, such as `head`, needs no message
            print(f"error: standard output: could not be written ({error.strerror})", file=sys.stderr)
        sys.exit(WORK_FAILED)


def _open_closed_streams() -> None:
    """Open the null device for each standard stream that is closed (`>&-`).

    Otherwise the next file opened would get its number, and the messages of libraries would be written to it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open until the end


def _install_signal_handlers() -> None:
    """Make SIGTERM and SIGHUP end the program as Ctrl-C does, with complete files."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)


def _ignore_signals() -> None:
    """Ignore further signals: during Python's shutdown they would only change the exit code."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _escape_what_cannot_be_shown() -> None:
    """Print characters that the terminal cannot show as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _folder_exists() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
