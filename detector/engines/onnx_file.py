"""Build an ONNX file and insert the kernels after the conversion."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.engines.kernels import Kernel, arranged, kernels_as_inputs

_OPSET = 17


def convert_to_onnx(folded: Any) -> bytes:
    """Return a folded `keras.Model` (TensorFlow backend) as the contents of an `.onnx` for one image of any size.

    Its input is (1, 3, height, width), the fastest layout for every ONNX runtime. Needs tf2onnx.
    """
    import tf2onnx

    function, signature, kernels = kernels_as_inputs(folded)
    model, _ = tf2onnx.convert.from_function(
        function, input_signature=signature, opset=_OPSET, inputs_as_nchw=["picture:0"]
    )
    _put_in(model.graph, kernels)
    data: bytes = model.SerializeToString()
    return data


def _put_in(graph: Any, kernels: dict[str, Kernel]) -> None:
    """Turn the graph's inputs of these names into constants, with the graph's transpositions already applied."""
    from onnx import numpy_helper

    constants = {constant.name: constant for constant in graph.initializer}
    values = dict(kernels)
    kept = []
    for node in graph.node:
        arrangement = _arrangement(node, constants) if node.input and node.input[0] in values else None
        if arrangement:
            values[node.output[0]] = arranged(values[node.input[0]], *arrangement)
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input}
    del graph.node[:]
    graph.node.extend(kept)
    for given in [given for given in graph.input if given.name in kernels]:
        graph.input.remove(given)
    for name in [name for name in values if name in used]:
        value = np.ascontiguousarray(values[name](), np.float32)
        graph.initializer.append(numpy_helper.from_array(value, name))
    for constant in [constant for name, constant in constants.items() if name not in used]:
        graph.initializer.remove(constant)


def _arrangement(node: Any, constants: dict[str, Any]) -> tuple[Any, Any] | None:
    """Apply a node to a kernel if the node only moves its numbers."""
    from onnx import numpy_helper

    if node.op_type == "Transpose":
        (order,) = (list(attribute.ints) for attribute in node.attribute if attribute.name == "perm")
        return np.transpose, order
    if node.op_type == "Reshape" and node.input[1] in constants:
        return np.reshape, numpy_helper.to_array(constants[node.input[1]]).tolist()
    return None
