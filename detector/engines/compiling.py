"""A model file compiled to another runtime's format; runs as a program of its own too, for `cache`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from convert.errors import Yolo3Error
from convert.keras_import import held_back_stderr, import_keras
from convert.model_file import Description, read_description
from detector.engines.flatbuffer import convert_to_litert
from detector.engines.folding import fold
from detector.engines.keras import load_model
from detector.engines.onnx_file import convert_to_onnx
from detector.errors import EngineError, OutputError, WriteError

TOLERANCE = 2e-3
"""How far a compiled head may lie from Keras's, as a part of the head's largest number."""


def export(model: Path | str, out: Path | str, *, to: str, precision: str = "float32", overwrite: bool = False) -> None:
    """Write a model file's network as `litert`, `onnx`, `openvino` (OUT.xml and OUT.bin) or `savedmodel` (a folder).

    `precision` is that of the weights: `float16` (litert, openvino) halves the file, `int8` (litert) quarters it.
    Nothing stands under `out` until it is whole. Raises `OutputError`, `ModelFileError`, `EngineError`, `WriteError`.
    """
    model, out = Path(model), Path(out)
    if to == "openvino" and out.suffix != ".xml":
        raise OutputError(f"{out}: expected a name that ends in .xml; OpenVINO puts the weights beside it, in .bin")
    if precision not in PRECISIONS[to]:
        raise EngineError(f"{to} is not written in {precision}; expected {' or '.join(PRECISIONS[to])}")
    outputs = [out, out.with_suffix(".bin")] if to == "openvino" else [out]
    for path in outputs:
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: is there already; pass --overwrite or choose another name")
        if to != "savedmodel" and path.is_dir():
            raise OutputError(f"{path}: a folder of this name is there; choose another name")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    description = read_description(model)
    loaded = load_model(model)
    if import_keras().backend.backend() != "tensorflow":
        raise EngineError("only Keras on TensorFlow can be compiled; set KERAS_BACKEND=tensorflow")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{out.stem}-", dir=out.parent))
    except OSError as error:
        raise OutputError(f"{out.parent}: cannot be written to ({error.strerror})") from None
    try:
        WRITERS[to](loaded, description, aside / out.name, precision)
        for path in reversed(outputs):
            if path.is_dir():
                shutil.rmtree(path)
            (aside / path.name).replace(path)
    except OSError as error:
        raise WriteError(f"{out}: could not be written ({error}); is the disk full?") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_litert(model: Any, description: Description, out: Path, precision: str) -> None:
    try:
        with held_back_stderr():
            if precision == "float32":
                out.write_bytes(convert_to_litert(fold(model)))
            else:
                out.write_bytes(_quantised(fold(model), precision))
    except (ValueError, RuntimeError) as error:
        raise EngineError(f"TensorFlow cannot compile it for LiteRT ({str(error).partition(chr(10))[0]})") from None
    if precision == "float32":
        _check(model, description, out)


def _quantised(folded: Any, precision: str) -> bytes:
    import tensorflow as tf

    shape = [1, *folded.input_shape[1:]]
    function = _function(folded).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    # Without examples to calibrate with, int8 means the weights alone; sums stay in float.
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    data: bytes = converter.convert()
    return data


def _check(model: Any, description: Description, out: Path) -> None:
    """Raise `EngineError` unless the compiled network does what Keras does, on noise and at a size of its own."""
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
            raise EngineError("LiteRT computes other numbers than Keras for it")


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
    """A network as a TensorFlow function of one picture."""
    import tensorflow as tf

    return tf.function(lambda picture: [tf.identity(head) for head in tf.nest.flatten(folded(picture, training=False))])


if __name__ == "__main__":
    try:
        export(sys.argv[1], sys.argv[3], to=sys.argv[2])
    except Yolo3Error as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
