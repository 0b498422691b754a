"""Measure average precision against time over shapes and sizes, on images with COCO labels."""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.report import PAGE, machine, put, table
from detector import Detections, Detector
from detector.images.planes import Planes
from detector.images.reading import read_picture
from detector.video.colours import FromRgb, ToImage
from detector.video.frames import Colours

SHAPES: dict[str, dict[str, Any]] = {
    "square, stretch": {"shape": "square", "resize": "stretch"},
    "square, letterbox": {"shape": "square", "resize": "letterbox"},
    "rect": {"shape": "rect", "resize": "letterbox"},
    "fit, stretch": {"shape": "fit", "resize": "stretch"},
    "fit, letterbox": {"shape": "fit", "resize": "letterbox"},
}
RESAMPLINGS = 30


@dataclass
class Setting:
    """One shape and size of one network, and its measurements."""

    shape: str
    size: int
    detector: Detector
    results: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    last: tuple[int, int] = 0, 0
    """Return the network input's width and height for the last image."""

    ap: float = 0.0
    resampled: Any = None

    @property
    def milliseconds(self) -> float:
        """The median milliseconds of the network."""
        return float(np.median(self.seconds)) * 1e3


def main() -> None:
    """Measure, plot, and write the section `frontier` of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/frontier")
    parser.add_argument("models", nargs="+", type=Path, help="model files with COCO's 80 classes")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--labels", type=Path, required=True, help="their COCO instances .json")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 288, 320, 352, 384, 416])
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(options.labels)
    sets = {"as they are": truth, "cropped to 16:9": wide(truth)}
    measured: dict[tuple[str, str], list[Setting]] = {}
    for name, labels in sets.items():
        for model in options.models:
            measured[model.stem, name] = measure(model, labels, options, crop=labels is not truth)
            plot(measured)
            put("frontier", report(measured))
    put("planes", planes_against_rgb(options.models, truth, options.pictures))


def planes_against_rgb(models: Sequence[Path], truth: Any, pictures: Path) -> str:
    """Return a table: average precision on images in video planes, resized as planes or after conversion to RGB."""
    colours = Colours(matrix=5, full_range=False)
    categories = sorted(truth.getCatIds())
    rows = []
    for model in models:
        detector = Detector.open(model, confidence=0.005, resize="stretch")
        results: dict[str, list[dict[str, Any]]] = {"rgb": [], "planes": []}
        for image in tqdm(truth.loadImgs(truth.getImgIds()), desc=f"{model.stem} in planes"):
            picture = read_picture(pictures / image["file_name"])
            even = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
            stored = FromRgb(colours, height=len(even))(even)
            planes = ToImage(stored)(stored)
            assert isinstance(planes, Planes)
            for name, given in (("rgb", planes.rgb), ("planes", planes)):
                results[name] += as_results(detector.detect(given), image["id"], categories)
        (rgb, drawn), (in_planes, drawn_in_planes) = (average_precision(truth, found) for found in results.values())
        gain = drawn_in_planes - drawn
        rows.append((model.stem, f"{rgb:.3f}", f"{in_planes:.3f}", f"{gain.mean():+.4f} ± {gain.std():.4f}"))
    head = ("network", "AP, RGB resized", "AP, planes resized", "difference")
    return f"### Frames in planes\n\n{table(head, rows)}"


def measure(model: Path, truth: Any, options: argparse.Namespace, *, crop: bool) -> list[Setting]:
    """Run every setting on every image, alternating, so that load on the machine slows all equally."""
    settings = [
        Setting(shape, size, Detector.open(model, size=str(size), confidence=0.005, threads=options.threads, **choice))
        for shape, choice in SHAPES.items()
        for size in options.sizes
    ]
    categories = sorted(truth.getCatIds())
    for image in tqdm(truth.loadImgs(truth.getImgIds()), desc=f"{model.stem}{' 16:9' if crop else ''}"):
        picture = read_picture(options.pictures / image["file_name"])
        if crop:
            left, top, width, height = middle(picture.shape[1], picture.shape[0])
            picture = np.ascontiguousarray(picture[top : top + height, left : left + width])
        for setting in settings:
            detector = setting.detector
            fit = detector.fit(picture.shape[1], picture.shape[0])
            if (fit.width, fit.height) != setting.last:  # a new size takes longer the first time
                detector.engine.run(fit.network_input(picture)[None])
                setting.last = fit.width, fit.height
            began = time.perf_counter()
            heads = detector.engine.run(fit.network_input(picture)[None])
            setting.seconds.append(time.perf_counter() - began)
            setting.pixels.append(fit.width * fit.height)
            found = detector.interpret([head[0] for head in heads], fit)
            setting.results += as_results(found, image["id"], categories)
    for setting in settings:
        setting.ap, setting.resampled = average_precision(truth, setting.results)
    return settings


def as_results(found: Detections, image_id: int, categories: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield detections in COCO's results format."""
    for (left, top, right, bottom), confidence, class_id, _ in found:
        box = [float(left), float(top), float(right - left), float(bottom - top)]
        yield {"image_id": image_id, "category_id": categories[class_id], "bbox": box, "score": float(confidence)}


def average_precision(
    truth: Any, results: list[dict[str, Any]], *, measure: Callable[[Any], Any] | None = None
) -> tuple[Any, Any]:
    """Return AP at IoU 0.50:0.95, also of resampled images; the resamples are the same for every setting.

    `measure` computes other figures from COCO's array of precisions, whose first axis is the IoU.
    """
    measure = measure or mean_precision
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
        whole = measure(evaluation.eval["precision"])
        pictures = len(evaluation.params.imgIds)
        by_class = np.array(evaluation.evalImgs, object).reshape(-1, pictures)
        random = np.random.default_rng(1)
        resampled = []
        for _ in range(RESAMPLINGS):
            evaluation.evalImgs = by_class[:, random.integers(0, pictures, pictures)].reshape(-1).tolist()
            evaluation.accumulate()
            resampled.append(measure(evaluation.eval["precision"]))
    return whole, np.array(resampled)


def mean_precision(precision: Any) -> float:
    """Return the mean of the precisions of classes that have true boxes."""
    return float(precision[precision > -1].mean())


def middle(width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the largest central 16:9 part."""
    new_width, new_height = (width, width * 9 // 16) if width * 9 < height * 16 else (height * 16 // 9, height)
    return (width - new_width) // 2, (height - new_height) // 2, new_width, new_height


def wide(truth: Any) -> Any:
    """Return the labels of the images cropped to 16:9; boxes cut by more than half are ignored."""
    cropped = copy.deepcopy(truth)
    for annotation in cropped.anns.values():
        image = cropped.imgs[annotation["image_id"]]
        left, top, width, height = middle(image["width"], image["height"])
        x, y, box_width, box_height = annotation["bbox"]
        x0, y0 = np.clip([x - left, y - top], 0, [width, height])
        x1, y1 = np.clip([x + box_width - left, y + box_height - top], 0, [width, height])
        seen = (x1 - x0) * (y1 - y0)
        if seen < box_width * box_height / 2:
            annotation["iscrowd"] = annotation["ignore"] = 1
        annotation["bbox"], annotation["area"] = [x0, y0, x1 - x0, y1 - y0], float(max(seen, 1))
    return cropped


def plot(measured: dict[tuple[str, str], list[Setting]]) -> None:
    """Plot docs/frontier.png: a panel for each network and set of images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, len(measured), figsize=(5 * len(measured), 4), squeeze=False)
    for axis, ((model, pictures), settings) in zip(axes[0], measured.items(), strict=True):
        for shape in SHAPES:
            line = [setting for setting in settings if setting.shape == shape]
            axis.errorbar(
                [np.mean(setting.pixels) / 1e3 for setting in line],
                [setting.ap for setting in line],
                yerr=[setting.resampled.std() for setting in line],
                label=shape, marker="o", markersize=3, capsize=2, linewidth=1,
            )  # fmt: skip
        axis.set(title=f"{model}\n{pictures}", xlabel="network input, thousand pixels", ylabel="AP 0.50:0.95")
    axes[0][0].legend(fontsize=8)
    plt.tight_layout()
    plt.savefig(PAGE.with_name("frontier.png"), dpi=80)


def report(measured: dict[tuple[str, str], list[Setting]]) -> str:
    """Return the section's text: a table for each network and set of images."""
    pictures = len(next(iter(measured.values()))[0].pixels)
    parts = [
        "## Shapes and sizes",
        f"Average precision (COCO's, IoU 0.50:0.95) on {pictures} pictures of COCO val2017, through LiteRT. ± is the "
        f"standard deviation over {RESAMPLINGS} draws of the pictures with replacement; the last columns compare each "
        "shape with the stretched square of the same size on the same draws. Times are medians of resizing and the "
        "network, all settings alternating.",
        "![Average precision against network input](frontier.png)",
    ]
    for (model, name), settings in measured.items():
        rows = []
        for setting in settings:
            base = next(item for item in settings if item.shape == "square, stretch" and item.size == setting.size)
            gain = setting.resampled - base.resampled
            rows.append(
                (
                    f"{setting.shape}, {setting.size}",
                    f"{setting.ap:.3f} ± {setting.resampled.std():.3f}",
                    f"{np.mean(setting.pixels) / 1e3:.0f}",
                    f"{setting.milliseconds:.1f}",
                    f"{setting.ap - base.ap:+.3f} ± {gain.std():.3f}",
                    f"{setting.milliseconds / base.milliseconds:.2f}",
                )
            )
        head = ("shape, size", "AP", "kilopixels", "ms", "AP against square", "time against square")
        parts += [f"### {model}, pictures {name}", table(head, rows)]
    return "\n\n".join([*parts, machine()])


if __name__ == "__main__":
    main()
