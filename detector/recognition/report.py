"""Classifications told: a table with bars for the terminal, and bars as a picture."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from convert.files import replacing
from detector.errors import SettingsError
from detector.recognition.classification import Classification

ByModel = Mapping[str, Classification]
"""One picture's classifications by model; with several models their average first (`with_average`)."""

MOST_PLOTTED = 20
"""Pictures in one plot."""

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LONGEST_NAME = 32


def table(by_model: ByModel, count: int, *, bar_width: int = 30, encoding: str = "utf-8") -> list[str]:
    """A line for each of the `count` best classes: name, each model's probability, a bar for the first model's.

    With several models a header names them. Where `encoding` has no block characters, bars are made of `#`.
    """
    models = list(by_model.items())
    best = models[0][1].top(count)
    name_width = max([len(_shortened(one.name)) for one in best], default=0)
    widths = [max(6, len(name)) for name, _ in models] if len(models) > 1 else [6]
    lines = []
    if len(models) > 1:
        lines.append(
            "  ".join([" " * name_width, *(name.rjust(wide) for (name, _), wide in zip(models, widths, strict=True))])
        )
    for one in best:
        figures = [
            f"{float(classes.probabilities[one.class_id]):.4f}".rjust(wide)
            for (_, classes), wide in zip(models, widths, strict=True)
        ]
        bar = horizontal_bar(one.probability, bar_width, encoding)
        lines.append("  ".join([_shortened(one.name).ljust(name_width), *figures, bar]).rstrip())
    return lines


def horizontal_bar(part: float, width: int, encoding: str = "utf-8") -> str:
    """A bar `width` characters long for 1, in eighths of a character where the encoding has them."""
    eighths = round(max(0.0, min(1.0, part)) * width * 8)
    bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    try:
        bar.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "#" * round(eighths / 8)
    return bar


def plot(path: Path, pictures: Sequence[tuple[str, ByModel]], count: int) -> None:
    """Write a horizontal bar graph for each picture, with a bar for each model, to a picture file.

    Raises `SettingsError` without matplotlib, or for more than `MOST_PLOTTED` pictures; `OutputError` and `WriteError`
    as `replacing` does.
    """
    check_plot(path, len(pictures))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    models = max(len(by_model) for _, by_model in pictures)
    height = 0.7 + (0.18 * models + 0.16) * count
    figure = Figure((8, height * len(pictures)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, by_model) in zip(figure.subplots(len(pictures), 1, squeeze=False)[:, 0], pictures, strict=True):
        best = next(iter(by_model.values())).top(count)
        places, thickness = np.arange(len(best)), 0.8 / len(by_model)
        for number, (model, classes) in enumerate(by_model.items()):
            values = [float(classes.probabilities[one.class_id]) for one in best]
            offset = (number - (len(by_model) - 1) / 2) * thickness
            bars = axes.barh(places + offset, values, thickness, label=model)
            axes.bar_label(bars, fmt="%.3f", padding=2, fontsize=8)
        axes.set_yticks(places, [_literal(_shortened(one.name)) for one in best])
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.08), xlabel="probability")
        axes.set_title(_literal(title), fontsize=10)
        axes.legend(fontsize=8, loc="lower right")
    with replacing(path) as aside, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a name in a script that the font lacks
        figure.savefig(aside, dpi=110, format=path.suffix[1:].lower())


def check_plot(path: Path, pictures: int) -> None:
    """Raise `SettingsError` where a plot of so many pictures cannot be made: before the work, not after."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise SettingsError(f"{path}: plots are written as .png, .svg or .pdf; choose one of these suffixes")
    if pictures > MOST_PLOTTED:
        raise SettingsError(f"a plot holds {MOST_PLOTTED} pictures at most, not {pictures}; give fewer, or take --json")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SettingsError("plots need matplotlib, which is not installed; pip install matplotlib") from None


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _literal(text: str) -> str:
    """The text as matplotlib shows it, without reading formulas into dollar signs."""
    return text.replace("$", r"\$")
