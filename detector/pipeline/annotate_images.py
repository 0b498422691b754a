"""Detect in a batch of images: print and write the results of each; a bad image does not stop the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from convert.files import check_output, replacing, write_whole
from convert.text import printable
from detector.detections import Detections
from detector.errors import PictureError
from detector.images.addresses import is_url, without_credentials
from detector.images.reading import read_picture
from detector.pipeline.picture_outputs import Picture, PictureOutput


def run_batch(
    sources: Sequence[str],
    detect: Callable[[Picture], Detections],
    outputs: Sequence[PictureOutput] = (),
    *,
    read: Callable[[str], Picture] = read_picture,
    say: Callable[[str], None] = print,
    complain: Callable[[str], None] = print,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> int:
    """Detect in every source and return how many could not be read.

    `say` is called with the lines of results, `complain` with one line for each bad image, `outputs` with each good
    one; `progress` wraps the sources, as tqdm does. Raise `WriteError` and `OutputError` when an output cannot be
    written.
    """
    failed = 0
    for source in progress(sources):
        try:
            picture = read(source)
        except PictureError as error:
            failed += 1
            complain(str(error))
            continue
        detections = detect(picture)
        for line in describe(without_credentials(source), detections):
            say(line)
        for output in outputs:
            output.write(source, picture, detections)
    return failed


def describe(source: str, detections: Detections) -> Iterator[str]:
    """Yield the lines to print: `Found 1 boxes for dog.jpg`, then `dog 0.97 (131, 219) (310, 541)` per box."""
    yield f"Found {len(detections)} boxes for {printable(source)}"
    for (left, top, right, bottom), confidence, _, name in detections:
        yield f"{printable(name)} {confidence:.2f} ({left:.0f}, {top:.0f}) ({right:.0f}, {bottom:.0f})"


@contextmanager
def json_file(path: Path, *, overwrite: bool = False, inputs: Iterable[str | Path] = ()) -> Iterator[TextIO]:
    """Yield a text file that appears under its name when it is complete, unless nothing was written to it.

    A failed run leaves its lines as `NAME.part`, if there is no such file. `inputs` are files that must not be
    replaced. Raise `OutputError` before anything is written if the file cannot be, `WriteError` if writing failed.
    """
    check_output(path, overwrite=overwrite, inputs=[item for item in inputs if not is_url(str(item))])
    with suppress(_NothingWritten), replacing(path) as aside:
        try:
            with aside.open("w", encoding="utf-8") as file:
                yield file
        except BaseException:
            part = path.with_name(path.name + ".part")
            if not os.path.lexists(part) and aside.is_file() and aside.stat().st_size:
                write_whole(part, aside.read_bytes())
            raise
        if not aside.stat().st_size:
            raise _NothingWritten


class _NothingWritten(Exception):  # noqa: N818 - it is no error
    """There is no output to write to a file."""
