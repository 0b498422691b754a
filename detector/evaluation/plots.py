"""Curves and tables as pictures, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import SettingsError
from detector.evaluation.average_precision import Score
from detector.training.history import Row

_MOST_NAMED = 20
"""Classes beyond this number share one colour: nobody can tell more apart."""


def plot_history(path: Path, rows: Sequence[Row]) -> None:
    """Loss and average precision over the epochs."""
    figure, (left, right) = _figure(1, 2, (11, 4))
    epochs = [row.epoch for row in rows]
    for name in ("loss", "box", "objectness", "classes"):
        left.plot(epochs, [getattr(row, name) for row in rows], label=name, linewidth=2 if name == "loss" else 1)
    left.set(xlabel="epoch", ylabel="loss per picture", yscale="log")
    left.legend()
    judged = [row for row in rows if row.ap is not None]
    for name, label in (("ap50", "AP50"), ("ap", "AP")):
        right.plot([row.epoch for row in judged], [getattr(row, name) for row in judged], marker="o", label=label)
    right.set(xlabel="epoch", ylabel="average precision", ylim=(0, 1))
    right.grid(alpha=0.3)
    if judged:
        right.legend()
    _save(figure, path)


def plot_precision(path: Path, scores: Mapping[str, Score]) -> None:
    """Precision over recall at IoU 0.5: each model's mean, and with one model its classes too."""
    figure, ((axes,),) = _figure(1, 1, (7, 6), squeeze=False)
    recall = np.linspace(0, 1, 101)
    for label, score in scores.items():
        measured = [number for number in range(score.precision50.shape[1]) if (score.precision50[:, number] > -1).all()]
        if len(scores) == 1:
            for number in measured:
                name = list(score.classes)[number]
                few = len(measured) <= _MOST_NAMED
                style = {"label": f"{name} {score.classes[name].ap50:.3f}"} if few else {"color": "0.8"}
                axes.plot(recall, score.precision50[:, number], linewidth=1, **style)
        if measured:
            mean = score.precision50[:, measured].mean(axis=1)
            axes.plot(recall, mean, linewidth=2.5, label=f"{label}: AP50 {score.ap50:.3f}")
    axes.set(xlabel="recall", ylabel="precision at IoU 0.5", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    _save(figure, path)


def plot_confusion(path: Path, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """True classes by found classes, each row in parts of its sum; the last row and column are nothing."""
    side = max(6.0, 0.28 * len(names) + 3)
    figure, ((axes,),) = _figure(1, 1, (side, side), squeeze=False)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    labels = [*names, "nothing"]
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="found", ylabel="true")
    if len(labels) <= _MOST_NAMED:
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                colour = "white" if parts[row, column] > 0.5 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    _save(figure, path)


def check_matplotlib() -> None:
    """Raise `SettingsError` unless pictures can be plotted: before the work, not after."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SettingsError("plots need matplotlib, which is not installed; pip install -e '.[train]'") from None


def _figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
