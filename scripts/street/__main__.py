"""Make the embedded model from nothing: draw the pictures, train, judge, write the weights (scripts/train_street)."""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
from pathlib import Path
from typing import Any

from convert.cfg import parse_cfg, read_cfg
from convert.errors import Yolo3Error
from convert.model_file import read_description, read_variables
from convert.names import configs_folder
from convert.network import get_arrays, plan
from convert.weights import write_weights
from detector.datasets.dataset import read_dataset
from detector.evaluation.average_precision import LOWEST_CONFIDENCE
from detector.evaluation.plots import plot_history
from detector.evaluation.report import evaluate_models, table
from detector.settings import Settings
from detector.training.history import read_history
from detector.training.settings import TrainSettings
from detector.training.trainer import HISTORY, train
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


def main() -> None:
    """Run it all; what is there from an interrupted run is taken up again."""
    parser = argparse.ArgumentParser(prog="scripts/train_street", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/street"), help="folder for pictures, state and log")
    out = parser.parse_args().out
    try:
        make(out)
    except Yolo3Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def make(out: Path) -> None:
    """All steps in order."""
    data = write_folder(out / "data", COUNTS, progress=functools.partial(_bar, desc="drawing", unit="picture"))
    dataset = read_dataset(data)
    print(dataset)
    run = out / "train"
    outcome = train(
        read_cfg(configs_folder() / "street.cfg"),
        dataset,
        run,
        SETTINGS,
        resume=(run / "checkpoint.npz").exists(),
        on_note=print,
        bar=_bar,
    )
    print(f"best AP on the {len(dataset.valid)} pictures to judge by: {outcome.best_ap:.3f}, {outcome.model}")
    plot_history(run / "log.png", read_history(run / HISTORY, epochs=SETTINGS.epochs))
    weights = configs_folder().parent / "model_data" / "street.weights"
    write_darknet_weights(outcome.model, weights)
    print(f"wrote {weights}, {weights.stat().st_size} bytes")
    test = read_dataset(data.with_name("test.data"))
    confidence = Settings(confidence=LOWEST_CONFIDENCE)
    verdict = evaluate_models(
        test, [outcome.model], confidence, out=out / "test", progress=functools.partial(_bar, desc="judging")
    )
    print(f"{len(test.valid)} pictures never trained on\n{table(verdict.scores)}")


def write_darknet_weights(model: Path, weights: Path) -> None:
    """Write a model's parameters as Darknet has them."""
    description = read_description(model)
    arrays = get_arrays(plan(parse_cfg(description.cfg, str(model))), read_variables(model))
    weights.parent.mkdir(parents=True, exist_ok=True)
    aside = weights.with_suffix(".part")
    with aside.open("wb") as file:
        write_weights(file, itertools.chain.from_iterable(arrays), description.weights_header)
    aside.replace(weights)


def _bar(things: Any, **options: Any) -> Any:
    from tqdm import tqdm

    return tqdm(things, leave=False, dynamic_ncols=True, mininterval=2, **options)


if __name__ == "__main__":
    main()
