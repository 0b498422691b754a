"""Train the demo network from scratch: draw the images, train, evaluate, write the weights (scripts/train_street)."""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.cfg import parse_cfg, read_cfg
from convert.errors import Yolo3Error
from convert.files import check_output, file_sha256, write_whole
from convert.model_file import read_description, read_variables
from convert.names import configs_folder
from convert.network import get_arrays, plan
from convert.weights import write_weights
from detector.datasets.dataset import read_dataset
from detector.errors import SettingsError
from detector.evaluation.report import evaluate_models, table
from detector.evaluation.settings import EvaluationSettings
from detector.training.checkpoints import STATE
from detector.training.reporting import Reporting
from detector.training.settings import TrainSettings
from detector.training.trainer import train
from scripts.street.folder import write_folder

COUNTS = {"train": 6000, "valid": 300, "test": 500}
SETTINGS = TrainSettings(
    epochs=13,
    batch=16,
    learning_rate=2e-3,
    final_rate=0.01,
    warm_up=300,
    average=0.998,
    scale=0.25,
    colour=0.3,
    judge_every=4,
    seed=3,
)


@dataclass(frozen=True)
class Plan:
    """What to make, and where."""

    out: Path
    """Folder for images, state, history and evaluation."""

    weights: Path
    counts: dict[str, int]
    """Number of images of each part: train, valid and test."""

    settings: TrainSettings


def main() -> None:
    """Run all steps; an interrupted run is resumed."""
    parser = argparse.ArgumentParser(prog="scripts/train_street", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/street"), help="folder for pictures, state and history")
    parser.add_argument("--epochs", type=int, default=SETTINGS.epochs, help="passes over the training pictures")
    parser.add_argument("--pictures", type=int, default=COUNTS["train"], help="training pictures to draw")
    parser.add_argument("--weights", type=Path, help="the weights' file (default: street.weights in --out)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --weights file")
    given = parser.parse_args()
    try:
        if given.pictures < 1:
            raise SettingsError(f"pictures {given.pictures} is out of range; expected at least 1")
        settings = replace(SETTINGS, epochs=given.epochs)
        weights = given.weights or given.out / "street.weights"
        check_output(weights, overwrite=given.overwrite or given.weights is None)
        scale = given.pictures / COUNTS["train"]
        counts = {part: max(20, round(count * min(1.0, scale))) for part, count in COUNTS.items()}
        make(Plan(given.out, weights, counts | {"train": given.pictures}, settings))
    except Yolo3Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def make(todo: Plan) -> None:
    """Draw, train, write the weights, and evaluate on images that were not trained on."""
    progress = functools.partial(_bar, desc="drawing", unit="picture")
    data = write_folder(todo.out / "data", todo.counts, progress=progress)
    dataset = read_dataset(data)
    print(dataset)
    run = todo.out / "train"
    cfg = read_cfg(configs_folder() / "street.cfg")
    resume = (run / STATE).exists()
    outcome = train(cfg, dataset, run, todo.settings, resume=resume, reporting=Reporting(print, _bar))
    print(f"best AP on {len(dataset.valid)} validation pictures: {outcome.best_ap:.3f}, {outcome.model}")
    write_darknet_weights(outcome.model, todo.weights)
    print(f"wrote {todo.weights}, {todo.weights.stat().st_size} bytes, SHA-256 {file_sha256(todo.weights)}")
    test = read_dataset(data.with_name("test.data"))
    progress = functools.partial(_bar, desc="evaluating")
    report = evaluate_models(test, [outcome.model], EvaluationSettings(), out=todo.out / "test", progress=progress)
    print(f"{len(test.valid)} pictures that were not trained on\n{table(report)}")


def write_darknet_weights(model: Path, weights: Path) -> None:
    """Write a model's parameters in Darknet's format."""
    description = read_description(model)
    arrays = get_arrays(plan(parse_cfg(description.cfg, str(model))), read_variables(model))
    data = io.BytesIO()
    write_weights(data, itertools.chain.from_iterable(arrays), description.weights_header)
    write_whole(weights, data.getvalue())


def _bar(things: Any, **options: Any) -> Any:
    from tqdm import tqdm

    return tqdm(things, leave=False, dynamic_ncols=True, mininterval=2, **options)


if __name__ == "__main__":
    main()
