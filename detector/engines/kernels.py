"""Turn a network's convolution kernels into inputs, so that converters need not process them.

TensorFlow's converter to LiteRT turns every number of a kernel into a Python object, which took 40 s and 5 GB for
YOLOv3; tf2onnx took 83 s and 21 GB. A network whose kernels are inputs converts quickly, and the kernels are inserted
into the result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Kernel = Callable[[], NDArray[np.float32]]
"""A kernel read when it is needed, so that few copies of all kernels exist at a time."""

Arrangement = Callable[[Any, Any], Any]
"""`np.transpose` or `np.reshape`."""


def kernels_as_inputs(folded: Any) -> tuple[Any, list[Any], dict[str, Kernel]]:
    """Return a folded `keras.Model` (TensorFlow backend) as a TensorFlow function of an image and the kernels.

    Also return the specification of its inputs, and the kernels by the names of their inputs; the image's is `picture`.
    """
    import keras
    import tensorflow as tf

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    variables = [layer.kernel for layer in folded.layers if isinstance(layer, kinds)]

    def run(picture: Any, *kernels: Any) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, kernels, strict=True))):
            return [tf.identity(head) for head in tf.nest.flatten(folded(picture, training=False))]

    names = [f"kernel_{index}" for index in range(len(variables))]
    signature = [tf.TensorSpec([1, *folded.input_shape[1:]], name="picture")]
    signature += [tf.TensorSpec(variable.shape, name=name) for variable, name in zip(variables, names, strict=True)]
    kernels: dict[str, Kernel] = {
        name: partial(np.asarray, variable) for name, variable in zip(names, variables, strict=True)
    }
    return tf.function(run), signature, kernels


def arranged(kernel: Kernel, arrange: Arrangement, order: Any) -> Kernel:
    """Return a kernel transposed or reshaped when it is needed."""
    return lambda: arrange(kernel(), order)
