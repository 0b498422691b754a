"""Convert the weights of old Keras ports of YOLO to the parameters of a Darknet network.

The ports build each `[convolutional]` of a cfg as Conv2D and BatchNormalization, in the order of the cfg.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from convert.adopted import Adoption, read_anchors
from convert.cfg import read_cfg, with_anchors, with_classes
from convert.errors import CfgError, ModelFileError
from convert.keras_file import Arrays, read_keras_file
from convert.layers.normalisation import BATCH_NORM_EPSILON
from convert.model_file import check_replaceable, save_model
from convert.names import read_names
from convert.network import build, plan, set_arrays
from convert.port_convolutions import PortConvolution, fill
from convert.text import printable

KERAS_EPSILON = 1e-3
"""The epsilon of Keras's batch normalisation, which the ports left at its default."""

_NAME = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?")


def adopt_weights(
    old: Path | str,
    model: Path | str,
    *,
    cfg: Path | str,
    names: Path | str,
    anchors: Path | str | None = None,
    repair_epsilon: bool = False,
    resize: str = "letterbox",
    on_note: Callable[[str], None] = lambda note: None,
) -> Adoption:
    """Write a self-describing .h5 from the weights that a port's training saved (`save_weights`), and their cfg.

    The cfg's heads get as many classes as there are names, and `anchors` if they are given. The ports' epsilon of 1e-3
    is folded into the scales, so that the network computes the same and can be exported to Darknet; for weights that
    came from Darknet, `repair_epsilon` leaves the scales unchanged. Raise `ModelFileError` if weights and cfg do not
    fit.
    """
    old, model = Path(old), Path(model)
    check_replaceable(model, inputs=[old, cfg, names])
    parsed, class_names = read_cfg(cfg), read_names(names)
    parsed = with_classes(parsed, len(class_names))
    if anchors is not None:
        parsed = with_anchors(parsed, read_anchors(anchors))
    network = plan(parsed)
    heads = tuple(layer.head for layer in network.outputs if layer.head)
    if not heads or any(head.classes != len(class_names) for head in heads):
        raise CfgError(
            f"{cfg}: has no heads of {len(class_names)} classes; expected [yolo] sections, one for each head"
        )
    epsilon = BATCH_NORM_EPSILON if repair_epsilon else KERAS_EPSILON
    arrays = fill(network, list(_convolutions(old, epsilon)), old)
    note = (
        "batch normalisation: Darknet's epsilon, for weights that came from Darknet"
        if repair_epsilon
        else "batch normalisation: the ports' epsilon of 0.001. If the weights came from Darknet, pass --repair-epsilon"
    )
    on_note(printable(note))
    built = build(network)
    set_arrays(network, built, arrays)
    description = network.describe(class_names, resize)
    save_model(built, model, description)
    return Adoption(model, description, (note,))


def _convolutions(path: Path, epsilon: float) -> Iterator[PortConvolution]:
    """Yield the convolutions of a weights file, sorted by Keras's numbers, which follow the order of the cfg."""
    kinds: dict[str, list[tuple[int, str, Arrays]]] = {"conv2d": [], "batch_normalization": []}
    for name, arrays in read_keras_file(path).weights.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise ModelFileError(
                f"{path}: layer {name} is not named as in keras-yolo3 (conv2d_1, batch_normalization_1, …), so its "
                "place in the cfg is not known. Load the weights with the code that made them and save the whole model"
            )
        kinds[match[1]].append((int(match[2] or 0), name, arrays))
    norms = iter(sorted(kinds["batch_normalization"], key=lambda entry: entry[0]))
    for _, name, arrays in sorted(kinds["conv2d"], key=lambda entry: entry[0]):
        kernel, bias = arrays[0], arrays[1] if len(arrays) > 1 else None
        norm = next(norms, None) if bias is None else None
        if bias is None and (norm is None or len(norm[2]) != 4):
            raise ModelFileError(f"{path}: {name} has neither a bias nor a batch normalisation of its own")
        yield PortConvolution(name, kernel, bias, norm[2] if norm else (), epsilon)
    if next(norms, None) is not None:
        raise ModelFileError(f"{path}: holds more batch normalisations than convolutions without a bias")
