"""Importing Keras without TensorFlow's start-up chatter on standard error."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convert.errors import WorkError

LEAST_BYTES = 3 << 30
"""Address space that a process needs to start TensorFlow; it uses a fifth of it."""


def import_keras() -> Any:
    """The `keras` module; the first call takes some seconds. Its messages are shown only if the import fails.

    Raises `WorkError` where the process may not use enough memory: there TensorFlow would end it without a word.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_BYTES:
        raise WorkError(
            f"this process may use {limit >> 20} MB of address space (ulimit -v); "
            f"TensorFlow needs {LEAST_BYTES >> 20} MB"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_back_stderr():
        import absl.logging
        import keras

        # Keras warns on each .h5 it saves that a newer format exists; .h5 is what this project is about.
        absl.logging.set_verbosity(absl.logging.ERROR)
    return keras


@contextmanager
def held_back_stderr() -> Iterator[None]:
    """Show what is written to standard error in this block, by C++ too, only if the block fails."""
    # TensorFlow's C++ side logs before its log level is read, so only the file descriptor can be held back.
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all, as under some services
        yield
        return
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            messages.seek(0)
            os.write(2, messages.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
