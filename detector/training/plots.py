"""Plot the curves of a training run with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detector.evaluation.plots import new_figure, save_figure
from detector.training.history import Row

_TERMS = ("loss", "box", "objectness", "classes")


def plot_history(path: Path, rows: Sequence[Row]) -> None:
    """Plot loss, average precision and learning rate over the epochs."""
    figure, (losses, precision, rate) = new_figure(1, 3, (15, 4))
    epochs = [row.epoch for row in rows]
    values = [(row.loss, row.box, row.objectness, row.classes) for row in rows]
    for name, term in zip(_TERMS, zip(*values, strict=True), strict=False):
        losses.plot(epochs, term, label=name, linewidth=2 if name == "loss" else 1)
    losses.set(xlabel="epoch", ylabel="loss per picture", yscale="log")
    if rows:
        losses.legend()
    evaluated = [row for row in rows if row.ap is not None]
    numbers = [row.epoch for row in evaluated]
    precision.plot(numbers, [row.ap50 for row in evaluated], marker="o", label="AP50")
    precision.plot(numbers, [row.ap for row in evaluated], marker="o", label="AP")
    precision.set(xlabel="epoch", ylabel="average precision", ylim=(0, 1))
    precision.grid(alpha=0.3)
    if evaluated:
        precision.legend()
    rate.plot(epochs, [row.rate for row in rows])
    rate.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
    rate.grid(alpha=0.3)
    save_figure(figure, path)
