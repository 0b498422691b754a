"""Explain why a .weights file does not fit a network: where it ends, and what would fit."""

from __future__ import annotations

from pathlib import Path

from convert.errors import WeightsError
from convert.network import Network, fitting_class_count
from convert.recognise import recognise
from convert.weights import FLOAT_BYTES, WeightsReader
from convert.weights_content import damage, other_byte_order


def check_weights(network: Network, weights: WeightsReader) -> None:
    """Raise `WeightsError` unless the file holds exactly the floats that the network needs."""
    with Path(weights.path).open("rb") as file:
        start = file.read(4096)
    found = recognise(start) or other_byte_order(start)
    if found:
        raise WeightsError(f"{weights.path}: {found}; expected Darknet weights")
    if weights.total != network.parameter_count or weights.odd_bytes:
        seen = damage(weights.path)
        raise WeightsError(
            f"{weights.path}: {_where(network, weights)}. {network.cfg.path} needs "
            f"{network.parameter_count} floats, the file holds {weights.total}. {_advice(network, weights)}"
            + (f". The file's content suggests: {seen}" if seen else "")
        )


def _where(network: Network, weights: WeightsReader) -> str:
    """Return the layer and offset at which the file ends, or the size of the excess."""
    left = weights.total
    for layer in network.layers:
        for parameter in layer.parameters:
            if parameter.count > left:
                offset = weights.header.size_bytes + (weights.total - left) * FLOAT_BYTES
                return (
                    f"too short: {layer.name} needs {parameter.count} floats for its {parameter.name} at offset "
                    f"{offset}, {left} are left"
                )
            left -= parameter.count
    offset = weights.header.size_bytes + network.parameter_count * FLOAT_BYTES
    return f"too long: {left * FLOAT_BYTES + weights.odd_bytes} bytes are left after the last layer, at offset {offset}"


def _advice(network: Network, weights: WeightsReader) -> str:
    if weights.total == network.parameter_count:
        return "The program that wrote the file appended extra bytes: fetch it again"
    heads = [layer.head for layer in network.layers if layer.head]
    classes = fitting_class_count(network.cfg, weights.total)
    if heads and classes is not None:
        filters = ", ".join(str(len(head.anchors) * (5 + classes)) for head in heads)
        return (
            f"With {classes} classes instead of {heads[0].classes} it would fit: set classes={classes} in each head "
            f"and filters={filters} in the layer before it, or use the cfg these weights were trained with"
        )
    prefix = prefix_layers(network, weights.total)
    if prefix:
        return (
            f"The file ends after layer {prefix - 1}: it holds the first {prefix} layers only, as initial weights"
            " for training"
        )
    if weights.total < network.parameter_count:
        share = weights.total / network.parameter_count
        return (
            f"No class count fits, so the file belongs to another network or is a truncated download ({share:.0%} is "
            "present): fetch it again or use the cfg it was trained with"
        )
    return "No class count fits, so the file belongs to another network: use the cfg it was trained with"


def prefix_layers(network: Network, floats: int) -> int:
    """Return the number of complete layers if the file ends exactly after one; else 0."""
    read = 0
    for layer in network.layers:
        read += layer.parameter_count
        if layer.parameters and read == floats:
            return layer.index + 1
    return 0
