"""Evaluate a model while it is being trained."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.model_file import Description
from detector.datasets.examples import Dataset
from detector.detections import Detections
from detector.detector import Detector
from detector.engines.base import Engine
from detector.evaluation.average_precision import Score, evaluate
from detector.evaluation.ground_truth import example_truth, picture_reader
from detector.evaluation.report import beside_truth
from detector.evaluation.settings import LOWEST_CONFIDENCE
from detector.settings import Settings
from detector.training.reporting import MakeBar

CONFIDENCE = LOWEST_CONFIDENCE * 5
"""Boxes below this are left out while training: an untrained network has thousands of them."""


_EXAMPLES = 6
_GREY_CELL = np.full((300, 800, 3), 128, np.uint8)


class ModelEngine(Engine):
    """An engine that runs a Keras model in memory."""

    name = "keras"

    def __init__(self, model: Any) -> None:
        self._model = model

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Compute the raw heads of a batch."""
        outputs = self._model.predict_on_batch(batch)
        return outputs if isinstance(outputs, list) else [outputs]


class Evaluator:
    """Measures a model's average precision on a dataset's validation images."""

    def __init__(self, model: Any, description: Description, dataset: Dataset, bar: MakeBar) -> None:
        self._detector = Detector(description, ModelEngine(model), Settings(confidence=CONFIDENCE))
        self._examples = dataset.valid
        self._found: list[Detections] = []
        self._readers = [picture_reader(example) for example in dataset.valid]
        self._truths = [example_truth(example) for example in dataset.valid]
        self._names = dataset.names
        self._bar = bar

    def evaluate(self) -> Score:
        """Return the figures with the model's current weights."""
        progress = partial(self._bar, desc="evaluating", unit="picture")
        score, self._found = evaluate(
            self._readers, self._truths, self._detector.detect, self._names, progress=progress
        )
        return score

    def example_sheet(self) -> NDArray[np.uint8]:
        """Return some validation images, spread over all, with the boxes of the last evaluation beside the labels."""
        count = len(self._found)
        chosen = [number * count // min(_EXAMPLES, count) for number in range(min(_EXAMPLES, count))]
        pairs = [
            _fitted(beside_truth(self._examples[number], self._found[number], self._truths[number], self._names))
            for number in chosen
        ]
        pairs += [_GREY_CELL.copy()] * (len(pairs) % 2)
        return np.concatenate([np.concatenate(pairs[row : row + 2], axis=1) for row in range(0, len(pairs), 2)])


def _fitted(pair: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return two images side by side at the size of a cell, on grey."""
    cell = _GREY_CELL.copy()
    scale = min(cell.shape[1] / pair.shape[1], cell.shape[0] / pair.shape[0])
    width, height = max(1, round(pair.shape[1] * scale)), max(1, round(pair.shape[0] * scale))
    cell[:height, :width] = cv2.resize(pair, (width, height), interpolation=cv2.INTER_AREA)
    return cell
