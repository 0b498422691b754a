"""Where in a picture a Keras network finds the evidence for a class or a box: its gradients times its features.

For a class this is Grad-CAM (Selvaraju et al. 2017): each channel of the last feature map is weighted by its mean
gradient. A box's score depends on few cells of the features, and their mean gradient says nothing of where they are; so
for boxes each cell keeps its own gradient (HiResCAM, Draelos and Carin 2020).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.head import Head
from convert.keras_import import import_keras
from detector.errors import SettingsError

_LEAST = 1e-30
"""Probabilities below this are taken as this, so that their logarithms are finite."""


class GradCam:
    """Heat maps of one `keras.Model`; what TensorFlow traces for a head is kept and used for every further picture."""

    def __init__(self, model: Any, heads: Sequence[Head] = ()) -> None:
        self._model = model
        self._heads = heads
        self._graph = _Graph(model)
        self._traced: dict[int, Callable[..., Any]] = {}

    def heads_of(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The raw heads of a batch of one, each (rows, columns, channels)."""
        outputs = self._model.predict_on_batch(batch)
        return [output[0] for output in (outputs if isinstance(outputs, list) else [outputs])]

    def for_box(self, batch: NDArray[np.float32], *, head: int, place: int, class_id: int) -> NDArray[np.float32]:
        """The heat map of one box, (rows, columns) of the features, not below 0.

        `batch` is the network's input, (1, height, width, 3); `place` is the box's number among those of the head: row
        by row, within a row column by column, within a cell anchor by anchor.
        """
        if self._heads[head].tree:
            raise SettingsError("boxes whose classes are a hierarchy are not explained by gradients; use d-rise")
        if head not in self._traced:
            features = self._graph.feeding(self._model.outputs[head])
            score = _box_score(self._heads[head])
            self._traced[head] = self._trace(features, self._model.outputs[head], score)
        features, gradients = self._traced[head](batch, place, class_id)
        heat: NDArray[np.float32] = np.maximum((features[0] * gradients[0]).sum(axis=-1), 0)
        return heat

    def for_class(self, batch: NDArray[np.float32], class_id: int) -> NDArray[np.float32]:
        """The heat map of one class of a classifier, (rows, columns) of the last feature map, not below 0."""
        if 0 not in self._traced:
            features = self._graph.before_pooling(self._model.outputs[0])
            self._traced[0] = self._trace(features, self._model.outputs[0], _class_score)
        features, gradients = self._traced[0](batch, 0, class_id)
        heat: NDArray[np.float32] = np.maximum((features[0] * gradients[0].mean(axis=(0, 1))).sum(axis=-1), 0)
        return heat

    def _trace(self, features: Any, output: Any, score: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
        """A function from (batch, place, class id) to the features and the gradient of the score's logarithm there.

        The logarithm has the score's own direction, and does not vanish where the score is close to 1.
        """
        import tensorflow as tf

        part = import_keras().Model(self._model.inputs, [features, output])

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def run(batch: Any, place: Any, class_id: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(batch)
                found, raw = part(batch, training=False)
                logarithm = score(raw[0], place, class_id)
            return found, tape.gradient(logarithm, found)

        def call(batch: NDArray[np.float32], place: int, class_id: int) -> tuple[Any, Any]:
            found, gradient = run(tf.constant(batch), tf.constant(place), tf.constant(class_id))
            return found.numpy(), gradient.numpy()

        return call


class _Graph:
    """Which layer makes each tensor of a functional model, and how many layers take it."""

    def __init__(self, model: Any) -> None:
        self._maker = {id(layer.output): layer for layer in model.layers if not isinstance(layer.output, list)}
        self._uses = Counter(id(tensor) for layer in model.layers for tensor in _inputs(layer))

    def feeding(self, output: Any) -> Any:
        """The features that feed a head: what its own layers start from.

        The nearest tensor above the head that several layers take, or that joins several, with a convolution over more
        than one cell in between; and never one of another grid, that is beyond a change of stride.
        """
        tensor, wide = output, False
        while True:
            layer = self._maker[id(tensor)]
            inputs = _inputs(layer)
            if not inputs or _changes_grid(layer) or (wide and len(inputs) > 1):
                return tensor
            tensor = inputs[0]
            wide = wide or _looks_around(layer)
            if wide and self._uses[id(tensor)] > 1:
                return tensor

    def before_pooling(self, output: Any) -> Any:
        """The last feature map of a classifier: what its global pooling, or its first dense layer, takes."""
        keras = import_keras()
        flattening = (
            keras.layers.GlobalAveragePooling2D,
            keras.layers.GlobalMaxPooling2D,
            keras.layers.Flatten,
            keras.layers.EinsumDense,
        )
        tensor, found = output, None
        while inputs := _inputs(self._maker[id(tensor)]):
            if isinstance(self._maker[id(tensor)], flattening):
                found = inputs[0]
            elif found is not None:
                return found
            tensor = inputs[0]
        raise SettingsError("this classifier has no feature map to explain; use d-rise")


def _inputs(layer: Any) -> list[Any]:
    if isinstance(layer, import_keras().layers.InputLayer):
        return []
    return list(layer.input) if isinstance(layer.input, list | tuple) else [layer.input]


def _changes_grid(layer: Any) -> bool:
    layers = import_keras().layers
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.MaxPooling2D | layers.AveragePooling2D):
        return bool(np.max(layer.strides) > 1)
    return isinstance(layer, layers.UpSampling2D | layers.Reshape)


def _looks_around(layer: Any) -> bool:
    layers = import_keras().layers
    return isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D) and bool(np.max(layer.kernel_size) > 1)


def _box_score(head: Head) -> Callable[[Any, Any, Any], Any]:
    """The logarithm of objectness times class for one box of a head; the formulas are those of `detector.heads`."""
    import tensorflow as tf

    first = head.numbers_per_box

    def one_box(raw: Any, place: Any) -> Any:
        return tf.reshape(raw, (-1, first + head.classes))[place]

    def yolo(raw: Any, place: Any, class_id: Any) -> Any:
        box = one_box(raw, place)
        if head.new_coords:
            return _logarithm(box[4]) + _logarithm(box[5 + class_id])
        return tf.math.log_sigmoid(box[4]) + tf.math.log_sigmoid(box[5 + class_id])

    def gaussian(raw: Any, place: Any, class_id: Any) -> Any:
        box = one_box(raw, place)
        certainty = 1 - tf.reduce_mean(tf.sigmoid(tf.gather(box, [1, 3, 5, 7])))
        return tf.math.log_sigmoid(box[8]) + tf.math.log_sigmoid(box[9 + class_id]) + _logarithm(certainty)

    def region(raw: Any, place: Any, class_id: Any) -> Any:
        box = one_box(raw, place)
        return tf.math.log_sigmoid(box[4]) + tf.nn.log_softmax(box[5:])[class_id]

    def detection(raw: Any, place: Any, class_id: Any) -> Any:
        number = len(head.anchors)
        cell = tf.reshape(raw, (-1, head.channels))[place // number]
        kinds = cell[: head.classes]
        kind = tf.nn.log_softmax(kinds)[class_id] if head.softmax else _logarithm(kinds[class_id])
        return kind + _logarithm(cell[head.classes + place % number])

    return {"yolo": yolo, "Gaussian_yolo": gaussian, "region": region, "detection": detection}[head.kind]


def _class_score(probabilities: Any, place: Any, class_id: Any) -> Any:
    import tensorflow as tf

    return _logarithm(tf.reshape(probabilities, (-1,))[class_id])


def _logarithm(value: Any) -> Any:
    import tensorflow as tf

    return tf.math.log(tf.maximum(value, _LEAST))
