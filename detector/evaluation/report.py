"""Write the report of an evaluation: figures, tables, plots, and the images with the most errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.files import make_folder
from detector.datasets.examples import Dataset, Example
from detector.detections import Detections
from detector.detector import Detector
from detector.drawing.boxes import draw, draw_caption
from detector.errors import SettingsError
from detector.evaluation.average_precision import Score, Truth, evaluate
from detector.evaluation.confusion import confusion_matrix
from detector.evaluation.ground_truth import example_truth, picture_reader
from detector.evaluation.operating_points import OperatingPoint, best_operating_points
from detector.evaluation.plots import check_matplotlib, plot_confusion, plot_precision
from detector.images.reading import write_picture
from detector.settings import Settings

SHOWN_CONFIDENCE = 0.25
"""Boxes below this are left out of the confusion matrix and of images, as in detection by default."""

_WORST = 8


@dataclass(frozen=True)
class EvaluationReport:
    """The result of an evaluation."""

    scores: Mapping[str, Score]
    """The figures of each model, by its path as given."""

    points: Mapping[str, Sequence[OperatingPoint | None]]
    """Each model's point of highest F1, by class."""

    files: tuple[Path, ...]
    """Paths of the plots and images that were written."""

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        models = {}
        for name, score in self.scores.items():
            figures = score.as_json()
            for kind, point in zip(figures["classes"].values(), self.points[name], strict=True):
                kind["best"] = {key: round(value, 4) for key, value in asdict(point).items()} if point else None
            models[name] = figures
        return {"models": models}


def evaluate_models(
    dataset: Dataset,
    models: Sequence[Path],
    settings: Settings,
    *,
    out: Path | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> EvaluationReport:
    """Measure models on a dataset's validation images; write plots and the worst images to `out`.

    Raise `SettingsError` for a model whose classes are not the dataset's, `OutputError` or `WriteError` for `out`.
    """
    if out is not None:
        check_matplotlib()
        make_folder(out)
    examples = dataset.valid
    readers = [picture_reader(example) for example in examples]
    truths = [example_truth(example) for example in examples]
    # The training pictures, where there are others: the pictures that a network is measured on must not shape it.
    calibrated = settings.calibrated_on([example.path for example in dataset.train or examples])
    detectors = {str(model): Detector.open(model, calibrated) for model in models}
    labels = model_labels(list(detectors))
    translations = {name: translation(one.names, dataset.names, name) for name, one in detectors.items()}
    scores: dict[str, Score] = {}
    points: dict[str, list[OperatingPoint | None]] = {}
    files: list[Path] = []
    for name, detector in detectors.items():

        def detect(picture: NDArray[np.uint8], detector: Detector = detector, name: str = name) -> Detections:
            return translated(detector.detect(picture), translations[name], dataset.names)

        scores[name], found = evaluate(readers, truths, detect, dataset.names, progress=progress)
        points[name] = best_operating_points(truths, found, len(dataset.names))
        if out is not None:
            folder = out / _folder_name(labels[name]) if len(detectors) > 1 else out
            files += _write_errors(folder, examples, truths, found, dataset.names)
    if out is not None:
        plot_precision(out / "precision.png", {labels[name]: score for name, score in scores.items()})
        files.append(out / "precision.png")
    return EvaluationReport(scores, points, tuple(files))


def model_labels(models: Sequence[str]) -> dict[str, str]:
    """Return a label for each path: the file name, with as many parent folders as distinguish it from the others."""
    paths = {model: Path(os.path.abspath(model)) for model in models}  # noqa: PTH100 - links stay as they are
    different = len(set(paths.values()))
    length = 1
    while len({path.parts[-length:] for path in paths.values()}) < different:
        length += 1
    return {model: str(Path(*path.parts[-length:])) for model, path in paths.items()}


def _folder_name(label: str) -> str:
    """Return a folder for a model's files: its label without the suffix, with dashes for slashes."""
    return "-".join(Path(label).with_suffix("").parts).strip("/-") or "model"


def _write_errors(
    folder: Path,
    examples: Sequence[Example],
    truths: Sequence[Truth],
    found: Sequence[Detections],
    names: tuple[str, ...],
) -> list[Path]:
    """Write the confusion matrix and the images with the most errors; return their paths."""
    confusion = confusion_matrix(truths, found, len(names), confidence=SHOWN_CONFIDENCE)
    plot_confusion(folder / "confusion.png", confusion.counts, names)
    files = [folder / "confusion.png"]
    worst = np.argsort(-confusion.errors, kind="stable")[:_WORST]
    for place, index in enumerate(worst[confusion.errors[worst] > 0].tolist(), 1):
        path = folder / f"worst-{place}-{examples[index].path.stem[:150]}.jpg"
        write_picture(path, beside_truth(examples[index], found[index], truths[index], names))
        files.append(path)
    return files


def table(report: EvaluationReport) -> str:
    """Return a row per model, then a row per class; for a single model also the point of highest F1 of each class."""
    names = model_labels(list(report.scores))
    scores = {names[model]: score for model, score in report.scores.items()}
    rows = [["model", "AP", "AP50", "AP75", "small", "medium", "large"]]
    for name, one in scores.items():
        rows.append([name, *map(_figure, (one.ap, one.ap50, one.ap75, one.small, one.medium, one.large))])
    lines = _aligned(rows)
    kinds = list(next(iter(scores.values())).classes) if scores else []
    single = len(scores) == 1
    labels = [""] if single else [f" {Path(name).with_suffix('')}" for name in scores]
    header = ["class", "boxes", *(f"{part}{label}" for label in labels for part in ("AP", "AP50"))]
    rows = [[*header, "precision", "recall", "F1", "at confidence"] if single else header]
    for number, kind in enumerate(kinds):
        own = [one.classes[kind] for one in scores.values()]
        if not own[0].boxes:
            continue
        row = [kind, str(own[0].boxes), *(_figure(part) for one in own for part in (one.ap, one.ap50))]
        if single:
            point = next(iter(report.points.values()))[number]
            row += (
                ["-"] * 4
                if point is None
                else [_figure(value) for value in (point.precision, point.recall, point.f1, point.confidence)]
            )
        rows.append(row)
    return "\n".join([*lines, "", *_aligned(rows)])


def translation(own: Sequence[str], wanted: Sequence[str], model: str) -> NDArray[np.int64]:
    """Return for each of a model's classes the dataset's class of the same name, -1 for none.

    Without a common name, equal numbers of classes are matched by id. Raise `SettingsError` if those differ too.
    """
    ids = {name: number for number, name in enumerate(wanted)}
    found = np.array([ids.get(name, -1) for name in own], np.int64)
    if (found >= 0).any():
        return found
    if len(own) == len(wanted):
        return np.arange(len(own))
    raise SettingsError(
        f"{model}: none of its classes ({', '.join(own[:5])}, …) is one of the dataset's ({', '.join(wanted[:5])}, …)"
    )


def translated(detections: Detections, ids: NDArray[np.int64], names: tuple[str, ...]) -> Detections:
    """Return the detections with the dataset's class ids; those of other classes are left out."""
    class_id = ids[detections.class_id]
    known = class_id >= 0
    return Detections(detections.xyxy[known], detections.confidence[known], class_id[known], names)


def beside_truth(example: Example, found: Detections, truth: Truth, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the image with the detected boxes, beside it with the ground-truth ones."""
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
