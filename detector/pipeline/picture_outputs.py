"""Write the outputs of a batch of images: annotated copies, label files, cut-out objects, JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from convert.files import check_output, make_folder, write_whole
from convert.text import printable
from detector.detections import Detections
from detector.errors import OutputError
from detector.images.addresses import is_url, without_credentials
from detector.images.finding import output_name
from detector.images.reading import write_picture

Picture = NDArray[np.uint8]


class PictureOutput(Protocol):
    """Anything that takes each image of a batch with its detections."""

    def write(self, source: str, picture: Picture, detections: Detections) -> None:
        """Write the output of one image; raise `OutputError` or `WriteError` if it cannot be written."""
        ...


@dataclass(frozen=True)
class Style:
    """How boxes are drawn."""

    labels: bool = True
    confidence: bool = True
    line_width: int | None = None
    """Line width in pixels; None for one that suits the image's size."""


@dataclass(frozen=True)
class Copies:
    """Annotated copies: one file for each source."""

    paths: dict[str, Path] = field(default_factory=dict)
    style: Style = Style()

    @classmethod
    def plan(cls, sources: Sequence[str], folder: Path, *, overwrite: bool = False, style: Style = Style()) -> Copies:
        """Choose the names before any work; raise `OutputError` when one would replace a file.

        Two images with the same name from different folders get `-2`, `-3`, … A source is never replaced, not even with
        `overwrite`.
        """
        return cls(_plan(sources, folder, overwrite=overwrite), style)

    def write(self, source: str, picture: Picture, detections: Detections) -> None:
        """Write the image with its boxes."""
        from detector.drawing.boxes import draw  # text rendering and its fonts take a tenth of the start-up time

        drawn = np.array(picture)
        style = self.style
        draw(drawn, detections, labels=style.labels, confidence=style.confidence, line_width=style.line_width)
        write_picture(self.paths[source], drawn)


@dataclass(frozen=True)
class YoloLabels:
    """A YOLO label file for each image, and the class names in `classes.txt`."""

    paths: dict[str, Path]
    folder: Path

    @classmethod
    def plan(cls, sources: Sequence[str], folder: Path, *, overwrite: bool = False) -> YoloLabels:
        """Choose the names before any work; raise `OutputError` when one would replace a file."""
        check_output(folder / "classes.txt", overwrite=overwrite)
        return cls(_plan(sources, folder, overwrite=overwrite, suffix=".txt"), folder)

    def write(self, source: str, picture: Picture, detections: Detections) -> None:
        """Write a line for each box: class id, centre x, centre y, width, height as fractions of the image."""
        classes = self.folder / "classes.txt"
        names = "".join(f"{printable(name)}\n" for name in detections.names)  # always one line per name
        if not classes.exists() or classes.read_text("utf-8", errors="replace") != names:
            write_whole(classes, names.encode())
        height, width = picture.shape[:2]
        lines = []
        for box, _, class_id, _ in detections:
            left, top, right, bottom = (float(edge) for edge in box)
            centre, size = (left + right, top + bottom), (right - left, bottom - top)
            numbers = (centre[0] / 2 / width, centre[1] / 2 / height, size[0] / width, size[1] / height)
            lines.append(f"{class_id} " + " ".join(f"{number:.6f}" for number in numbers) + "\n")
        write_whole(self.paths[source], "".join(lines).encode())


class ObjectCrops:
    """Each object as a separate image, `CLASS/NAME_0.jpg`, the best of an image first."""

    def __init__(self, sources: Sequence[str], folder: Path, *, overwrite: bool = False) -> None:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; objects go into a folder")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise OutputError(f"{folder}: is not empty; name another folder or pass --overwrite")
        self._folder = folder
        self._stems: dict[str, str] = {}
        for source in sources:
            taken = [f"{stem}.png" for stem in self._stems.values()]
            self._stems[source] = Path(output_name(Path(output_name(source)).stem + ".png", taken=taken)).stem

    def write(self, source: str, picture: Picture, detections: Detections) -> None:
        """Write the objects of one image."""
        from detector.drawing.blur import whole_pixels

        for number, (box, name) in enumerate(
            zip(whole_pixels(detections.xyxy, picture), detections.class_names, strict=True)
        ):
            left, top, right, bottom = box
            target = self._folder / class_folder(name) / f"{self._stems[source]}_{number}.jpg"
            write_picture(target, np.ascontiguousarray(picture[top:bottom, left:right]))


@dataclass(frozen=True)
class JsonLines:
    """One JSON object per image and line."""

    stream: TextIO
    copies: Copies | None = None
    """The annotated copies, to which the objects refer."""
    model: str = ""
    """The network that made the detections."""

    def write(self, source: str, picture: Picture, detections: Detections) -> None:
        """Write the object of one image."""
        record = as_record(without_credentials(source), picture, detections)
        if self.model:
            record["model"] = self.model
        if self.copies:
            record["copy"] = str(self.copies.paths[source])
        self.stream.write(_json_line(record, self.stream))
        self.stream.flush()


@dataclass(frozen=True)
class Hidden:
    """Makes the objects of some classes unrecognisable before the image is passed to other outputs."""

    class_ids: frozenset[int]
    outputs: Sequence[PictureOutput]

    def write(self, source: str, picture: Picture, detections: Detections) -> None:
        """Write the image, with those objects hidden, to each of the outputs."""
        from detector.drawing.blur import hide

        hidden = np.array(picture)
        hide(hidden, detections.xyxy[np.isin(detections.class_id, list(self.class_ids))])
        for output in self.outputs:
            output.write(source, hidden, detections)


def as_record(source: str, picture: Picture, detections: Detections) -> dict[str, Any]:
    """Return the JSON object of one image."""
    height, width = picture.shape[:2]
    return {"source": source, "width": width, "height": height, "detections": detections.as_records()}


def class_folder(name: str) -> str:
    """Return a folder name for a class: a name may contain a slash, and must not escape the folder above."""
    return "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in name[:80]) or "_"


def _plan(sources: Iterable[str], folder: Path, *, overwrite: bool, suffix: str = "") -> dict[str, Path]:
    """Return a file of the folder for each source; with `suffix`, in place of the image's own."""
    make_folder(folder)
    sources = list(sources)
    originals = {Path(source).resolve() for source in sources if not is_url(source)}
    paths: dict[str, Path] = {}
    taken: set[str] = set()
    for source in sources:
        name = output_name(source, taken=() if suffix else taken)
        if suffix:
            # Named like an image, so that the same rules number it.
            name = Path(output_name(Path(name).stem + ".png", taken=taken)).name
        taken.add(name)
        path = folder / (Path(name).stem + suffix if suffix else name)
        if path.resolve() in originals:
            raise OutputError(f"{path}: is one of the pictures to read; choose another folder")
        check_output(path, overwrite=overwrite)
        paths[source] = path
    return paths


def _json_line(record: dict[str, Any], stream: TextIO) -> str:
    """Return one line of JSON; characters that the stream's encoding lacks are escaped."""
    line = json.dumps(record, ensure_ascii=False)
    try:
        line.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(record)
    return line + "\n"
