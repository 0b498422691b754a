"""What the command prints: results, notes, errors and progress bars, and the exit codes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

from convert.text import printable
from detector.cli.exit_codes import OF_STATUS
from detector.cli.progress import LineProgress
from detector.images.addresses import without_credentials

if TYPE_CHECKING:
    from tqdm import tqdm

    from detector.pipeline.loop import Progress
    from detector.video.status import RunStatus

Item = TypeVar("Item")

_FRAMES_SECONDS = 0.5


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


class InputBar:
    """A bar that counts inputs, and beside them the frames that are done each second."""

    def __init__(self, bar: tqdm[NoReturn] | LineProgress[None] | None) -> None:
        self._bar = bar
        self._frames = 0
        self._began = self._shown = monotonic()

    def update(self, n: int = 1, /) -> None:
        """Count `n` more inputs."""
        if self._bar is not None:
            self._bar.update(n)

    def count_frames(self, n: int, /) -> None:
        """Count `n` more frames."""
        self._frames += n
        now = monotonic()
        if self._bar is not None and now - self._shown >= _FRAMES_SECONDS:
            self._shown = now
            self._bar.set_postfix_str(f"{self._frames / (now - self._began):.1f} frames/s")
            self._bar.update(0)


@contextlib.contextmanager
def input_progress(quiet: bool, total: int) -> Iterator[InputBar]:
    """One bar for many inputs."""
    if quiet:
        yield InputBar(None)
    elif not sys.stderr.isatty():
        with LineProgress[None](unit="input", total=total, write=_print_note) as lines:
            yield InputBar(lines)
    else:
        from tqdm import tqdm

        with tqdm(total=total, unit="input", leave=False, dynamic_ncols=True) as bar:
            yield InputBar(bar)


def _print_note(note: str) -> None:
    _write(note, sys.stderr)


def _write(line: str, stream: object) -> None:
    line = "\n".join(printable(part) for part in without_credentials(line).split("\n"))
    if "tqdm" not in sys.modules:  # no bar is running
        print(line, file=stream)  # type: ignore[call-overload]
        return
    from tqdm import tqdm

    tqdm.write(line, file=stream)  # type: ignore[arg-type]
