"""Re-estimate the statistics of batch normalisation before a model is evaluated or saved.

Keras keeps moving averages that start at mean 0 and variance 1 and forget slowly, so that after a few hundred steps
they are far from the statistics that the network was trained with; and those of averaged weights belong to other
weights. Running training batches through the weights to be saved gives the statistics that belong to them (Wu and
Johnson, "Rethinking 'Batch' in BatchNorm", arXiv:2105.07576, section 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_import import import_keras

Statistics = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Mean and variance of one layer."""


class BatchStatistics:
    """Estimates the statistics of a model's batch normalisation layers, except for frozen ones.

    `initial` are those of layers that a training run starts with, by the layers' names. They keep the weight that a
    moving average would have left them, so that a short fine-tuning does not replace statistics of many images by those
    of few.
    """

    def __init__(self, model: Any, initial: Mapping[str, Statistics]) -> None:
        keras = import_keras()
        import tensorflow as tf

        self.initial = dict(initial)
        self._layers = [
            layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        ]

        def forward(pictures: Any) -> Any:
            for layer in self._layers:
                layer.moving_mean.assign(tf.zeros_like(layer.moving_mean))
                layer.moving_variance.assign(tf.zeros_like(layer.moving_variance))
            model(pictures, training=True)
            # One update of a moving average that was 0 leaves the batch's own figures times 1 - momentum.
            return [
                (layer.moving_mean / (1 - layer.momentum), layer.moving_variance / (1 - layer.momentum))
                for layer in self._layers
            ]

        self._forward = tf.function(forward, reduce_retracing=True)

    def estimate(self, batches: Iterable[NDArray[np.float32]], *, step: int) -> None:
        """Set the layers' statistics to those of these batches of images, after `step` steps of training."""
        import tensorflow as tf

        if not self._layers:
            return
        means: list[Any] = [0.0] * len(self._layers)
        squares, count = list(means), 0
        for pictures in batches:
            count += 1
            for number, (mean, variance) in enumerate(self._forward(tf.convert_to_tensor(pictures))):
                mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
                means[number] += mean
                squares[number] += variance + mean**2
        for layer, total, square in zip(self._layers, means, squares, strict=True):
            mean = np.asarray(total) / count
            variance = np.maximum(np.asarray(square) / count - mean**2, 0)
            if layer.name in self.initial:
                kept = layer.momentum**step
                own_mean, own_variance = self.initial[layer.name]
                mean, variance = mean + (own_mean - mean) * kept, variance + (own_variance - variance) * kept
            layer.moving_mean.assign(mean.astype(np.float32))
            layer.moving_variance.assign(variance.astype(np.float32))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the initial statistics, which a resumed run needs, as arrays."""
        return {f"initial/{name}": np.stack(pair) for name, pair in self.initial.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the statistics that `state` returned."""
        found = {name.removeprefix("initial/"): pair for name, pair in state.items() if name.startswith("initial/")}
        self.initial = {name: (pair[0], pair[1]) for name, pair in found.items()}


def statistics_of(model: Any, names: Iterable[str]) -> dict[str, Statistics]:
    """Return the current statistics of the batch normalisations among the named layers."""
    keras = import_keras()
    wanted = set(names)
    return {
        layer.name: (np.asarray(layer.moving_mean), np.asarray(layer.moving_variance))
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.name in wanted
    }
