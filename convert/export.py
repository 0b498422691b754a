"""Export a model file to the .cfg and .weights it was made from, byte for byte after the header."""

from __future__ import annotations

from pathlib import Path

from convert.cfg import parse_cfg
from convert.errors import ModelFileError, OutputError
from convert.files import check_output, replacing, same_file
from convert.model_file import read_description, read_variables
from convert.network import file_order, get_arrays, plan
from convert.weights import write_weights


def export_weights(model: Path | str, cfg: Path | str, weights: Path | str) -> int:
    """Write a model file's network as Darknet's two files and return the number of floats; Keras is not needed.

    Neither file may exist already. Raise `ModelFileError` for a model that yolo3 did not make, `OutputError` and
    `WriteError` when the files cannot be written.
    """
    cfg, weights = Path(cfg), Path(weights)
    for path in (cfg, weights):
        check_output(path, overwrite=False, inputs=[model])
    if same_file(cfg, weights):
        raise OutputError(f"{weights}: is given for both files; the .cfg and the .weights need different names")
    description = read_description(model)
    if not description.cfg:
        raise ModelFileError(f"{model}: was adopted from a Keras model, so there is no cfg to export")
    network = plan(parse_cfg(description.cfg, str(model)), batch_norm=description.batch_norm)
    try:
        arrays = get_arrays(network, read_variables(model))
    except KeyError as error:
        raise ModelFileError(f"{model}: has no variable {error}; convert the network again") from None
    except ValueError as error:
        raise ModelFileError(f"{model}: its variables do not fit its cfg ({error}); convert it again") from None
    header = description.weights_header
    with replacing(cfg, inputs=[model]) as private_cfg, replacing(weights, inputs=[model]) as private_weights:
        private_cfg.write_text(description.cfg, "utf-8")
        with private_weights.open("wb") as file:
            return write_weights(file, file_order(network, arrays, header), header)
