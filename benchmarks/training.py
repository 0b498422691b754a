"""Train small networks as docs/training.md says, and write what they reach into it (scripts/training)."""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.report import machine, put, table
from convert.cfg import Cfg, parse_cfg, read_cfg
from convert.files import write_whole
from convert.keras_import import import_keras
from convert.names import configs_folder
from convert.network import build, plan
from detector.datasets.dataset import read_dataset
from detector.datasets.examples import Dataset
from detector.evaluation.average_precision import Score
from detector.evaluation.report import evaluate_models
from detector.evaluation.settings import EvaluationSettings
from detector.training.data_loader import DataLoader, InputShape
from detector.training.initial_weights import initial_weights
from detector.training.loss import Target, Truths, yolo_loss
from detector.training.reporting import Reporting
from detector.training.settings import TrainSettings
from detector.training.step import Stepper
from detector.training.targets import read_rules
from detector.training.trainer import train
from scripts.street.folder import write_folder

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
GROCERY = "yolov3-tiny-grocery"
_ROUNDS, _STEPS = 5, 4
_MANY = 50_000


def main() -> None:
    """Measure the named parts, and write all figures so far."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/training")
    parser.add_argument("parts", nargs="+", choices=sorted(PARTS))
    parser.add_argument("--out", type=Path, default=Path("runs/training"), help="folder for pictures, runs and figures")
    parser.add_argument(
        "--grocery", type=Path, help=f"folder with weights/{GROCERY}.cfg and .weights, names/grocery.names and grocery/"
    )
    options = parser.parse_args()
    path = options.out / "figures.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    for part in options.parts:
        begin = time.monotonic()
        what, result = PARTS[part](options.out, options.grocery)
        figures[part] = [what, result, f"{(time.monotonic() - begin) / 60:.1f}"]
        print(*figures[part], sep=" | ", flush=True)
        write_whole(path, json.dumps(figures, indent=1).encode())
        rows = [figures[name] for name in PARTS if name in figures]
        put("figures", table(["what", "result", "minutes"], rows) + f"\n\n{machine()}", page=PAGE)


def street(out: Path, grocery: Path | None) -> tuple[str, str]:
    """The README's recipe on 100 drawn streets."""
    dataset = _streets(out, 100)
    settings = TrainSettings(epochs=30, learning_rate=0.004, scale=0.1, colour=0.2)
    outcome = train(_street_cfg(), dataset, _new(out / "street"), settings, reporting=Reporting(print))
    score = _score(dataset, outcome.model)
    return (
        "the README's recipe: `configs/street.cfg`, 100 drawn streets, 30 epochs; measured on 100 other streets",
        _shown(score),
    )


def from_nothing(out: Path, grocery: Path | None) -> tuple[str, str]:
    """A network of the grocery's, from random weights, on its few pictures."""
    cfg, dataset, _ = _grocery(out, grocery)
    settings = TrainSettings(
        epochs=80, batch=2, learning_rate=2e-3, scale=0, flip=0, colour=0, average=0.98, judge_every=80
    )
    outcome = train(cfg, dataset, _new(out / "from-nothing"), settings, reporting=Reporting(print))
    return (
        f"`{GROCERY}.cfg` from random weights, {len(dataset.train)} photos of shelves, 80 epochs without augmentation; "
        "measured on the same photos",
        _shown(_score(dataset, outcome.model)),
    )


def fine_tuned(out: Path, grocery: Path | None) -> tuple[str, str]:
    """The grocery's real weights, trained further with AlexeyAB's usual loss."""
    cfg, dataset, weights = _grocery(out, grocery)
    text = cfg.text.replace("truth_thresh = 1\n", "truth_thresh = 1\niou_loss=ciou\niou_normalizer=0.07\n")
    cfg = parse_cfg(text, f"{GROCERY}-ciou.cfg")
    settings = TrainSettings(epochs=30, batch=2, learning_rate=2e-4, scale=0.1, flip=0, colour=0.2, judge_every=10)
    told: list[str] = []
    outcome = train(cfg, dataset, _new(out / "fine-tuned"), settings, start=weights, reporting=Reporting(told.append))
    before = next((line for line in told if line.startswith("before training")), "")
    return (
        f"`{GROCERY}.weights` trained further with `iou_loss=ciou`, `iou_normalizer=0.07`, {len(dataset.train)} "
        f"photos, 30 epochs; measured on the same photos ({before})",
        _shown(_score(dataset, outcome.model)),
    )


def steps(out: Path, grocery: Path | None) -> tuple[str, str]:
    """The time of a step beside that of a bare `keras.Model.fit` of the same network, loss and batches."""
    network = plan(_street_cfg())
    rules = read_rules(network)
    settings = TrainSettings(batch=8, learning_rate=1e-3)
    shape = InputShape(network.picture.width, network.picture.height, "letterbox")
    loader = DataLoader(_streets(out, 100).train, rules, settings, shape)
    batches = list(itertools.islice(loader.epoch(0), _STEPS))
    stepper = Stepper(_model(network), rules, settings, momentum=0.9)
    fitted = _fitted(network, rules)
    feed = _feed(batches)

    def ours() -> None:
        for number, batch in enumerate(batches):
            stepper.run(batch, rate=1e-3, number=number)

    def whole() -> None:
        for number, batch in enumerate(itertools.islice(loader.epoch(1), _STEPS)):
            stepper.run(batch, rate=1e-3, number=number)

    def bare() -> None:
        fitted.fit(feed, epochs=1, verbose=0)

    times: dict[Callable[[], None], list[float]] = {ours: [], bare: [], whole: []}
    for number in range(_ROUNDS + 1):
        for run, seconds in times.items():
            begin = time.perf_counter()
            run()
            if number:  # the first round compiles
                seconds.append((time.perf_counter() - begin) / len(batches))
    one, other, third = (1000 * statistics.median(times[run]) for run in (ours, bare, whole))
    return (
        f"a step of `configs/street.cfg` with {settings.batch} pictures, median of {_ROUNDS} alternating rounds of "
        f"{len(batches)} steps",
        f"{one:.0f} ms; {other:.0f} ms in a bare Keras `fit` with the same batches and loss, ratio {one / other:.3f}; "
        f"{third:.0f} ms with reading and augmentation of the pictures",
    )


def checking(out: Path, grocery: Path | None) -> tuple[str, str]:
    """The time in which a large dataset of small pictures is read and checked, for the first time and again."""
    data = _many_pictures(out / "many", _MANY)
    seconds, work = [], []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for _ in range(3):
            begin, before = time.perf_counter(), time.process_time()
            read_dataset(data)
            seconds.append(time.perf_counter() - begin)
            work.append(time.process_time() - before)
        del os.environ["XDG_CACHE_HOME"]
    return (
        f"{_MANY:,} pictures of 64x48 pixels with three boxes each: read and checked",
        f"{seconds[0]:.1f} s the first time ({work[0]:.1f} s of CPU), then {min(seconds[1:]):.1f} s "
        f"({min(work[1:]):.1f} s of CPU)",
    )


PARTS: dict[str, Callable[[Path, Path | None], tuple[str, str]]] = {
    "street": street,
    "from-nothing": from_nothing,
    "fine-tuned": fine_tuned,
    "steps": steps,
    "checking": checking,
}


def _streets(out: Path, count: int) -> Dataset:
    return read_dataset(write_folder(out / "streets", {"train": count, "valid": count}))


def _many_pictures(folder: Path, count: int) -> Path:
    for place in ("images", "labels"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).save(encoded, "JPEG")
    for number in range(count):
        if not (folder / "labels" / f"{number}.txt").exists():
            (folder / "images" / f"{number}.jpg").write_bytes(encoded.getvalue())
            (folder / "labels" / f"{number}.txt").write_text(
                "0 0.5 0.5 0.2 0.3\n1 0.25 0.5 0.1 0.1\n0 0.7 0.7 0.2 0.1\n"
            )
    (folder / "train.txt").write_text("".join(f"images/{number}.jpg\n" for number in range(count)))
    (folder / "many.data").write_text("classes = 2\ntrain = train.txt\n")
    return folder / "many.data"


def _street_cfg() -> Cfg:
    return read_cfg(configs_folder() / "street.cfg")


def _grocery(out: Path, folder: Path | None) -> tuple[Cfg, Dataset, Path]:
    """The network's cfg, its labelled photos, and its weights."""
    if folder is None:
        raise SystemExit("error: --grocery names the folder of the network and its photos")
    names = (folder / "names" / "grocery.names").resolve()
    data = out / "grocery.data"
    text = f"train = {(folder / 'grocery').resolve()}\nvalid = {(folder / 'grocery').resolve()}\nnames = {names}\n"
    write_whole(data, text.encode())
    weights = folder / "weights"
    return read_cfg(weights / f"{GROCERY}.cfg"), read_dataset(data), weights / f"{GROCERY}.weights"


def _new(folder: Path) -> Path:
    """A folder that no training was written to."""
    number = 1
    while (folder / str(number)).exists():
        number += 1
    return folder / str(number)


def _score(dataset: Dataset, model: Path) -> Score:
    report = evaluate_models(replace(dataset, train=()), [model], EvaluationSettings())
    return report.scores[str(model)]


def _shown(score: Score) -> str:
    return f"AP {score.ap:.3f}, AP50 {score.ap50:.3f}"


def _model(network: Any) -> Any:
    import_keras().utils.set_random_seed(0)
    model = build(network)
    initial_weights(network, model, None)
    return model


def _fitted(network: Any, rules: Any) -> Any:
    """The network as a Keras model with this project's loss and optimiser, for `fit`."""
    keras = import_keras()

    base: Any = keras.Model

    class Fitted(base):  # type: ignore[misc]
        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
        ) -> Any:
            targets, truths = y
            return sum(yolo_loss(y_pred, [Target(*one) for one in targets], Truths(*truths), rules).values())

    model = _model(network)
    fitted = Fitted(model.inputs, model.outputs)
    fitted.compile(optimizer=keras.optimizers.AdamW(1e-3, weight_decay=5e-4, global_clipnorm=10.0))
    return fitted


def _feed(batches: list[Any]) -> Any:
    """Prepared batches as `fit` takes them."""
    base: Any = import_keras().utils.PyDataset

    class Feed(base):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> Any:
            one = batches[index]
            targets = tuple((target.found, target.classes, target.place) for target in one.targets)
            return one.pictures, (targets, (one.truths, one.truth_classes))

    return Feed()


if __name__ == "__main__":
    main()
