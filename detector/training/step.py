"""Run one compiled step of training: forward, loss, gradients, weights, and their moving average."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_import import import_keras
from detector.training.data_loader import Batch
from detector.training.loss import Target, Truths, yolo_loss
from detector.training.settings import TrainSettings
from detector.training.targets import HeadRules

TERMS = ("box", "objectness", "classes")
_LARGEST_GRADIENT = 10.0
"""Maximum norm of all gradients together, so that one unusual batch does not undo many others."""


class Stepper:
    """A model with its optimiser and the moving average of its weights."""

    def __init__(self, model: Any, rules: Sequence[HeadRules], settings: TrainSettings, *, momentum: float) -> None:
        import tensorflow as tf

        self.model = model
        self.optimiser = _optimiser(settings, momentum)
        self.optimiser.build(model.trainable_variables)
        self.averages = (
            [tf.Variable(variable, trainable=False) for variable in model.weights] if settings.average else []
        )
        single = not isinstance(model.outputs, list) or len(model.outputs) == 1

        def step(pictures: Any, targets: Any, truths: Any, keep: Any) -> Any:
            with tf.GradientTape() as tape:
                outputs = model(pictures, training=True)
                outputs = [outputs] if single and not isinstance(outputs, list) else outputs
                terms = yolo_loss(outputs, targets, truths, rules)
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
        """Take a step; return the loss terms in the order of `TERMS`, and 1 if all was finite."""
        import tensorflow as tf

        self.optimiser.learning_rate.assign(rate)
        # The average of the first steps forgets faster, so that the initial weights soon have no part in it.
        keep = tf.constant(min(self._average, (1 + number) / (10 + number)), tf.float32)
        targets = [
            Target(*map(tf.convert_to_tensor, (target.found, target.classes, target.place))) for target in batch.targets
        ]
        truths = Truths(tf.convert_to_tensor(batch.truths), tf.convert_to_tensor(batch.truth_classes))
        return np.asarray(self._step(tf.convert_to_tensor(batch.pictures), targets, truths, keep))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that a resumed run needs, as arrays."""
        return {
            f"{part}/{number}": np.asarray(variable)
            for part, found in self._parts()
            for number, variable in enumerate(found)
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Restore what `state` returned; raise `KeyError` or `ValueError` if it is another network's."""
        for part, found in self._parts():
            for number, variable in enumerate(found):
                variable.assign(state[f"{part}/{number}"])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model the weights to evaluate and save within the block: their moving average, if there is one."""
        present = [np.asarray(variable) for variable in self.model.weights]
        try:
            for variable, value in zip(self.model.weights, self.averages, strict=False):
                variable.assign(value)
            yield
        finally:
            for variable, value in zip(self.model.weights, present, strict=True):
                variable.assign(value)

    def _parts(self) -> tuple[tuple[str, Sequence[Any]], ...]:
        return (
            ("weights", self.model.weights),
            ("average", self.averages),
            ("optimiser", self.optimiser.variables),
        )


def _optimiser(settings: TrainSettings, momentum: float) -> Any:
    keras = import_keras()
    if settings.optimiser == "sgd":
        optimiser = keras.optimizers.SGD(
            settings.learning_rate,
            momentum=momentum,
            nesterov=False,
            weight_decay=settings.decay or None,
            global_clipnorm=_LARGEST_GRADIENT,
        )
    else:
        optimiser = keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=settings.decay, global_clipnorm=_LARGEST_GRADIENT
        )
    # As in Darknet, biases and the parameters of batch normalisation do not decay.
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimiser
