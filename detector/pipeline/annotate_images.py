"""A batch of pictures: each one's boxes printed, drawn into a copy, written as JSON; a bad one does not stop it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from convert.files import check_output, make_folder, replacing, write_whole
from detector.detections import Detections
from detector.errors import OutputError, PictureError
from detector.images.addresses import is_url, without_credentials
from detector.images.finding import output_name
from detector.images.reading import read_picture, write_picture

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Copies:
    """Where the annotated copies of a batch go: one name for each source, none of them taken."""

    paths: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def plan(cls, sources: Sequence[str], folder: Path, *, overwrite: bool = False) -> Copies:
        """Choose the names before any work; `OutputError` when one would replace a file.

        Two pictures of one name from different folders get `-2`, `-3`, … A source is never replaced, not even with
        `overwrite`.
        """
        make_folder(folder)
        originals = {Path(source).resolve() for source in sources if not is_url(source)}
        paths: dict[str, Path] = {}
        taken: set[str] = set()
        for source in sources:
            path = folder / output_name(source, taken=taken)
            taken.add(path.name)
            if path.resolve() in originals:
                raise OutputError(f"{path}: is one of the pictures to read; choose another --out folder")
            check_output(path, overwrite=overwrite)
            paths[source] = path
        return cls(paths)


def run_batch(
    sources: Sequence[str],
    detect: Callable[[Picture], Detections],
    *,
    read: Callable[[str], Picture] = read_picture,
    say: Callable[[str], None] = print,
    complain: Callable[[str], None] = print,
    copies: Copies | None = None,
    json_lines: IO[str] | None = None,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> int:
    """Detect in every source and return how many could not be read.

    `say` gets the lines for people, `complain` one line for each bad picture, `json_lines` one object for each good
    one; `progress` wraps the sources, as tqdm does. Raises `WriteError` and `OutputError` when an output cannot be
    written.
    """
    failed = 0
    for source in progress(sources):
        shown = without_credentials(source)
        try:
            picture = read(source)
        except PictureError as error:
            failed += 1
            complain(str(error))
            continue
        detections = detect(picture)
        for line in describe(shown, detections):
            say(line)
        if json_lines:
            record = as_record(shown, picture, detections)
            json_lines.write(_json_line(record, json_lines))
            json_lines.flush()
        if copies:
            from detector.drawing.boxes import draw  # text and its fonts take a tenth of the start

            drawn = np.array(picture)
            draw(drawn, detections)
            write_picture(copies.paths[source], drawn)
    return failed


def describe(source: str, detections: Detections) -> Iterator[str]:
    """The lines for people: `Found 1 boxes for dog.jpg`, then `dog 0.97 (131, 219) (310, 541)` per box, best first."""
    yield f"Found {len(detections)} boxes for {source}"
    for (left, top, right, bottom), confidence, _, name in detections:
        yield f"{name} {confidence:.2f} ({left:.0f}, {top:.0f}) ({right:.0f}, {bottom:.0f})"


def as_record(source: str, picture: Picture, detections: Detections) -> dict[str, Any]:
    """The JSON object of one picture."""
    height, width = picture.shape[:2]
    return {"source": source, "width": width, "height": height, "detections": detections.as_records()}


@contextmanager
def json_file(path: Path, *, overwrite: bool = False, inputs: Iterable[str | Path] = ()) -> Iterator[IO[str]]:
    """A text file that appears under its name when it is complete, unless nothing was written to it.

    A run that fails leaves its lines as `NAME.part`, if there is no such file. `inputs` are files that must not be
    replaced. Raises `OutputError` before anything is written if the file cannot be, `WriteError` if writing failed.
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
    """There is nothing to make a file of."""


def _json_line(record: dict[str, Any], stream: IO[str]) -> str:
    """One line of JSON; names that the stream's encoding does not hold are escaped."""
    line = json.dumps(record, ensure_ascii=False)
    try:
        line.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(record)
    return line + "\n"
