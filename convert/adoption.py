"""Adopt an .h5 that an old Keras port of YOLO made: write the same network with a description.

Such a file (Keras 2 layout, `model.save`) holds layers and weights, but no anchors or classes. The network is rebuilt
from its list of layers, each of a known kind with known options, so no code in the file is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convert.adopted import Adoption, read_anchors
from convert.darknet_twin import SIDE, darknet_twin
from convert.errors import ModelFileError
from convert.files import file_sha256
from convert.hdf5 import check_storage, opened, text_attribute
from convert.head import Head
from convert.keras_import import import_keras
from convert.keras_shapes import StoredLayer, check_sizes, sources
from convert.layers.normalisation import BATCH_NORM_EPSILON
from convert.layers_to_cfg import NotDarknetError
from convert.model_file import Description, check_replaceable, save_model
from convert.names import read_names
from convert.text import printable

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "Activation": ("activation",),
    "Add": (),
    "BatchNormalization": ("axis", "epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "dilation_rate",
        "groups",
        "use_bias",
        "activation",
    ),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "depth_multiplier", "use_bias", "activation"),
    "Dropout": ("rate",),
    "LeakyReLU": ("negative_slope",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "UpSampling2D": ("size", "interpolation"),
    "ZeroPadding2D": ("padding",),
}
"""The layer kinds that the old ports use, and the options of each that affect the result."""

RENAMED = {"alpha": "negative_slope", "p": "rate"}

Refuse = Callable[[str], ModelFileError]


def adopt(
    old: Path | str,
    model: Path | str,
    *,
    anchors: Path | str,
    names: Path | str,
    repair_epsilon: bool = False,
    resize: str = "letterbox",
    on_note: Callable[[str], None] = lambda note: None,
) -> Adoption:
    """Write a self-describing .h5 from an old port's.

    `anchors` is a file or a text of width,height pairs, as in `yolo_anchors.txt`; `names` is a file of class names. The
    old ports left Keras's batch-normalisation epsilon of 1e-3 in networks whose weights came from Darknet, which uses
    1e-5: `repair_epsilon` corrects that. Leave it off for weights that were trained in Keras. If Darknet has sections
    for all layers, the model gets a cfg and can be converted to Darknet; otherwise a note names the layer.
    """
    old, model = Path(old), Path(model)
    check_replaceable(model, inputs=[old, names])
    sizes = read_anchors(anchors)
    class_names = read_names(names)
    notes: list[str] = []

    def note(sentence: str) -> None:
        notes.append(printable(sentence))
        on_note(notes[-1])

    def refuse(message: str) -> ModelFileError:
        return ModelFileError(f"{old}: {message}")

    with opened(old) as file:
        arrays = check_storage(file)
        layers, outputs = _network(file, refuse)
        stored = _stored_layers(layers, arrays, refuse)
        _report_epsilon(layers, repair_epsilon, note)
        keras = import_keras()
        source, tensors = _rebuild(layers, keras, refuse)
        missing = [name for name in outputs if name not in tensors]
        if missing:
            raise refuse(f"its output {missing[0]} is not one of its layers")
        heads = _heads(source, [tensors[name] for name in outputs], keras, sizes, len(class_names), refuse)
        ordered = sorted(zip(outputs, heads, strict=True), key=lambda pair: -pair[1].stride)
        built = keras.Model(source, [tensors[name] for name, _ in ordered], name="adopted")
        _set_weights(built, file, refuse)
    try:
        twin, network = darknet_twin(built, stored, ordered, sizes, old)
    except NotDarknetError as reason:
        note(f"cannot go back to Darknet: {reason}")
        description = _without_cfg(source, tuple(head for _, head in ordered), class_names, resize, file_sha256(old))
    else:
        built, description = twin, network.describe(class_names, resize)
    save_model(built, model, description)
    return Adoption(model, description, tuple(notes))


def _without_cfg(
    source: Any, heads: tuple[Head, ...], names: tuple[str, ...], resize: str, weights_sha256: str
) -> Description:
    """The description of a model that Darknet has no sections for."""
    height, width = (side or SIDE for side in source.shape[1:3])
    return Description(
        cfg="",
        cfg_sha256="",
        weights_sha256=weights_sha256,
        width=width,
        height=height,
        channels=source.shape[3],
        resize=resize,
        names=names,
        heads=heads,
        fixed_size="" if None in source.shape[1:3] else "the adopted model has this size",
    )


def _network(file: h5py.File, refuse: Refuse) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the layers in order, checked to be of known kinds, and the names of the outputs."""
    text = text_attribute(file, "model_config")
    if text is None:
        raise refuse(
            "holds weights without the network (save_weights). Name their cfg with --cfg; or, for a model that yolo3 "
            "converted and that was trained further in Keras, name that with --like"
        )
    try:
        config = json.loads(text)["config"]
        layers = config["layers"]
        outputs = [str(entry[0]) for entry in _listed(config["output_layers"])]
        for layer in layers:
            layer["name"], layer["config"], layer["class_name"]
            nodes = layer["inbound_nodes"]
            if nodes and isinstance(nodes[0], dict):  # as Keras 3 writes them
                layer["inbound_nodes"] = [[[name, 0, 0, {}] for name in sources(nodes[0]["args"])]]
    except (ValueError, KeyError, TypeError, IndexError):
        raise refuse("its list of layers does not describe a functional model of Keras") from None
    for layer in layers:
        kind = layer["class_name"]
        if kind != "InputLayer" and kind not in OPTIONS:
            raise refuse(
                f"holds a layer of kind {kind} ({layer['name']}), which is not used in YOLO networks. If it is a "
                "training loss, save the model without it"
            )
    return layers, outputs


def _stored_layers(
    layers: Sequence[dict[str, Any]], arrays: Sequence[h5py.Dataset], refuse: Refuse
) -> list[StoredLayer]:
    """The layers, once it is known that they make a network of a reasonable size, before Keras makes it."""
    try:
        stored = [
            StoredLayer(
                str(layer["name"]),
                layer["class_name"],
                {key: _plain(value) for key, value in layer["config"].items()},
                tuple(str(entry[0]) for entry in layer["inbound_nodes"][0]) if layer["inbound_nodes"] else (),
            )
            for layer in layers
        ]
        check_sizes(stored, height=SIDE, width=SIDE, stored_numbers=sum(array.size for array in arrays))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise refuse(f"its layers do not make a network ({error})") from None
    return stored


def _listed(value: Any) -> Any:
    """Keras writes a single output without the list around it."""
    return [value] if value and isinstance(value[0], str) else value


def _report_epsilon(layers: Sequence[dict[str, Any]], repair: bool, note: Callable[[str], None]) -> None:
    norms = [layer["config"] for layer in layers if layer["class_name"] == "BatchNormalization"]
    epsilons = sorted({float(config.get("epsilon", 1e-3)) for config in norms})
    wrong = [epsilon for epsilon in epsilons if abs(epsilon - BATCH_NORM_EPSILON) > BATCH_NORM_EPSILON / 100]
    if not wrong:
        return
    found = ", ".join(f"{epsilon:g}" for epsilon in wrong)
    if repair:
        for config in norms:
            config["epsilon"] = BATCH_NORM_EPSILON
        note(
            f"batch normalisation: epsilon {found} replaced by Darknet's {BATCH_NORM_EPSILON:g} in {len(norms)} layers"
        )
    else:
        note(
            f"batch normalisation: epsilon {found}, Darknet's is {BATCH_NORM_EPSILON:g}. If the weights came from "
            "Darknet, adopt with --repair-epsilon"
        )


def _rebuild(layers: Sequence[dict[str, Any]], keras: Any, refuse: Refuse) -> tuple[Any, dict[str, Any]]:
    """Return the input and every layer's output, built from Keras layers of the same names."""
    tensors: dict[str, Any] = {}
    source = None
    for layer in layers:
        name, config, kind = str(layer["name"]), layer["config"], layer["class_name"]
        try:
            if kind == "InputLayer":
                shape = config.get("batch_input_shape") or config["batch_shape"]
                source = tensors[name] = keras.Input(tuple(shape[1:]), name=name)
                continue
            options = {RENAMED.get(key, key): value for key, value in config.items()}
            options = {key: _plain(options[key]) for key in OPTIONS[kind] if key in options}
            inputs = [tensors[entry[0]] for entry in layer["inbound_nodes"][0]]
            made = getattr(keras.layers, kind)(**options, name=name)
            tensors[name] = made(inputs[0] if len(inputs) == 1 else inputs)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise refuse(f"its layer {name} ({kind}) cannot be rebuilt: {reason}") from None
    if source is None or len(source.shape) != 4 or source.shape[3] is None:
        raise refuse("has no image input, (batch, height, width, channels)")
    return source, tensors


def _plain(value: Any) -> Any:
    """Unwrap numbers that Keras 2 wrote as NumPy scalars."""
    return value["value"] if isinstance(value, dict) and set(value) >= {"type", "value"} else value


def _heads(
    source: Any,
    outputs: Sequence[Any],
    keras: Any,
    anchors: tuple[tuple[float, float], ...],
    classes: int,
    refuse: Refuse,
) -> list[Head]:
    """Return a head for each output; by the ports' rule, coarser grids get larger anchors."""
    channels = [output.shape[-1] if len(output.shape) == 4 else None for output in outputs]
    boxes = [count // (5 + classes) if count else 0 for count in channels]
    if any(not count or count % (5 + classes) for count in channels):
        raise refuse(
            f"its outputs have {', '.join(map(str, channels))} channels; expected multiples of 5 + {classes} classes. "
            "Are these the names it was trained with?"
        )
    strides = _strides(source, outputs, keras)
    order = sorted(range(len(outputs)), key=lambda index: strides[index])
    heads: dict[int, Head] = {}
    start = 0
    for place, index in enumerate(order):
        # yolov3-tiny's six anchors for two heads: the finer one uses 1,2,3 and the coarser 3,4,5.
        if len(anchors) == 6 and boxes == [3, 3]:
            start = (1, 3)[place]
        mask = anchors[start : start + boxes[index]]
        if len(mask) != boxes[index]:
            raise refuse(f"its outputs hold {sum(boxes)} boxes per cell, but {len(anchors)} anchors are given")
        heads[index] = Head("yolo", index, strides[index], mask, classes)
        start += boxes[index]
    if start != len(anchors):
        raise refuse(f"its outputs hold {sum(boxes)} boxes per cell, but {len(anchors)} anchors are given")
    return [heads[index] for index in range(len(outputs))]


def _strides(source: Any, outputs: Sequence[Any], keras: Any) -> list[int]:
    """Return the input pixels per cell of each output."""
    height, width = (side or SIDE for side in source.shape[1:3])
    shapes = keras.Model(source, list(outputs)).compute_output_shape((1, height, width, source.shape[3]))
    shapes = shapes if isinstance(shapes, list) else [shapes]
    return [max(1, round(height / shape[1])) for shape in shapes]


def _set_weights(model: Any, file: h5py.File, refuse: Refuse) -> None:
    groups = file.get("model_weights", file)
    for layer in model.layers:
        if not layer.weights:
            continue
        try:
            group = groups[layer.name]
            names = [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs["weight_names"]]
            layer.set_weights([np.asarray(group[name], np.float32) for name in names])
        except (KeyError, ValueError, OSError) as error:
            raise refuse(f"the weights of its layer {layer.name} do not fit: {error}") from None
