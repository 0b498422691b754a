"""The training loop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from convert.cfg import Cfg
from convert.conversion import trained_resize
from convert.keras_import import import_keras
from convert.model_file import Description
from convert.network import Network, build, plan
from convert.weights import Header
from detector.datasets.dataset import Dataset
from detector.detector import Detector
from detector.engines.base import Engine
from detector.errors import OutputError, TrainingError
from detector.evaluation.average_precision import LOWEST_CONFIDENCE, Score, evaluate
from detector.evaluation.ground_truth import example_truth, picture_reader
from detector.settings import Settings
from detector.training.checkpoints import (
    BEST,
    LAST,
    STATE,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
    write_model,
)
from detector.training.data_loader import DataLoader
from detector.training.history import Row, read_history, write_history
from detector.training.initial_weights import begin, check_classes, check_freeze, read_start
from detector.training.schedule import learning_rate
from detector.training.settings import TrainSettings
from detector.training.step import TERMS, Stepper
from detector.training.targets import read_rules

HISTORY = "log.csv"
_LOSSES_SHOWN = 50
_MOST_BAD_STEPS = 3

Tell = Callable[[str], None]
Bar = Callable[..., Any]


@dataclass(frozen=True)
class Outcome:
    """What a training came to."""

    epochs: int
    best_ap: float
    model: Path
    """The best one."""


def train(
    cfg: Cfg,
    dataset: Dataset,
    out: Path,
    settings: TrainSettings,
    *,
    start: Path | None = None,
    resume: bool = False,
    on_note: Tell = lambda note: None,
    bar: Bar = lambda things, **options: things,
) -> Outcome:
    """Train a network and leave `best.h5`, `last.h5`, `log.csv` and the state to resume from in `out`.

    `bar` wraps the batches of an epoch as tqdm does. The same seed gives the same pictures in the same order,
    also across an interruption. Raises `TrainingError` when the loss is no number; the last checkpoint is kept.
    """
    check_classes(cfg, dataset.names)
    network = plan(cfg)
    read_rules(network)
    check_freeze(network, settings.freeze)
    identity = _identity(cfg, dataset, settings)
    lock_outputs = _resumed(out, identity) if resume else None
    if lock_outputs is None and (out / STATE).exists():
        raise OutputError(f"{out}: holds a training already; pass --resume to go on with it, or choose another --out")
    given = read_start(start, network) if start and lock_outputs is None else None
    if given:
        on_note(given.note)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    import_keras().utils.set_random_seed(settings.seed)
    model = build(network)
    begin(network, model, given)
    _freeze(network, model, settings.freeze)
    run = _Run(network, model, dataset, out, settings, on_note, bar)
    if lock_outputs:
        run.go_on(*lock_outputs)
    return run.to_the_end(identity)


class _Run:
    def __init__(
        self,
        network: Network,
        model: Any,
        dataset: Dataset,
        out: Path,
        settings: TrainSettings,
        on_note: Tell,
        bar: Bar,
    ) -> None:
        self.network, self.model, self.dataset, self.out = network, model, dataset, out
        self.settings, self.on_note, self.bar = settings, on_note, bar
        picture, resize = network.picture, trained_resize(network.cfg)[0]
        rules = read_rules(network)
        size = {"width": picture.width, "height": picture.height}
        self.description = describe_untrained(network, dataset.names, resize)
        self.feed = DataLoader(dataset.train, rules, settings, **size, resize=resize)  # type: ignore[arg-type]
        momentum = network.cfg.net.number("momentum", 0.9)
        self.stepper = Stepper(model, rules, settings, momentum=momentum, **size)
        self.rows: list[Row] = []
        self.checkpoint = Checkpoint(0, 0, -1.0, {})
        self.bad_steps = 0

    def go_on(self, checkpoint: Checkpoint, state: dict[str, Any]) -> None:
        """Take up the state that an earlier run has left."""
        try:
            self.stepper.restore(state)
        except (KeyError, ValueError) as error:
            raise OutputError(f"{self.out / STATE}: is another network's ({error})") from None
        self.rows = read_history(self.out / HISTORY, epochs=checkpoint.epoch)
        self.checkpoint = checkpoint
        self.on_note(f"goes on after epoch {checkpoint.epoch}")

    def to_the_end(self, identity: dict[str, Any]) -> Outcome:
        """All epochs that are left."""
        before = self.rows[-1].seconds if self.rows else 0.0
        started = monotonic()
        best, step = self.checkpoint.best_ap, self.checkpoint.step
        for epoch in range(self.checkpoint.epoch, self.settings.epochs):
            step, row = self._epoch(epoch, step)
            row = replace(row, seconds=before + monotonic() - started)
            last = epoch + 1 == self.settings.epochs
            weights, state = self.stepper.averaged(), self.stepper.state()
            if not all(np.isfinite(part).all() for part in state.values()):
                raise self._diverged(epoch, "after its last step: some weights are no numbers")
            seen = step * self.settings.batch
            if last or (epoch + 1) % self.settings.judge_every == 0:
                figures = self._judge(weights)
                row = replace(row, ap=figures.ap, ap50=figures.ap50)
                self.on_note(f"epoch {epoch + 1}: loss {row.loss:.3f}, AP {figures.ap:.3f}, AP50 {figures.ap50:.3f}")
                if figures.ap > best or not (self.out / BEST).exists():
                    best = figures.ap
                    write_model(self.out / BEST, self.model, weights, self.description, pictures_seen=seen)
            self.rows.append(row)
            write_history(self.out / HISTORY, self.rows)
            write_model(self.out / LAST, self.model, weights, self.description, pictures_seen=seen)
            write_checkpoint(self.out, Checkpoint(epoch + 1, step, best, identity), state)
        return Outcome(self.settings.epochs, best, self.out / BEST)

    def _epoch(self, epoch: int, step: int) -> tuple[int, Row]:
        steps = self.settings.epochs * self.feed.steps
        losses: list[Any] = []
        rate = 0.0
        batches = self.bar(
            self.feed.epoch(epoch),
            total=self.feed.steps,
            desc=f"epoch {epoch + 1}/{self.settings.epochs}",
            unit="batch",
        )
        for batch in batches:
            rate = learning_rate(step, steps, self.settings, self.network.cfg.net)
            values = self.stepper.run(batch, rate=rate, number=step)
            self._check(values, epoch, step)
            step += 1
            if values[-1]:
                losses.append(values[:-1])
            if hasattr(batches, "set_postfix"):
                mean = np.mean(losses[-_LOSSES_SHOWN:], axis=0) if losses else np.zeros(len(TERMS))
                batches.set_postfix(
                    loss=f"{mean.sum():.3f}",
                    **{name: f"{term:.3f}" for name, term in zip(TERMS, mean, strict=True)},
                    refresh=False,
                )
        if not losses:
            raise self._diverged(epoch, f"step {step}: the loss was a number in no step")
        box, objectness, classes = (float(term) for term in np.mean(losses, axis=0))
        return step, Row(epoch + 1, 0.0, rate, box + objectness + classes, box, objectness, classes)

    def _check(self, values: Any, epoch: int, step: int) -> None:
        """A step that is not finite changes nothing; several running end the training."""
        self.bad_steps = 0 if values[-1] else self.bad_steps + 1
        if self.bad_steps >= _MOST_BAD_STEPS:
            terms = ", ".join(f"{name} {value:g}" for name, value in zip(TERMS, values, strict=False))
            raise self._diverged(epoch, f"step {step + 1}: the loss is no number ({terms})")

    def _diverged(self, epoch: int, what: str) -> TrainingError:
        kept = f"{self.out / LAST} is the model after epoch {epoch}" if epoch else "no epoch was finished"
        return TrainingError(
            f"epoch {epoch + 1}, {what}; {kept}. The learning rate is probably too high "
            f"({self.settings.learning_rate:g}): try a tenth of it, or a longer warm-up. Anchors far from the boxes' "
            "sizes can be the cause too: see yolo3 anchors"
        )

    def _judge(self, weights: list[Any]) -> Score:
        present = [np.asarray(variable) for variable in self.model.weights]
        for variable, value in zip(self.model.weights, weights, strict=True):
            variable.assign(value)
        try:
            settings = Settings(confidence=LOWEST_CONFIDENCE * 5)
            detector = Detector(self.description, _ModelEngine(self.model), settings)
            readers = [picture_reader(example) for example in self.dataset.valid]
            truths = [example_truth(example) for example in self.dataset.valid]
            return evaluate(readers, truths, detector.detect, self.dataset.names, progress=self._judging)[0]
        finally:
            for variable, value in zip(self.model.weights, present, strict=True):
                variable.assign(value)

    def _judging(self, things: Iterable[Any]) -> Any:
        return self.bar(things, desc="judging", unit="picture")


class _ModelEngine(Engine):
    """An engine around a model that is being trained."""

    name = "keras"

    def __init__(self, model: Any) -> None:
        self._model = model

    def run(self, batch: Any) -> list[Any]:
        outputs = self._model.predict_on_batch(batch)
        return outputs if isinstance(outputs, list) else [outputs]


def describe_untrained(network: Network, names: tuple[str, ...], resize: str) -> Description:
    """What the model files of a training say of themselves: there are no Darknet weights that they came from."""
    return Description(
        cfg=network.cfg.text,
        cfg_sha256=hashlib.sha256(network.cfg.text.encode()).hexdigest(),
        weights_sha256="",
        width=network.picture.width,
        height=network.picture.height,
        channels=network.picture.channels,
        resize=resize,
        names=names,
        heads=tuple(layer.head for layer in network.outputs if layer.head),
        fixed_size=network.fixed_size,
        weights_header=Header(),
    )


def _identity(cfg: Cfg, dataset: Dataset, settings: TrainSettings) -> dict[str, Any]:
    """What must be the same when a training is resumed."""
    listed = "\n".join(str(example.path) for example in dataset.train)
    return {
        "cfg": hashlib.sha256(cfg.text.encode()).hexdigest(),
        "data": hashlib.sha256(listed.encode()).hexdigest(),
        "settings": settings.as_json(),
    }


def _resumed(out: Path, identity: dict[str, Any]) -> tuple[Checkpoint, dict[str, Any]]:
    checkpoint, state = read_checkpoint(out)
    was = checkpoint.identity
    changed = [key for key in ("cfg", "data") if was.get(key) != identity[key]]
    now_settings, then = identity["settings"], was.get("settings", {})
    changed += [key for key in now_settings if then.get(key) != now_settings[key] and key != "judge_every"]
    if changed:
        raise OutputError(
            f"{out}: the training there had another {', another '.join(changed)}; resume it as it was begun, "
            "or start a new one in another --out"
        )
    return checkpoint, state


def _freeze(network: Network, model: Any, count: int) -> None:
    kept = {parameter.keras_layer for layer in network.layers[:count] for parameter in layer.parameters}
    for name in kept:
        model.get_layer(name).trainable = False
