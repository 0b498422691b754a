"""Build a LiteRT file and insert the kernels after the conversion."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.engines.kernels import Arrangement, Kernel, arranged, kernels_as_inputs


def convert_to_litert(folded: Any) -> memoryview:
    """Return a folded `keras.Model` (TensorFlow backend) as the contents of a `.tflite` for one image of any size.

    Raise `ValueError` or `RuntimeError` for a layer that LiteRT has no operation for.
    """
    import tensorflow as tf

    function, signature, kernels = kernels_as_inputs(folded)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(*signature)])
    return _with_kernels(converter.convert(), kernels)


def _with_kernels(data: bytes, kernels: dict[str, Kernel]) -> memoryview:
    """Return the file with all inputs but the first turned into constants."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (graph,) = model.subgraphs
    inputs = {graph.tensors[index].name.decode().partition(":")[0]: index for index in graph.inputs}
    values = {index: kernels[name] for name, index in inputs.items() if name != "picture"}
    # LiteRT and Keras order kernels differently: the converter leaves the transposition to every run.
    arrangements: dict[int, Arrangement] = {
        schema.BuiltinOperator.TRANSPOSE: np.transpose,
        schema.BuiltinOperator.RESHAPE: np.reshape,
    }
    kept = []
    for operation in graph.operators:
        arrange = arrangements.get(model.operatorCodes[operation.opcodeIndex].builtinCode)
        if arrange and operation.inputs[0] in values:
            order = bytes(model.buffers[graph.tensors[operation.inputs[1]].buffer].data)
            values[operation.outputs[0]] = arranged(
                values[operation.inputs[0]], arrange, np.frombuffer(order, np.int32).tolist()
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
