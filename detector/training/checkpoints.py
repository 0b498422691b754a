"""Write and read the files of a training run: the state to resume from, and its models."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Cfg
from convert.files import replacing
from convert.model_file import Description, save_model
from detector.datasets.examples import Dataset
from detector.errors import OutputError
from detector.training.settings import FREE_ON_RESUME, TrainSettings

STATE = "checkpoint.npz"
LAST = "last.h5"
BEST = "best.h5"
HISTORY = "log.csv"
PLOT = "log.png"
EXAMPLES = "examples.jpg"


@dataclass(frozen=True)
class RunSource:
    """The options of a training run, so that it can be resumed without repeating them."""

    cfg_path: str = ""
    data: str = ""
    valid: str = ""
    pictures: str = ""
    names: tuple[str, ...] = ()
    """Class names in the order of class ids, which a COCO file alone does not determine."""
    tensorboard: str = ""
    """Folder for TensorBoard's files."""


@dataclass(frozen=True)
class Identity:
    """What must be equal when a run is resumed."""

    cfg_text: str
    examples: str
    """Digest of the images' paths and of all labels."""

    settings: TrainSettings
    source: RunSource = RunSource()

    @classmethod
    def of(cls, cfg: Cfg, dataset: Dataset, settings: TrainSettings, source: RunSource) -> Identity:
        """Return the identity of a training run of this network on these images."""
        digest = hashlib.sha256("\n".join(dataset.names).encode(errors="surrogateescape"))
        for part in (dataset.train, dataset.valid):
            for example in part:
                digest.update(b"\n" + os.fsencode(os.path.realpath(example.path)) + b"\n")
                for values in (example.boxes, example.class_id, example.crowd):
                    digest.update(np.ascontiguousarray(values).tobytes())
            digest.update(b"\n\n")
        return cls(cfg.text, digest.hexdigest(), settings, source)

    def differences(self, now: Identity) -> list[str]:
        """Return what differs in another identity, in words."""
        changed = ["cfg"] if self.cfg_text != now.cfg_text else []
        changed += ["pictures or labels"] if self.examples != now.examples else []
        then, later = self.settings.as_json(), now.settings.as_json()
        return changed + [key for key in later if key not in FREE_ON_RESUME and then[key] != later[key]]


@dataclass(frozen=True)
class Checkpoint:
    """The progress of a training run after an epoch."""

    epoch: int
    """Epochs done."""

    step: int
    """Number of steps so far, all epochs together."""

    best_ap: float
    """Average precision of the best model so far; -1 before the first evaluation."""

    identity: Identity


def write_checkpoint(folder: Path, checkpoint: Checkpoint, state: dict[str, NDArray[Any]]) -> None:
    """Replace the state of the run in `folder`. Raise `OutputError` or `WriteError`; the old state then stays."""
    identity = checkpoint.identity
    about = {
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "best_ap": checkpoint.best_ap,
        "cfg": identity.cfg_text,
        "examples": identity.examples,
        "settings": identity.settings.as_json(),
        "source": vars(identity.source),
    }
    with replacing(folder / STATE) as aside, aside.open("wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **state)  # type: ignore[arg-type]


def read_checkpoint(folder: Path) -> tuple[Checkpoint, dict[str, NDArray[Any]]]:
    """Read the state of the run in `folder`. Raise `OutputError` if there is none that can be resumed."""
    with _opened(folder) as file:
        state = {name: file[name] for name in file.files if name != "about"}
        about = json.loads(str(file["about"]))
        return Checkpoint(int(about["epoch"]), int(about["step"]), float(about["best_ap"]), _identity(about)), state


def read_identity(folder: Path) -> Identity:
    """Read the options of the run in `folder`. Raise `OutputError` as `read_checkpoint` does."""
    with _opened(folder) as file:
        return _identity(json.loads(str(file["about"])))


def _identity(about: dict[str, Any]) -> Identity:
    source = dict(about["source"])
    source["names"] = tuple(source["names"])
    return Identity(about["cfg"], about["examples"], TrainSettings.from_json(about["settings"]), RunSource(**source))


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    path = folder / STATE
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            yield file
    except FileNotFoundError:
        raise OutputError(f"{folder}: no {STATE} to resume from; start the training without --resume") from None
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged zip file fails in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        last = folder / LAST
        remedy = f"start a new training from its last model: --start {last} --out ANOTHER" if last.exists() else ""
        raise OutputError(
            f"{path}: damaged, or written by another version ({reason}); "
            f"{remedy or 'start the training anew in another --out'}"
        ) from None


def check_new(folder: Path) -> None:
    """Raise `OutputError` if a folder contains files of a training run, which a new run would replace."""
    found = [name for name in (STATE, BEST, LAST, HISTORY) if (folder / name).exists()]
    if found:
        advice = "pass --resume to continue it, or choose another --out" if STATE in found else "choose another --out"
        raise OutputError(f"{folder}: holds {', '.join(found)} of another training; {advice}")


def write_model(
    path: Path, model: Any, description: Description, *, kept: dict[str, NDArray[np.float32]], pictures_seen: int
) -> None:
    """Write a model file with the model's current weights; `kept` are the arrays that Keras does not hold."""
    header = replace(description.weights_header, seen=pictures_seen)
    save_model(model, path, replace(description, weights_header=header), kept=kept)
