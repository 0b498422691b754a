"""What a training leaves behind as it goes: its state to resume from, and its models."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.model_file import Description, save_model
from detector.errors import OutputError, WriteError

STATE = "checkpoint.npz"
LAST = "last.h5"
BEST = "best.h5"


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands after an epoch."""

    epoch: int
    """Epochs done."""

    step: int
    """Steps done, all epochs together."""

    best_ap: float
    """Average precision of the best model so far; -1 before any was judged."""

    identity: dict[str, Any]
    """The cfg, the data and the settings: a training resumes as what it was."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint, state: dict[str, NDArray[Any]]) -> None:
    """Replace the state of the run in `folder`; whatever happens, a whole one is there."""
    path, aside = folder / STATE, folder / f".{STATE}.{os.getpid()}.part"
    about = {key: getattr(checkpoint, key) for key in ("epoch", "step", "best_ap", "identity")}
    try:
        with aside.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **state)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: could not be written ({error.strerror}); is the disk full?") from None
    finally:
        aside.unlink(missing_ok=True)


def read_checkpoint(folder: Path) -> tuple[Checkpoint, dict[str, NDArray[Any]]]:
    """The state of the run in `folder`; `OutputError` where there is none to resume from."""
    path = folder / STATE
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            state = {name: file[name] for name in file.files}
        about = json.loads(str(state.pop("about")))
        return Checkpoint(**about), state
    except FileNotFoundError:
        raise OutputError(f"{folder}: no {STATE} to resume from; start the training without --resume") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise OutputError(f"{path}: cannot be resumed from ({error}); start the training without --resume") from None


def write_model(
    path: Path, model: Any, weights: list[NDArray[np.float32]], description: Description, *, pictures_seen: int
) -> None:
    """Write a model file with other weights than the model's present ones, and put these back."""
    present = [np.asarray(variable) for variable in model.weights]
    seen = replace(description.weights_header, seen=pictures_seen)
    try:
        for variable, value in zip(model.weights, weights, strict=True):
            variable.assign(value)
        save_model(model, path, replace(description, weights_header=seen))
    finally:
        for variable, value in zip(model.weights, present, strict=True):
            variable.assign(value)
