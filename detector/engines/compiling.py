"""Compile a model file to another runtime's format; `cache` runs this module as a separate program."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from convert.errors import Yolo3Error
from convert.files import check_output, replacing
from convert.folders import private_folder, take_place
from convert.keras_import import held_back_stderr, import_keras
from convert.model_file import Description, read_description
from detector.engines.child import end_with_the_parent
from detector.engines.flatbuffer import convert_to_litert
from detector.engines.folding import fold
from detector.engines.keras import load_model
from detector.engines.onnx_file import convert_to_onnx
from detector.errors import EngineError, OutputError, WriteError

Precision = Literal["float32", "float16", "int8"]

TOLERANCE = 2e-3
"""Maximum error of a compiled head, compared with Keras, as a fraction of the head's largest value."""

WRITE_FAILED = 3
"""The exit code of this module, run as a program, when the compiled network could not be written."""

_SAVED_MODEL_NAMES = {"saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables", "assets", "assets.extra"}


def export(
    model: Path | str, out: Path | str, *, to: str, precision: Precision = "float32", overwrite: bool = False
) -> list[Path]:
    """Write a model's network as `litert`, `onnx`, `openvino` (OUT.xml and OUT.bin) or `savedmodel` (a folder).

    `precision` is that of the weights: `float16` (litert, openvino) halves the file, `int8` (litert) quarters it.
    Return what was written; nothing appears under its name until it is complete. With `overwrite` an existing file is
    replaced; of folders, only a SavedModel is. Raise `OutputError`, `ModelFileError`, `EngineError` or `WriteError`.
    """
    model, out = Path(model), Path(out)
    if to == "openvino" and out.suffix != ".xml":
        raise OutputError(f"{out}: expected a name that ends in .xml; OpenVINO writes the weights beside it, in .bin")
    if precision not in PRECISIONS[to]:
        raise EngineError(f"{to} is not written in {precision}; expected {' or '.join(PRECISIONS[to])}")
    if to == "savedmodel":
        _export_folder(model, out, overwrite=overwrite)
        return [out]
    # The .xml needs the .bin, so it is renamed last.
    outputs = [out.with_suffix(".bin"), out] if to == "openvino" else [out]
    for path in outputs:
        check_output(path, overwrite=overwrite, inputs=[model])
    with ExitStack() as files:
        asides = [files.enter_context(replacing(path, inputs=[model])) for path in outputs]
        if to != "openvino":
            write_network(model, asides[0], to=to, precision=precision)
            return outputs
        folder = files.enter_context(private_folder(Path(os.path.realpath(out))))
        write_network(model, folder / "network.xml", to=to, precision=precision)
        for path, aside in zip(outputs, asides, strict=True):
            shutil.copyfile(folder / f"network{path.suffix}", aside)
    return outputs


def write_network(model: Path, out: Path, *, to: str, precision: Precision = "float32") -> None:
    """Compile a model file and write the result to `out` directly. Raise as `export` does, and `OSError`."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    description = read_description(model)
    loaded = load_model(model)
    if import_keras().backend.backend() != "tensorflow":
        raise EngineError("only Keras on TensorFlow can be compiled; set KERAS_BACKEND=tensorflow")
    WRITERS[to](loaded, description, out, precision)


def _export_folder(model: Path, out: Path, *, overwrite: bool) -> None:
    """Write a SavedModel; replace only an empty folder or, with `overwrite`, another SavedModel."""
    _check_folder(out, overwrite)
    target = Path(os.path.realpath(out))
    try:
        with private_folder(target) as folder:
            new = folder / "new"
            write_network(model, new, to="savedmodel")
            _check_folder(out, overwrite)
            take_place(new, target)
    except OSError as error:
        raise WriteError(f"{out}: could not be written: {error.strerror or error}") from None


def _check_folder(out: Path, overwrite: bool) -> None:
    if str(out) == "-":
        raise OutputError("-: a folder cannot be written to standard output; name a folder")
    try:
        names = {path.name for path in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise OutputError(f"{out}: is not a folder that can be written to ({error.strerror})") from None
    if not names:
        return
    foreign = sorted(names - _SAVED_MODEL_NAMES)
    if "saved_model.pb" not in names or foreign:
        what = f"holds {foreign[0]}, which" if foreign else "holds files, which"
        raise OutputError(f"{out}: {what} would be lost; name a new folder")
    if not overwrite:
        raise OutputError(f"{out}: exists already; move it away or pass --overwrite")


def _write_litert(model: Any, description: Description, out: Path, precision: str) -> None:
    try:
        with held_back_stderr():
            folded = fold(model)
            data = convert_to_litert(folded) if precision == "float32" else _quantized(folded, precision)
    except (ValueError, RuntimeError) as error:
        raise EngineError(f"TensorFlow cannot compile it for LiteRT ({str(error).partition(chr(10))[0]})") from None
    out.write_bytes(data)
    if precision == "float32":
        _check(model, description, out)


def _quantized(folded: Any, precision: str) -> bytes:
    import tensorflow as tf

    shape = [1, *folded.input_shape[1:]]
    function = _function(folded).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    # Without calibration examples, int8 applies to the weights only; sums stay in float.
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    data: bytes = converter.convert()
    return data


def _check(model: Any, description: Description, out: Path) -> None:
    """Raise `EngineError` unless the compiled network matches Keras on noise, at a size it was not compiled for."""
    from detector.engines.litert import LitertEngine

    height, width = description.height, description.width
    if description.heads and not description.fixed_size:
        height, width = 3 * description.stride, 4 * description.stride
    noise = np.random.default_rng(0).uniform(0, 1, (1, height, width, description.channels)).astype(np.float32)
    expected = model(noise, training=False)
    found = LitertEngine(out, threads=1).run(noise)
    for ours, theirs in zip(found, expected if isinstance(expected, list) else [expected], strict=True):
        theirs = np.asarray(theirs)
        if ours.shape != theirs.shape or not np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max():
            raise EngineError("LiteRT's results differ from Keras's")


def _write_onnx(model: Any, description: Description, out: Path, precision: str) -> None:
    try:
        import tf2onnx  # noqa: F401
    except ImportError:
        raise EngineError("writing ONNX needs tf2onnx; pip install -e '.[onnxruntime]'") from None
    with held_back_stderr():
        out.write_bytes(convert_to_onnx(fold(model)))


def _write_openvino(model: Any, description: Description, out: Path, precision: str) -> None:
    try:
        import openvino
    except ImportError:
        raise EngineError("writing OpenVINO's format needs openvino; pip install -e '.[openvino]'") from None
    compiled = out.with_suffix(".tflite")
    _write_litert(model, description, compiled, "float32")
    openvino.save_model(openvino.Core().read_model(compiled), out, compress_to_fp16=precision == "float16")


def _write_savedmodel(model: Any, description: Description, out: Path, precision: str) -> None:
    model.export(out, verbose=False)


WRITERS: dict[str, Callable[[Any, Description, Path, str], None]] = {
    "litert": _write_litert,
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "savedmodel": _write_savedmodel,
}

PRECISIONS = {
    "litert": ("float32", "float16", "int8"),
    "onnx": ("float32",),
    "openvino": ("float32", "float16"),
    "savedmodel": ("float32",),
}


def _function(folded: Any) -> Any:
    """Return a network as a TensorFlow function of one image."""
    import tensorflow as tf

    return tf.function(lambda picture: [tf.identity(head) for head in tf.nest.flatten(folded(picture, training=False))])


if __name__ == "__main__":
    end_with_the_parent()
    try:
        write_network(Path(sys.argv[1]), Path(sys.argv[3]), to=sys.argv[2], precision=cast(Precision, sys.argv[4]))
    except Yolo3Error as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        print(f"{error.strerror or error}", file=sys.stderr)
        sys.exit(WRITE_FAILED)
