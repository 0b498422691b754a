"""One step of training, compiled: forward, loss, gradients, weights, and their moving average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_import import import_keras
from detector.training.data_loader import Batch
from detector.training.loss import yolo_loss
from detector.training.settings import TrainSettings
from detector.training.targets import HeadRules

TERMS = ("box", "objectness", "classes")
_LARGEST_GRADIENT = 10.0
"""The norm of all gradients together is cut to this: one odd batch must not undo an hour."""


class Stepper:
    """A model with its optimiser and the moving average of its weights."""

    def __init__(
        self,
        model: Any,
        rules: Sequence[HeadRules],
        settings: TrainSettings,
        *,
        momentum: float,
        width: int,
        height: int,
    ) -> None:
        keras = import_keras()
        import tensorflow as tf

        self.model = model
        options = {"weight_decay": settings.decay or None, "global_clipnorm": _LARGEST_GRADIENT}
        if settings.optimiser == "sgd":
            self.optimiser = keras.optimizers.SGD(settings.learning_rate, momentum=momentum, nesterov=False, **options)
        else:
            self.optimiser = keras.optimizers.AdamW(
                settings.learning_rate, **{**options, "weight_decay": settings.decay}
            )
        # As in Darknet, only the weights proper are drawn towards 0.
        self.optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimiser.build(model.trainable_variables)
        self.averages = (
            [tf.Variable(variable, trainable=False) for variable in model.weights] if settings.average else []
        )
        single = not isinstance(model.outputs, list) or len(model.outputs) == 1

        def step(pictures: Any, targets: Any, truths: Any, keep: Any) -> Any:
            with tf.GradientTape() as tape:
                outputs = model(pictures, training=True)
                outputs = [outputs] if single and not isinstance(outputs, list) else outputs
                terms = yolo_loss(outputs, targets, truths, rules, width=width, height=height)
                loss = sum(terms.values())
            variables = model.trainable_variables
            gradients = tape.gradient(loss, variables)
            fine = tf.math.is_finite(loss)
            for gradient in gradients:
                fine = fine & tf.reduce_all(tf.math.is_finite(gradient))
            if fine:
                self.optimiser.apply_gradients(zip(gradients, variables, strict=True))
                for average, variable in zip(self.averages, model.weights, strict=False):
                    average.assign(average * keep + variable * (1 - keep))
            return tf.stack([terms[name] for name in TERMS] + [tf.cast(fine, tf.float32)])

        self._step = tf.function(step, reduce_retracing=True)
        self._average = settings.average

    def run(self, batch: Batch, *, rate: float, number: int) -> NDArray[np.float32]:
        """Take a step; returns the loss terms in the order of `TERMS`, and 1 where all was finite."""
        import tensorflow as tf

        self.optimiser.learning_rate.assign(rate)
        # A young average must not be held back by the weights that it began with.
        keep = tf.constant(min(self._average, (1 + number) / (10 + number)), tf.float32)
        targets = [
            tuple(map(tf.convert_to_tensor, (target.found, target.boxes, target.classes))) for target in batch.targets
        ]
        values = self._step(tf.convert_to_tensor(batch.pictures), targets, tf.convert_to_tensor(batch.truths), keep)
        return np.asarray(values)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that a resumed training needs, as arrays."""
        parts = {"weights": self.model.weights, "average": self.averages, "optimiser": self.optimiser.variables}
        return {
            f"{part}/{number}": np.asarray(variable)
            for part, found in parts.items()
            for number, variable in enumerate(found)
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """The inverse of `state`; `KeyError` or `ValueError` where it is another network's."""
        parts = {"weights": self.model.weights, "average": self.averages, "optimiser": self.optimiser.variables}
        for part, found in parts.items():
            for number, variable in enumerate(found):
                variable.assign(state[f"{part}/{number}"])

    def averaged(self) -> list[NDArray[np.float32]]:
        """The weights to judge and to keep: their moving average, or as they are where none is made."""
        return [np.asarray(variable) for variable in (self.averages or self.model.weights)]
