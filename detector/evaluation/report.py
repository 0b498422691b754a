"""An evaluation told: a table of models, and pictures that show where one is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.datasets.dataset import Dataset, Example
from detector.detections import Detections
from detector.detector import Detector
from detector.drawing.boxes import draw, draw_caption
from detector.errors import OutputError, SettingsError
from detector.evaluation.average_precision import Score, Truth, evaluate
from detector.evaluation.confusion import confuse
from detector.evaluation.ground_truth import example_truth, picture_reader
from detector.evaluation.plots import check_matplotlib, plot_confusion, plot_precision
from detector.images.reading import write_picture
from detector.settings import Settings

SHOWN_CONFIDENCE = 0.25
"""Boxes of less are left out of the confusion matrix and of pictures, as they are when detecting."""

_WORST = 8


@dataclass(frozen=True)
class Verdict:
    """What an evaluation came to."""

    scores: Mapping[str, Score]
    """Per model, by its path."""

    files: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {"models": {name: one.as_json() for name, one in self.scores.items()}}


def evaluate_models(
    dataset: Dataset,
    models: Sequence[Path],
    settings: Settings,
    *,
    out: Path | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Verdict:
    """Judge models by a dataset's pictures to judge by; with `out`, write plots and the worst pictures there."""
    if out is not None:
        check_matplotlib()
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    examples = dataset.valid
    readers = [picture_reader(example) for example in examples]
    truths = [example_truth(example) for example in examples]
    detectors = {str(model): Detector.open(model, settings) for model in models}
    translations = {name: translation(one.names, dataset.names, name) for name, one in detectors.items()}
    scores: dict[str, Score] = {}
    files: list[Path] = []
    for name, detector in detectors.items():

        def detect(picture: NDArray[np.uint8], detector: Detector = detector, name: str = name) -> Detections:
            return translated(detector.detect(picture), translations[name], dataset.names)

        scores[name], found = evaluate(readers, truths, detect, dataset.names, progress=progress)
        if out is not None:
            folder = out / Path(name).stem if len(models) > 1 else out
            confusion = confuse(truths, found, len(dataset.names), confidence=SHOWN_CONFIDENCE)
            plot_confusion(folder / "confusion.png", confusion.counts, dataset.names)
            files.append(folder / "confusion.png")
            worst = np.argsort(-confusion.mistakes, kind="stable")[:_WORST]
            for place, index in enumerate(worst[confusion.mistakes[worst] > 0].tolist(), 1):
                path = folder / f"worst-{place}-{examples[index].path.stem}.jpg"
                write_picture(path, beside_truth(examples[index], found[index], truths[index], dataset.names))
                files.append(path)
    if out is not None:
        plot_precision(out / "precision.png", scores)
        files.append(out / "precision.png")
    return Verdict(scores, tuple(files))


def table(scores: Mapping[str, Score]) -> str:
    """One row per model, then with one model a row per class."""
    rows = [["model", "AP", "AP50", "AP75", "small", "medium", "large"]]
    for name, one in scores.items():
        rows.append([name, *map(_figure, (one.ap, one.ap50, one.ap75, one.small, one.medium, one.large))])
    lines = _aligned(rows)
    kinds = list(next(iter(scores.values())).classes) if scores else []
    header = ["class", "boxes", *(f"{part} {Path(name).stem}" for name in scores for part in ("AP", "AP50"))]
    rows = [header]
    for kind in kinds:
        own = [one.classes[kind] for one in scores.values()]
        if own[0].boxes:
            rows.append([kind, str(own[0].boxes), *(_figure(part) for one in own for part in (one.ap, one.ap50))])
    return "\n".join([*lines, "", *_aligned(rows)])


def translation(own: Sequence[str], wanted: Sequence[str], model: str) -> NDArray[np.int64]:
    """For each of a model's classes the data's class of the same name, -1 for none.

    Raises `SettingsError` when no name agrees and the counts differ; where they are equal, ids are taken as they are.
    """
    ids = {name: number for number, name in enumerate(wanted)}
    found = np.array([ids.get(name, -1) for name in own], np.int64)
    if (found >= 0).any():
        return found
    if len(own) == len(wanted):
        return np.arange(len(own))
    raise SettingsError(
        f"{model}: none of its classes ({', '.join(own[:5])}, …) is one of the data's ({', '.join(wanted[:5])}, …)"
    )


def translated(detections: Detections, ids: NDArray[np.int64], names: tuple[str, ...]) -> Detections:
    """The detections under the data's class ids; those of other classes are left out."""
    class_id = ids[detections.class_id]
    known = class_id >= 0
    return Detections(detections.xyxy[known], detections.confidence[known], class_id[known], names)


def beside_truth(example: Example, found: Detections, truth: Truth, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """What was found, and right of it what is there."""
    left = np.array(picture_reader(example)())
    right = left.copy()
    draw(left, found[found.confidence >= SHOWN_CONFIDENCE])
    real = Detections(truth.xyxy, np.ones(len(truth.class_id), np.float32), truth.class_id, names)
    draw(right, real, confidence=False)
    draw_caption(left, "found")
    draw_caption(right, "true")
    return np.concatenate([left, right], axis=1)


def _figure(value: float) -> str:
    return "-" if value < 0 else f"{value:.3f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
