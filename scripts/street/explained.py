"""Make the README's images of a heat map and of tiled detection, with the demo network (scripts/explain_street)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from convert import convert
from convert.errors import Yolo3Error
from convert.names import configs_folder
from detector.detections import Detections
from detector.detector import Detector
from detector.drawing.boxes import draw, draw_caption
from detector.drawing.heatmap import overlay
from detector.images.reading import write_picture
from detector.images.tiles import Tiles
from detector.recognition.explain import explain
from scripts.street.render import draw_shot
from scripts.street.stage import random_street

HEAT_SEED = 11
WALL_SEED = 40
WALL = (3, 3)
"""Columns and rows of the wall of monitors."""

_GAP = 6
_SHOWN_WIDTH = 800


def main() -> None:
    """Write both pictures."""
    parser = argparse.ArgumentParser(prog="scripts/explain_street", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the pictures")
    out = parser.parse_args().out
    weights = configs_folder().parent / "model_data" / "street.weights"
    cfg = configs_folder() / "street.cfg"
    try:
        with TemporaryDirectory() as folder:
            model = Path(folder) / "street.h5"
            convert(cfg, weights, model, names=cfg.with_suffix(".names"))
            detector = Detector.open(model, confidence=0.3)
            write_picture(out / "heatmap.jpg", heat_map(detector))
            picture, plain, tiled = wall(detector)
            print(f"plain {len(plain)} boxes, tiled {len(tiled)} boxes")
            write_picture(out / "tiles.jpg", side_by_side(picture, plain, tiled))
    except Yolo3Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"Wrote {out / 'heatmap.jpg'} and {out / 'tiles.jpg'}")


def heat_map(detector: Detector) -> NDArray[np.uint8]:
    """Draw a street with its boxes, and the heat of its two best detections of different classes."""
    picture = draw_shot(random_street(HEAT_SEED)).picture
    found = detector.detect(picture)
    chosen = _best_of_two_classes(found)
    plain = picture.copy()
    draw(plain, chosen)
    parts = [plain]
    for detection in chosen:
        shown = overlay(picture, explain(detector, picture, detection))
        draw_caption(shown, detection[3])
        parts.append(shown)
    return _beside(parts)


def wall(detector: Detector) -> tuple[NDArray[np.uint8], Detections, Detections]:
    """Draw a wall of monitors, each with a street; detect in it at once, and with a tile for each monitor."""
    columns, rows = WALL
    streets = [draw_shot(random_street(WALL_SEED + number)).picture for number in range(columns * rows)]
    picture = np.concatenate(
        [np.concatenate(streets[row * columns : (row + 1) * columns], axis=1) for row in range(rows)]
    )
    return picture, detector.detect(picture), detector.detect(picture, tiles=Tiles(columns, rows))


def side_by_side(picture: NDArray[np.uint8], plain: Detections, tiled: Detections) -> NDArray[np.uint8]:
    """Return the image with each of two detections drawn on it, captioned."""
    parts = []
    for found, caption in (
        (plain, f"whole picture: {len(plain)} objects"),
        (tiled, f"--tiles 3x3: {len(tiled)} objects"),
    ):
        drawn = picture.copy()
        draw(drawn, found, labels=False)
        draw_caption(drawn, caption, text_size=48)
        parts.append(drawn)
    return _beside(parts)


def _best_of_two_classes(found: Detections) -> Detections:
    first = int(np.argmax(found.confidence))
    others = np.flatnonzero(found.class_id != found.class_id[first])
    return found[[first, *others[:1].tolist()]]


def _beside(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    width = (2 * _SHOWN_WIDTH) // len(pictures)
    parts: list[NDArray[np.uint8]] = []
    for picture in pictures:
        height = round(picture.shape[0] * width / picture.shape[1])
        shown = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        parts += [shown, np.full((height, _GAP, 3), 255, np.uint8)]
    return np.concatenate(parts[:-1], axis=1)


if __name__ == "__main__":
    main()
