"""Evaluate a model while it is being trained."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.model_file import Description
from detector.datasets.examples import Dataset
from detector.detector import Detector
from detector.engines.base import Engine
from detector.evaluation.average_precision import Score, evaluate
from detector.evaluation.ground_truth import example_truth, picture_reader
from detector.evaluation.settings import LOWEST_CONFIDENCE
from detector.settings import Settings
from detector.training.reporting import MakeBar

CONFIDENCE = LOWEST_CONFIDENCE * 5
"""Boxes below this are left out while training: an untrained network has thousands of them."""


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
        self._readers = [picture_reader(example) for example in dataset.valid]
        self._truths = [example_truth(example) for example in dataset.valid]
        self._names = dataset.names
        self._bar = bar

    def evaluate(self) -> Score:
        """Return the figures with the model's current weights."""
        progress = partial(self._bar, desc="evaluating", unit="picture")
        return evaluate(self._readers, self._truths, self._detector.detect, self._names, progress=progress)[0]
