"""Back to Darknet: the .cfg and .weights that a model file was made from, byte for byte after the header."""

from __future__ import annotations

import os
from pathlib import Path

from convert.cfg import parse_cfg
from convert.errors import ModelFileError, OutputError, WorkError
from convert.model_file import read_description, read_variables
from convert.network import file_order, get_arrays, plan
from convert.weights import write_weights


def export_weights(model: Path | str, cfg: Path | str, weights: Path | str) -> int:
    """Write a model file's network as Darknet's two files and return the number of floats; needs no Keras.

    Both are written beside their final names and renamed when whole; neither may be there already. Raises
    `ModelFileError` for a model that yolo3 did not make, `OutputError` and `WorkError` when they cannot be written.
    """
    cfg, weights = Path(cfg), Path(weights)
    for path in (cfg, weights):
        _check_free(path)
    description = read_description(model)
    if not description.cfg:
        raise ModelFileError(f"{model}: was adopted from a Keras model; there is no cfg to go back to")
    network = plan(parse_cfg(description.cfg, str(model)), batch_norm=description.batch_norm)
    try:
        arrays = get_arrays(network, read_variables(model))
    except KeyError as error:
        raise ModelFileError(f"{model}: has no variable {error}; convert the network again") from None
    except ValueError as error:
        raise ModelFileError(f"{model}: its variables do not fit its cfg ({error}); convert it again") from None
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in (cfg, weights)}
    try:
        parts[cfg].write_text(description.cfg, "utf-8")
        with parts[weights].open("wb") as file:
            count = write_weights(
                file, file_order(network, arrays, description.weights_header), description.weights_header
            )
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        raise WorkError(f"{weights}: could not be written ({error}); is the disk full?") from None
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return count


def _check_free(path: Path) -> None:
    if path.exists():
        raise OutputError(f"{path}: is there already; move it away or choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made ({error.strerror})") from None
