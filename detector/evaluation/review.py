"""Put labelled images in the order in which they are worth a look: where a model's boxes and the labels disagree.

An image without a label file has nothing to disagree with; it counts by how unsure the model is about it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.files import write_whole
from detector.datasets.examples import Dataset, Example
from detector.detections import Detections
from detector.drawing.boxes import draw, draw_caption
from detector.errors import SettingsError
from detector.evaluation.average_precision import Truth
from detector.evaluation.ground_truth import example_truth, picture_reader
from detector.evaluation.predictions import Predictions
from detector.heads.boxes import iou

OVERLAP = 0.5
"""IoU from which a detected box and a label are of one object."""

Kind = Literal["not labelled", "not found", "other class", "unsure"]

_COLUMNS, _ROWS = 4, 5
_CELL_WIDTH, _CELL_HEIGHT = 420, 315
_SHOWN = 10
_MOST_SUMMED = 32
_NOT_FOUND = 0.5
"""Weight of a label that the model did not find at all: more often the model's fault than the label's."""


@dataclass(frozen=True)
class Doubt:
    """A box to look at."""

    kind: Kind
    name: str
    """The class that the model detected; that of the label if it detected none."""

    labelled: str
    """The class of the label; empty if there is none."""

    confidence: float
    """The model's; of a label that it did not find, the highest of a weak box there, or 0."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels."""

    weight: float
    """How much it counts, 0 to 1: the confidence of a box that has no label or another one, half of what is missing to
    a confidence of 1 for a label that was not found, and the nearness of its confidence to one half without labels."""

    def __str__(self) -> str:
        match self.kind:
            case "not labelled":
                return f"{self.name}: no label"
            case "not found":
                return f"{self.name}: not found"
            case "other class":
                return f"{self.name}: labelled {self.labelled}"
            case _:
                return self.name


@dataclass(frozen=True, eq=False)
class ReviewedPicture:
    """An image with its doubtful boxes, the greatest doubt first."""

    example: Example
    doubts: tuple[Doubt, ...]

    @property
    def score(self) -> float:
        """The sum of the boxes' weights, the greatest whole, the next by half, and so on; below 2.

        In a plain sum, pictures of many small objects would come first, which the model misses most of.
        """
        return sum(doubt.weight * 0.5**place for place, doubt in enumerate(self.doubts[:_MOST_SUMMED]))

    def count(self, kind: Kind) -> int:
        """Return the number of doubtful boxes of a kind."""
        return sum(doubt.kind == kind for doubt in self.doubts)


@dataclass(frozen=True)
class Review:
    """All images of a dataset that a model was run on, those with most doubt first."""

    pictures: tuple[ReviewedPicture, ...]
    without_boxes: int
    """Number of the dataset's images that the model was not run on; they are left out."""

    def lines(self) -> list[str]:
        """Return the result as text: how many images have doubtful boxes, and the first of them."""
        doubtful = [picture for picture in self.pictures if picture.doubts]
        lines = [f"{len(doubtful)} of {len(self.pictures)} pictures have boxes to look at"]
        for picture in doubtful[:_SHOWN]:
            counts = [f"{picture.count(kind)} {kind}" for kind in _KINDS if picture.count(kind)]
            lines.append(f"  {picture.score:6.2f}  {picture.example.path}: {', '.join(counts)}")
        if len(doubtful) > _SHOWN:
            lines.append(f"  … and {len(doubtful) - _SHOWN} more")
        return lines


_KINDS: tuple[Kind, ...] = ("not labelled", "not found", "other class", "unsure")


def review(dataset: Dataset, predictions: Predictions, *, confidence: float) -> Review:
    """Compare a dataset's labels with a model's boxes; boxes of less than `confidence` do not count as detected.

    Raise `SettingsError` if the model was run on none of the images.
    """
    unique = {example.path: example for example in (*dataset.train, *dataset.valid, *dataset.test)}
    reviewed = []
    for example in unique.values():
        found = predictions.of(example, dataset.names)
        if found is not None:
            reviewed.append(_reviewed(example, found, dataset.names, confidence))
    if not reviewed:
        raise SettingsError(
            f"{predictions.path}: none of its pictures is one of the dataset's {len(unique)}; detect in these first: "
            "yolo3 image FOLDER --json PICTURES.json --confidence 0.1"
        )
    order = sorted(range(len(reviewed)), key=lambda number: (-reviewed[number].score, number))
    return Review(tuple(reviewed[number] for number in order), len(unique) - len(reviewed))


def write_review(path: Path, review: Review) -> None:
    """Write a row for each image as `.csv`, or with its doubtful boxes as `.json`. Raise `OutputError`, `WriteError`.

    `SettingsError` is raised for any other suffix.
    """
    check_review_name(path)
    text = _as_csv(review) if path.suffix.lower() == ".csv" else _as_json(review)
    write_whole(path, text.encode("utf-8", "surrogateescape"))


def check_review_name(path: Path) -> None:
    """Raise `SettingsError` for a name that says neither `.csv` nor `.json`."""
    if path.suffix.lower() not in (".csv", ".json"):
        raise SettingsError(f"{path}: a review is written as .csv or .json, not {path.suffix or 'without a suffix'}")


def review_sheet(review: Review) -> NDArray[np.uint8]:
    """Return the first images side by side with their doubtful boxes; one grey cell if there are none."""
    chosen = [picture for picture in review.pictures if picture.doubts][: _COLUMNS * _ROWS]
    rows, columns = max(1, -(-len(chosen) // _COLUMNS)), max(1, min(_COLUMNS, len(chosen)))
    sheet = np.full((rows * _CELL_HEIGHT, columns * _CELL_WIDTH, 3), 128, np.uint8)
    for number, picture in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        cell = _cell(picture, number + 1)
        top, left = row * _CELL_HEIGHT, column * _CELL_WIDTH
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _reviewed(example: Example, found: Detections, names: tuple[str, ...], confidence: float) -> ReviewedPicture:
    if not example.labelled:
        sure = found[found.confidence >= confidence]
        doubts = [_unsure(sure, number) for number in range(len(sure))]
    else:
        doubts = _disagreements(example_truth(example), found, names, confidence)
    return ReviewedPicture(example, tuple(sorted(doubts, key=lambda doubt: -doubt.weight)))


def _unsure(found: Detections, number: int) -> Doubt:
    """Return the doubt about a box that no label confirms: greatest at a confidence of one half."""
    score = float(found.confidence[number])
    return Doubt("unsure", _name(found, number), "", score, _edges(found.xyxy[number]), 1 - abs(2 * score - 1))


def _disagreements(truth: Truth, found: Detections, names: tuple[str, ...], confidence: float) -> list[Doubt]:
    crowd = truth.crowd if truth.crowd is not None else np.zeros(len(truth.class_id), bool)
    overlaps = np.array([iou(box[None], truth.xyxy) for box in found.xyxy], np.float32)
    overlaps = overlaps.reshape(len(found), len(truth.class_id))
    same = found.class_id[:, None] == truth.class_id[None]
    free = ~crowd
    rest = []
    sure = np.argsort(-found.confidence, kind="stable")
    for place in sure[
        found.confidence[sure] >= confidence
    ].tolist():  # as in COCO's measure: the surest box first, with the label of its class that it fits best
        fits = np.where(free & same[place], overlaps[place], 0)
        if len(fits) and fits.max() >= OVERLAP:
            free[int(fits.argmax())] = False
        else:
            rest.append(place)
    doubts = []
    for place in rest:
        score = float(found.confidence[place])
        fits = np.where(free, overlaps[place], 0)
        if len(fits) and fits.max() >= OVERLAP:
            other = int(fits.argmax())
            free[other] = False
            labelled = names[int(truth.class_id[other])]
            doubts.append(Doubt("other class", _name(found, place), labelled, score, _edges(found.xyxy[place]), score))
        elif not (crowd.any() and overlaps[place][crowd].max() > 0):
            doubts.append(Doubt("not labelled", _name(found, place), "", score, _edges(found.xyxy[place]), score))
    for other in np.flatnonzero(free).tolist():
        weak = found.confidence[same[:, other] & (overlaps[:, other] >= OVERLAP)]
        score = float(weak.max()) if len(weak) else 0.0
        name = names[int(truth.class_id[other])]
        doubts.append(Doubt("not found", name, name, score, _edges(truth.xyxy[other]), _NOT_FOUND * (1 - score)))
    return doubts


def _name(found: Detections, number: int) -> str:
    return found.names[int(found.class_id[number])]


def _edges(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (round(float(edge), 2) for edge in box)
    return left, top, right, bottom


def _cell(picture: ReviewedPicture, number: int) -> NDArray[np.uint8]:
    """Return an image at the size of a cell with its doubtful boxes."""
    pixels = picture_reader(picture.example)()
    height, width = pixels.shape[:2]
    scale = min(_CELL_WIDTH / width, _CELL_HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.array(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    texts = tuple(dict.fromkeys(map(str, picture.doubts)))
    boxes = Detections(
        np.array([doubt.box for doubt in picture.doubts], np.float32) * np.float32(scale),
        np.array([doubt.confidence for doubt in picture.doubts], np.float32),
        np.array([texts.index(str(doubt)) for doubt in picture.doubts], np.int64),
        texts,
    )
    draw(small, boxes)
    draw_caption(small, f"{number}: {picture.example.path.name} {picture.score:.2f}")
    return small


def _as_csv(review: Review) -> str:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["filename", "score", *(kind.replace(" ", "_") for kind in _KINDS)])
    for picture in review.pictures:
        counts = (picture.count(kind) for kind in _KINDS)
        table.writerow([str(picture.example.path), f"{picture.score:.4f}", *counts])
    return text.getvalue()


def _as_json(review: Review) -> str:
    rows: Sequence[dict[str, Any]] = [
        {
            "filename": str(picture.example.path),
            "score": round(picture.score, 4),
            "boxes": [
                {
                    "kind": doubt.kind,
                    "name": doubt.name,
                    "labelled": doubt.labelled or None,
                    "confidence": round(doubt.confidence, 4),
                    "box": list(doubt.box),
                    "weight": round(doubt.weight, 4),
                }
                for doubt in picture.doubts
            ],
        }
        for picture in review.pictures
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
