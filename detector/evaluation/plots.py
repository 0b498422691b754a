"""Plot curves and tables with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.files import write_whole
from detector.errors import SettingsError
from detector.evaluation.average_precision import Score

_MOST_NAMED = 20
"""Classes beyond this number share one colour: more cannot be distinguished."""

_PALETTE = (
    "#1f77b4 #ff7f0e #2ca02c #d62728 #9467bd #8c564b #e377c2 #7f7f7f #bcbd22 #17becf "
    "#aec7e8 #ffbb78 #98df8a #ff9896 #c5b0d5 #c49c94 #f7b6d2 #c7c7c7 #dbdb8d #9edae5"
).split()
"""Twenty colours (matplotlib's tab20)."""

_MOST_INSIDE = 8
"""Maximum entries of a legend within the axes; a longer one is beside them."""


def plot_precision(path: Path, scores: Mapping[str, Score]) -> None:
    """Plot precision over recall at IoU 0.5: each model's mean, and the classes of a single model."""
    figure, axes = new_figure(1, 1, (7, 6))
    recall = np.linspace(0, 1, 101)
    for label, score in scores.items():
        measured = [number for number in range(score.precision50.shape[1]) if (score.precision50[:, number] > -1).all()]
        if len(scores) == 1:
            few = len(measured) <= _MOST_NAMED
            for place, number in enumerate(measured):
                name = list(score.classes)[number]
                label_of_class = f"{plain_text(name)} {score.classes[name].ap50:.3f}" if few else None
                colour = _PALETTE[place % len(_PALETTE)] if few else "0.8"
                axes.plot(recall, score.precision50[:, number], linewidth=1, color=colour, label=label_of_class)
        if measured:
            mean = score.precision50[:, measured].mean(axis=1)
            mean_colour = "black" if len(scores) == 1 else None
            title = f"{plain_text(label)}: AP50 {score.ap50:.3f}"
            axes.plot(recall, mean, linewidth=2.5, color=mean_colour, label=title)
    axes.set(xlabel="recall", ylabel="precision at IoU 0.5", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    entries = len(axes.get_legend_handles_labels()[0])
    if entries > _MOST_INSIDE:
        figure.set_figwidth(10)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    elif entries:
        axes.legend(loc="lower left", fontsize=8)
    save_figure(figure, path)


def plot_confusion(path: Path, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """Plot a confusion matrix: true classes by found classes, rows normalised; the last of each is background."""
    side = max(6.0, 0.28 * len(names) + 3)
    figure, axes = new_figure(1, 1, (side, side))
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    labels = [*map(plain_text, names), "background"]
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="found", ylabel="true")
    if len(labels) <= _MOST_NAMED:
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                colour = "white" if parts[row, column] > 0.5 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    save_figure(figure, path)


def check_matplotlib() -> None:
    """Raise `SettingsError` unless matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SettingsError("plots need matplotlib, which is not installed; pip install -e '.[train]'") from None


def plain_text(text: str) -> str:
    """Escape a text for matplotlib, in which `$` begins a formula."""
    return text.replace("$", r"\$")


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """Return a figure with this many axes, `size` in inches. Raise `SettingsError` without matplotlib."""
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG. Raise `OutputError` or `WriteError`."""
    data = io.BytesIO()
    figure.savefig(data, dpi=110, format="png")
    write_whole(path, data.getvalue())
