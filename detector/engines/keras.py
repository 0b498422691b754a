"""Run the .h5 with Keras: the reference engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_import import import_keras
from convert.model_file import check_layers
from detector.engines.base import Engine
from detector.errors import ModelFileError


class KerasEngine(Engine):
    """A Keras model; the first image of each input size takes longer, because Keras traces the network."""

    name = "keras"

    def __init__(self, model: Path) -> None:
        self._model = load_model(model)

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Compute the raw heads, coarsest first."""
        outputs = self._model.predict_on_batch(batch)
        return outputs if isinstance(outputs, list) else [outputs]


def load_model(model: Path) -> Any:
    """Load the `keras.Model` in a model file; raise `ModelFileError` if it is damaged or contains unknown layers."""
    check_layers(model)
    keras = import_keras()
    try:
        return keras.models.load_model(model, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelFileError(f"{model}: Keras cannot load it ({reason}); convert the network again") from None
