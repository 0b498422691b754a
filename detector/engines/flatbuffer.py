"""A LiteRT file made without the weight of its weights.

TensorFlow's converter turns every number of a kernel into an object of its own: YOLOv3 takes it 40 s and 5 GB.
So it gets a network whose convolution kernels are inputs, which is quick, and the kernels are put into its result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Kernel = Callable[[], NDArray[np.float32]]
"""A kernel read when it is needed, so that there are few copies of all of them at a time."""


def convert_to_litert(folded: Any) -> memoryview:
    """A folded `keras.Model` (TensorFlow backend) as the contents of a `.tflite` for one picture of any size.

    Raises `ValueError` or `RuntimeError` for a layer that LiteRT has no operation for.
    """
    import keras
    import tensorflow as tf

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    variables = [layer.kernel for layer in folded.layers if isinstance(layer, kinds)]

    def run(picture: Any, kernels: list[Any]) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, kernels, strict=True))):
            return [tf.identity(head) for head in tf.nest.flatten(folded(picture, training=False))]

    function = tf.function(run).get_concrete_function(
        tf.TensorSpec([1, *folded.input_shape[1:]], name="picture"),
        [tf.TensorSpec(variable.shape, name=f"kernel_{index}") for index, variable in enumerate(variables)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    return _with_kernels(converter.convert(), [partial(np.asarray, variable) for variable in variables])


def _with_kernels(data: bytes, kernels: list[Kernel]) -> memoryview:
    """The file with its inputs after the first turned into constants."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (graph,) = model.subgraphs
    inputs = {graph.tensors[index].name.decode().partition(":")[0]: index for index in graph.inputs}
    values = {index: kernels[int(name.split("_")[1])] for name, index in inputs.items() if name != "picture"}
    # LiteRT wants kernels in another order than Keras: the converter left that to be done at each run.
    arrangements: dict[int, Callable[[Any, Any], Any]] = {
        schema.BuiltinOperator.TRANSPOSE: np.transpose,
        schema.BuiltinOperator.RESHAPE: np.reshape,
    }
    kept = []
    for operation in graph.operators:
        arrange = arrangements.get(model.operatorCodes[operation.opcodeIndex].builtinCode)
        if arrange and operation.inputs[0] in values:
            order = bytes(model.buffers[graph.tensors[operation.inputs[1]].buffer].data)
            values[operation.outputs[0]] = partial(
                _arranged, values[operation.inputs[0]], arrange, np.frombuffer(order, np.int32).tolist()
            )
        else:
            kept.append(operation)
    size = 2**20
    for index in {index for operation in kept for index in operation.inputs} & values.keys():
        value = values[index]()
        buffer = schema.BufferT()
        buffer.data = np.ascontiguousarray(value, np.float32).reshape(-1).view(np.uint8)
        model.buffers.append(buffer)
        graph.tensors[index].buffer = len(model.buffers) - 1
        graph.tensors[index].shape = list(value.shape)
        size += value.nbytes
    graph.operators = kept
    graph.inputs = [inputs["picture"]]
    model.signatureDefs = None
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return memoryview(builder.Bytes)[builder.Head() :]


def _arranged(kernel: Kernel, arrange: Callable[[Any, Any], Any], order: list[int]) -> NDArray[np.float32]:
    arranged: NDArray[np.float32] = arrange(kernel(), order)
    return arranged
