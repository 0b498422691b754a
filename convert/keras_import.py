"""Import Keras without TensorFlow's start-up messages on standard error."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convert.errors import InputError, WorkError

_BACKENDS = ("jax", "openvino", "torch")
"""Other backends that Keras supports."""

LEAST_BYTES = 3 << 30
"""Address space in bytes that a process needs to start TensorFlow, which uses a fifth of it."""


def import_keras() -> Any:
    """Return the `keras` module; the first call takes some seconds.

    Raise `InputError` for settings of Keras that cannot work here, and `WorkError` if the process may not use enough
    memory: TensorFlow would end it without a message.
    """
    keras = sys.modules.get("keras") or _imported()
    _check_settings(keras)
    return keras


def _imported() -> Any:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_BYTES:
        raise WorkError(
            f"this process may use {limit >> 20} MB of address space (ulimit -v); "
            f"TensorFlow needs {LEAST_BYTES >> 20} MB"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with held_back_stderr(show=False):
            import keras
    except (ImportError, ValueError) as error:
        backend, where = _backend()
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{where}: the backend {backend} of Keras cannot be imported ({reason}); expected tensorflow"
            f"{', or install it' if backend in _BACKENDS else ''}"
        ) from None
    with held_back_stderr():
        import absl.logging

        # Keras warns on each .h5 it saves that a newer format exists, but .h5 is the format of this project.
        absl.logging.set_verbosity(absl.logging.ERROR)
    return keras


def _settings_file() -> Path:
    """Return the path of Keras's settings file (`keras.src.backend.config`)."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path("~/.keras").expanduser()) / "keras.json"


def _backend() -> tuple[str, str]:
    """Return the backend that Keras is to use, and the setting that says so."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    file = _settings_file()
    try:
        return str(json.loads(file.read_text("utf-8"))["backend"]), str(file)
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow", "Keras"


def _check_settings(keras: Any) -> None:
    """Raise `InputError` unless Keras makes layers of the kind that model files contain."""
    wrong = (
        ("image_data_format", keras.config.image_data_format(), "channels_last"),
        ("floatx", keras.config.floatx(), "float32"),
    )
    for name, found, expected in wrong:
        if found != expected:
            raise InputError(
                f"{_settings_file()}: {name} is {found}; expected {expected}. Change it there, or in Python call "
                f"keras.config.set_{name}({expected!r})"
            )
    policy = keras.config.dtype_policy()
    if policy.name != "float32":
        raise InputError(
            f"the dtype policy of Keras is {policy.name}; expected float32. "
            "Call keras.config.set_dtype_policy('float32')"
        )


@contextmanager
def held_back_stderr(*, show: bool = True) -> Iterator[None]:
    """Hide what is written to standard error in this block, also by C++; if the block fails, `show` it."""
    # TensorFlow's C++ side logs before its log level is read, so only the file descriptor can be redirected.
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all, as under some services
        yield
        return
    try:
        hidden = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    except OSError:  # no file descriptor is left, or no folder for temporary files
        os.close(saved)
        yield
        return
    with hidden as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            messages.seek(0)
            os.write(2, messages.read() if show else b"")
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
