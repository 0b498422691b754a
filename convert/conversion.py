"""The conversion as a whole: a cfg and weights in, a self-describing .h5 out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.cfg import ALEXEYAB_KEYS, Cfg, read_cfg, unread_keys
from convert.diagnosis import check_weights
from convert.files import file_sha256
from convert.keras_import import import_keras
from convert.layers.layer import Dialect
from convert.model_file import RESIZE_MODES, Description, check_replaceable, save_model
from convert.names import default_names, read_names
from convert.network import Network, assemble, connect, kept_arrays, plan, read_arrays, set_arrays
from convert.verification import is_small
from convert.verification import verify as compare
from convert.weights import WeightsReader


@dataclass(frozen=True)
class Conversion:
    """What a conversion did."""

    model: Path
    network: Network
    description: Description
    floats_read: int
    floats_in_file: int
    notes: tuple[str, ...]
    """What was decided or ignored, a sentence each."""

    def __str__(self) -> str:
        return f"Read {self.floats_read} of {self.floats_in_file} from Darknet weights."


def convert(
    cfg: Path | str,
    weights: Path | str,
    model: Path | str,
    *,
    names: Path | str | None = None,
    resize: str | None = None,
    batch_norm: Dialect = "alexeyab",
    verify: bool | None = None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Conversion:
    """Convert a Darknet network into a Keras .h5 that describes itself.

    `names` is a file of class names; without it 80 classes are COCO's, 20 are VOC's, others get numbers. `resize`
    (`letterbox` or `stretch`) overrides what the cfg says of its training. `batch_norm="pjreddie"` folds in the
    formula of pjreddie's CPU code instead of the one that all GPU code trains with. `verify` runs the network beside
    a plain NumPy one and tells how each layer differs; None does so for small networks, without the table. `on_note` is
    called with each note as it arises. Raises the errors of `convert.errors`; nothing is left under `model`'s name
    unless all went well.
    """
    model = Path(model)
    check_replaceable(model)
    parsed = read_cfg(cfg)
    network = plan(parsed, batch_norm=batch_norm)
    notes: list[str] = []

    def note(sentence: str) -> None:
        notes.append(sentence)
        on_note(sentence)

    with WeightsReader.open(weights) as reader:
        check_weights(network, reader)
        description = describe(network, reader, names=names, resize=resize, note=note)
        import_keras()
        tensors = connect(network)
        built = assemble(network, tensors)
        arrays = read_arrays(network, reader)
        set_arrays(network, built, arrays)
        if verify or (verify is None and is_small(network)):
            for sentence in prove(network, tensors, reader, by_layer=bool(verify)):
                note(sentence)
        kept = kept_arrays(network, arrays)
        del arrays  # from here on the model holds them
        save_model(built, model, description, kept=kept)
        return Conversion(model, network, description, reader.taken, reader.total, tuple(notes))


def prove(network: Network, tensors: Mapping[int, Any], weights: WeightsReader, *, by_layer: bool) -> list[str]:
    """Run the network beside a plain NumPy one and say how they differ; `VerificationError` when they do."""
    floats = np.fromfile(weights.path, "<f4", offset=weights.header.size_bytes)
    comparisons = compare(network, tensors, floats, transposed=weights.header.transposed)
    worst = max(comparisons, key=lambda one: one.difference)
    table = [str(one) for one in comparisons] if by_layer else []
    return [*table, f"verified: at most {worst.difference:.1e} of a layer's range from Darknet's sums ({worst.layer})"]


def describe(
    network: Network,
    weights: WeightsReader,
    *,
    names: Path | str | None = None,
    resize: str | None = None,
    note: Callable[[str], None] = lambda sentence: None,
) -> Description:
    """What the model file will say of itself."""
    cfg, outputs = network.cfg, network.outputs
    if resize is not None and resize not in RESIZE_MODES:
        raise ValueError(f"resize must be one of {', '.join(RESIZE_MODES)}, not {resize!r}")
    heads = tuple(layer.head for layer in outputs if layer.head)
    classes = heads[0].classes if heads else outputs[0].shape.channels
    for layer in outputs:
        if layer.head and layer.head.classes != classes:
            raise layer.section.error(
                f"classes={layer.head.classes}, another head has {classes}; expected one count for all", "classes"
            )
    # Whatever can fail comes before the first note, so that a failure says one thing only.
    class_names, sentence = default_names(classes) if names is None else (read_names(names, classes), "")
    if resize is None:
        resize, why = trained_resize(cfg)
        note(f"resize: {resize} ({why})")
    if sentence:
        note(sentence)
    for layer in network.layers:
        if layer.note:
            note(layer.note)
    ignored = unread_keys(cfg)
    if ignored:
        note(f"keys not needed: {', '.join(sorted(ignored))}")
    return Description(
        cfg=cfg.text,
        cfg_sha256=cfg.sha256,
        weights_sha256=file_sha256(weights.path),
        width=network.picture.width,
        height=network.picture.height,
        channels=network.picture.channels,
        resize=resize,
        names=class_names,
        heads=heads,
        fixed_size=network.fixed_size,
        weights_header=weights.header,
        batch_norm=network.batch_norm,
    )


def trained_resize(cfg: Cfg) -> tuple[str, str]:
    """How the network's training fitted pictures to its input, and the sign that tells.

    pjreddie's Darknet letterboxes; AlexeyAB's stretches unless `letter_box=1`.
    """
    if cfg.net.flag("letter_box"):
        return "letterbox", "letter_box=1"
    for section in (cfg.net, *cfg.layers):
        for key, option in section.options.items():
            if key in ALEXEYAB_KEYS:
                return "stretch", f"{key}= on line {option.line} is a key of AlexeyAB's Darknet"
    return "letterbox", "no key of AlexeyAB's Darknet"
