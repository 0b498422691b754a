"""Convert a cfg and weights to a self-describing .h5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.cfg import ALEXEYAB_KEYS, Cfg, read_cfg, unread_keys
from convert.diagnosis import check_weights
from convert.keras_import import import_keras
from convert.layers.layer import Dialect
from convert.model_file import RESIZE_MODES, Description, check_replaceable, save_model
from convert.names import default_names, read_names
from convert.network import (
    Network,
    assemble,
    connect,
    kept_arrays,
    keras_layer_names,
    plan,
    read_arrays,
    set_arrays,
)
from convert.text import printable
from convert.verification import is_small, verify_model
from convert.weights import WeightsReader


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion."""

    model: Path
    network: Network
    description: Description
    floats_read: int
    floats_in_file: int
    notes: tuple[str, ...]
    """What was decided or ignored, one sentence each."""

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
    """Convert a Darknet network to a Keras .h5 that describes itself.

    `names` is a file of class names; without it, 80 classes get COCO's names, 20 get VOC's, and others get numbers.
    `resize` (`letterbox` or `stretch`) overrides what the cfg implies about its training. `batch_norm="pjreddie"` uses
    the formula of pjreddie's CPU code instead of the one that all GPU code trains with. `verify` loads the saved model,
    runs it beside a plain NumPy network and reports how each layer differs; None does so for small networks and reports
    only the largest difference. `on_note` is called with each note as it arises. Raise the errors of `convert.errors`;
    `model` is written only if everything succeeds.
    """
    model = Path(model)
    check_replaceable(model, inputs=[cfg, weights, *([names] if names else [])])
    parsed = read_cfg(cfg)
    network = plan(parsed, batch_norm=batch_norm)
    notes: list[str] = []

    def note(sentence: str) -> None:
        notes.append(printable(sentence))
        on_note(notes[-1])

    with WeightsReader.open(weights) as reader:
        check_weights(network, reader)
        description = describe(network, reader, names=names, resize=resize, note=note)
        import_keras()
        floats = reader.read_ahead()
        arrays = read_arrays(network, reader)
    tensors = connect(network)
    built = assemble(network, tensors)
    set_arrays(network, built, arrays)
    kept = kept_arrays(network, arrays)
    check: Callable[[Path], None] | None = None
    if verify or (verify is None and is_small(network)):
        layers = keras_layer_names(network, tensors, built)
        check = partial(_verify, network, layers, floats, reader.header.transposed, bool(verify), note)
    del arrays, floats  # the model holds the weights now; only verification needs them again
    description = replace(description, weights_sha256=reader.sha256)
    save_model(built, model, description, kept=kept, check=check)
    return Conversion(model, network, description, reader.taken, reader.total, tuple(notes))


def _verify(
    network: Network,
    keras_layers: Mapping[int, str],
    floats: NDArray[np.float32],
    transposed: bool,
    by_layer: bool,
    note: Callable[[str], None],
    saved: Path,
) -> None:
    """Compare a saved model with the NumPy network: return a note, or raise if they differ."""
    model = import_keras().models.load_model(saved, compile=False, safe_mode=True)
    comparisons = verify_model(network, keras_layers, model, floats, transposed=transposed)
    worst = max(comparisons, key=lambda one: one.difference)
    for comparison in comparisons if by_layer else ():
        note(str(comparison))
    note(f"verified: at most {worst.difference:.1e} of a layer's range from Darknet's result ({worst.layer})")


def describe(
    network: Network,
    weights: WeightsReader,
    *,
    names: Path | str | None = None,
    resize: str | None = None,
    note: Callable[[str], None] = lambda sentence: None,
) -> Description:
    """Return the description to store in the model file."""
    cfg, outputs = network.cfg, network.outputs
    if resize is not None and resize not in RESIZE_MODES:
        raise ValueError(f"resize must be one of {', '.join(RESIZE_MODES)}, not {resize!r}")
    heads = tuple(layer.head for layer in outputs if layer.head)
    classes = heads[0].classes if heads else outputs[0].shape.channels
    for layer in outputs:
        if layer.head and layer.head.classes != classes:
            raise layer.section.error(
                (
                    f"has classes={layer.head.classes}, but another head has {classes}; expected the same count in "
                    "all heads"
                ),
                "classes",
            )
    # Whatever can fail comes before the first note, so that a failed run prints only its error.
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
    # The digest of the weights is set once they have been read.
    return replace(network.describe(class_names, resize), weights_header=weights.header)


def trained_resize(cfg: Cfg) -> tuple[str, str]:
    """Return how training fitted images to the network's input, and the evidence for it.

    pjreddie's Darknet letterboxes; AlexeyAB's stretches unless `letter_box=1`.
    """
    if cfg.net.flag("letter_box"):
        return "letterbox", "letter_box=1"
    for section in (cfg.net, *cfg.layers):
        for key, option in section.options.items():
            if key in ALEXEYAB_KEYS:
                return "stretch", f"{key}= on line {option.line} is a key of AlexeyAB's Darknet"
    return "letterbox", "no key of AlexeyAB's Darknet"
