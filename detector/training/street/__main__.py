"""Make the embedded model from nothing: draw the pictures, train, judge, write the weights (scripts/train_street)."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

from convert.cfg import read_cfg
from convert.errors import Yolo3Error
from convert.names import configs_folder
from detector.training.dataset import read_dataset
from detector.training.settings import TrainSettings
from detector.training.street.folder import write_folder
from detector.training.trainer import train

COUNTS = {"train": 6000, "valid": 300, "test": 500}
SETTINGS = TrainSettings(
    epochs=16,
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
        tell=print,
        bar=_bar,
    )
    print(f"best AP on the {len(dataset.valid)} pictures to judge by: {outcome.best_ap:.3f}, {outcome.model}")


def _bar(things: Any, **options: Any) -> Any:
    from tqdm import tqdm

    return tqdm(things, leave=False, dynamic_ncols=True, mininterval=2, **options)


if __name__ == "__main__":
    main()
