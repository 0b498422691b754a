"""What the command prints: results, notes, errors and progress bars, and the exit codes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import typer

from convert.text import printable
from detector.cli.exit_codes import OF_STATUS
from detector.cli.progress import LineProgress
from detector.images.addresses import without_credentials

if TYPE_CHECKING:
    from detector.pipeline.loop import Progress
    from detector.video.status import RunStatus

Item = TypeVar("Item")


def exit_code(status: RunStatus) -> int:
    """The exit code for how a run ended."""
    return OF_STATUS.get(status.value, 0)


def leave(code: int) -> None:
    """End the command with this exit code, unless it is 0."""
    if code:
        raise typer.Exit(code)


def say(line: str) -> None:
    """Print a result on standard output, without cutting a running progress bar in two."""
    _write(line, sys.stdout)


def complain(message: str) -> None:
    """Print an error on standard error."""
    _write(f"error: {message}", sys.stderr)


def ignore(line: str) -> None:
    """Discard a line."""


def note_printer(quiet: bool) -> Callable[[str], None]:
    """A function that prints notes on standard error, or discards them when `quiet`."""
    return ignore if quiet else _print_note


def progress(
    items: Iterable[Item], *, quiet: bool = False, unit: str = "it", desc: str | None = None, total: int | None = None
) -> Iterable[Item]:
    """`items` with a progress bar on standard error that disappears at the end; lines where that is no terminal."""
    if quiet:
        return items
    if not sys.stderr.isatty():
        return LineProgress(items, unit=unit, desc=desc, total=total, write=_print_note)
    from tqdm import tqdm

    return tqdm(items, desc=desc, total=total, unit=unit, leave=False, dynamic_ncols=True)


@contextlib.contextmanager
def frame_progress(quiet: bool, total: int | None, *, desc: str | None = None) -> Iterator[Progress | None]:
    """A bar with frames per second and, where the number of frames is known, the time left."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        with LineProgress[None](unit="frame", desc=desc, total=total, write=_print_note) as lines:
            yield lines
    else:
        from tqdm import tqdm

        with tqdm(total=total, desc=desc, unit="frame", leave=desc is None, dynamic_ncols=True) as bar:
            yield bar


def _print_note(note: str) -> None:
    _write(note, sys.stderr)


def _write(line: str, stream: object) -> None:
    line = "\n".join(printable(part) for part in without_credentials(line).split("\n"))
    if "tqdm" not in sys.modules:  # no bar is running
        print(line, file=stream)  # type: ignore[call-overload]
        return
    from tqdm import tqdm

    tqdm.write(line, file=stream)  # type: ignore[arg-type]
