"""Quantise a network to 8-bit integers with calibration images: NNCF for OpenVINO.

It runs in a separate process, because it takes gigabytes for a minute, and both packages print messages.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.engines.child import end_with_the_parent, last_line, run_module
from detector.errors import EngineError


@dataclass(frozen=True)
class Network:
    """An OpenVINO model."""

    xml: bytes
    weights: NDArray[np.uint8]
    """The content of its .bin, writeable, because OpenVINO shares no other memory."""

    mapping: mmap | None = None
    """The file that contains `weights`, if they are mapped into memory."""


NEEDED = ("openvino", "nncf")
"""Packages that int8 for OpenVINO needs; both are in the extra `int8`."""


RECIPE = 2
"""Raised whenever the same packages would make another network than before."""


def can_quantise() -> bool:
    """Return whether the packages are installed."""
    return all(find_spec(name) is not None for name in NEEDED)


def toolkit() -> str:
    """Return the recipe and versions that an int8 network depends on, for the name under which it is cached."""
    return "_".join([str(RECIPE), *(version(name) for name in NEEDED if find_spec(name) is not None)])


def quantise(network: Path, inputs: Sequence[NDArray[np.float32]]) -> Network:
    """Return an int8 network.

    `network` was compiled for LiteRT; `inputs` are network inputs to calibrate on, each (1, height, width, channels)
    in 0..1. Weights get a scale per channel. The last convolution of each head stays in floats, so that box sizes
    keep their precision. Raises `EngineError` where NNCF cannot express the network.
    """
    with tempfile.TemporaryDirectory(prefix="yolo3-") as name:
        folder = Path(name)
        np.savez(folder / "inputs.npz", *inputs)
        run = run_module("detector.engines.quantising", network.resolve(), folder)
        if run.returncode:
            raise EngineError(f"NNCF cannot make an int8 network of it ({last_line(run)})")
        return Network((folder / "network.xml").read_bytes(), np.fromfile(folder / "network.bin", np.uint8))


def last_convolutions(model: Any) -> list[str]:
    """Return the names of the convolutions that compute an OpenVINO model's outputs."""
    names = []
    for result in model.get_results():
        node = result.input_value(0).get_node()
        while node.get_input_size() and node.get_type_name() not in ("Convolution", "GroupConvolution"):
            node = node.input_value(0).get_node()
        if node.get_input_size():
            names.append(node.get_friendly_name())
    return names


def _main(network: Path, folder: Path) -> None:
    import nncf
    import openvino

    model = openvino.Core().read_model(network)
    with np.load(folder / "inputs.npz", allow_pickle=False) as arrays:
        inputs = [arrays[name] for name in arrays.files]
    quantised = nncf.quantize(
        model,
        nncf.Dataset(inputs),
        # Activations without a zero point: 0.78 of the time of `MIXED` on Yolo-Fastest-1.1-XL, and no worse in AP.
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(inputs),
        ignored_scope=nncf.IgnoredScope(names=last_convolutions(model)),
    )
    openvino.save_model(quantised, folder / "network.xml", compress_to_fp16=False)


if __name__ == "__main__":
    end_with_the_parent()
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
