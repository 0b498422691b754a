"""The training loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Cfg
from convert.conversion import trained_resize
from convert.files import lock_outputs, make_folder
from convert.keras_import import import_keras
from convert.network import Network, build, plan
from detector.datasets.examples import Dataset
from detector.errors import DatasetError, OutputError, TrainingError
from detector.images.modes import Resize
from detector.images.reading import write_picture
from detector.training.anchors import AnchorRequest, anchor_note
from detector.training.batch_norm import BatchStatistics, statistics_of
from detector.training.checkpoints import (
    BEST,
    EXAMPLES,
    HISTORY,
    LAST,
    PLOT,
    STATE,
    Checkpoint,
    Identity,
    RunSource,
    check_new,
    read_checkpoint,
    read_identity,
    write_checkpoint,
    write_model,
)
from detector.training.class_weights import class_weights, weights_note
from detector.training.data_loader import DataLoader, InputShape
from detector.training.evaluating import Evaluator
from detector.training.history import Row, read_history, write_history
from detector.training.initial_weights import (
    Start,
    check_classes,
    check_trainable,
    fixed_notes,
    freeze_layers,
    initial_weights,
    read_start,
)
from detector.training.plots import plot_history
from detector.training.reporting import Bar, Reporting
from detector.training.schedule import learning_rate, warm_up_steps
from detector.training.settings import TrainSettings
from detector.training.step import TERMS, Stepper
from detector.training.targets import HeadRules, read_rules

_LOSSES_SHOWN = 50
_MOST_BAD_STEPS = 3
_LEAST_STATISTICS, _MOST_STATISTICS = 8, 32
"""Number of batches from which the statistics of batch normalisation are estimated before an evaluation."""

_PLOT_PAUSE_SECONDS = 20.0

_WEIGHTS = "class_weights"

State = dict[str, NDArray[Any]]
_NO_SOURCE, _SILENT = RunSource(), Reporting()


@dataclass(frozen=True)
class Outcome:
    """The result of a training run."""

    epochs: int
    """Epochs done."""

    best_ap: float
    model: Path
    """The model with the best average precision."""


def train(
    cfg: Cfg,
    dataset: Dataset,
    out: Path,
    settings: TrainSettings,
    *,
    start: Path | None = None,
    resume: bool = False,
    source: RunSource = _NO_SOURCE,
    reporting: Reporting = _SILENT,
) -> Outcome:
    """Train a network; write `best.h5`, `last.h5`, `log.csv`, `log.png` and the state to resume from to `out`.

    The same seed gives the same images in the same order, also across an interruption. Raise `TrainingError` when the
    loss is not finite (the last checkpoint is kept), `OutputError` if `out` contains another training run.
    """
    if not dataset.train:
        raise DatasetError("no pictures to train on; expected train= in the .data file")
    check_classes(cfg, dataset.names)
    network = plan(cfg)
    rules = read_rules(network)
    check_trainable(network, settings)
    if resume:
        stored = read_identity(out).settings
        settings = replace(
            settings,
            batch=settings.batch or stored.batch,
            learning_rate=settings.learning_rate or stored.learning_rate,
        )
    settings = settings.for_run(len(dataset.train), trained=start is not None)
    identity = Identity.of(cfg, dataset, settings, source)
    with lock_outputs(out / STATE):
        if resume:
            resumed = _resumed(out, identity)
        else:
            check_new(out)
            resumed = None
        rules = _with_settings(rules, settings, _weights(dataset, settings, resumed))
        given = read_start(start, network) if start and resume is False else None
        make_folder(out)
        import_keras().utils.set_random_seed(settings.seed)
        model = build(network)
        kept = initial_weights(network, model, given)
        freeze_layers(network, model, settings.freeze)
        run = _Run(network, model, rules, dataset, out, identity, reporting)
        if resumed:
            run.resume(*resumed)
        else:
            reporting.note_if(weights_note(rules[0].class_weights, dataset.names))
            reporting.note_if(anchor_note(dataset.train, rules, AnchorRequest.of(cfg)))
            run.begin(given, kept)
        return run.finish()


class _Run:
    """A training run from its first or next epoch to its last."""

    def __init__(
        self,
        network: Network,
        model: Any,
        rules: tuple[HeadRules, ...],
        dataset: Dataset,
        out: Path,
        identity: Identity,
        reporting: Reporting,
    ) -> None:
        self.network, self.model, self.out, self.identity = network, model, out, identity
        self.settings, self.reporting, self.rules = identity.settings, reporting, rules
        resize = cast(Resize, trained_resize(network.cfg)[0])
        shape = InputShape(network.picture.width, network.picture.height, resize)
        self.description = network.describe(dataset.names, resize)
        self.loader = DataLoader(dataset.train, rules, self.settings, shape)
        self.stepper = Stepper(model, rules, self.settings, momentum=network.cfg.net.number("momentum", 0.9))
        self.evaluator = Evaluator(model, self.description, dataset, reporting.bar)
        self.statistics = BatchStatistics(model, {})
        self.kept: dict[str, NDArray[np.float32]] = {}
        self.rows: list[Row] = []
        self.checkpoint = Checkpoint(0, 0, -1.0, identity)
        self.bad_steps = 0
        self.plotted = -_PLOT_PAUSE_SECONDS

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return self.settings.epochs * self.loader.steps

    def begin(self, start: Start | None, kept: dict[str, NDArray[np.float32]]) -> None:
        """Prepare a new run; one that starts from a complete network is evaluated first."""
        self.kept = kept
        note = self.reporting.on_note
        for sentence in fixed_notes(self.network, self.settings):
            note(sentence)
        warm_up = warm_up_steps(self.steps, self.settings)
        if warm_up < self.settings.warm_up:
            note(f"warm-up of {warm_up} steps instead of {self.settings.warm_up}: a tenth of the {self.steps} steps")
        if start is None:
            return
        note(start.note)
        given = {
            part.keras_layer
            for layer, arrays in zip(self.network.layers, start.arrays, strict=True)
            if arrays is not None
            for part in layer.parameters
        }
        self.statistics = BatchStatistics(self.model, statistics_of(self.model, given))
        if start.complete:
            score = self.evaluator.evaluate()
            note(f"before training: AP {score.ap:.3f}, AP50 {score.ap50:.3f}")
            self._write(BEST, 0)
            self.checkpoint = replace(self.checkpoint, best_ap=score.ap)

    def resume(self, checkpoint: Checkpoint, state: State) -> None:
        """Continue from the state of an earlier run."""
        try:
            self.stepper.restore(state)
        except (KeyError, ValueError) as error:
            raise OutputError(f"{self.out / STATE}: belongs to another network ({error})") from None
        self.statistics.restore(state)
        self.kept = {name.removeprefix("kept/"): state[name] for name in state if name.startswith("kept/")}
        self.rows = read_history(self.out / HISTORY, epochs=checkpoint.epoch)
        self.checkpoint = replace(checkpoint, identity=self.identity)
        self.reporting.on_note(f"resumes after epoch {checkpoint.epoch}")

    def finish(self) -> Outcome:
        """Train the remaining epochs."""
        before = self.rows[-1].seconds if self.rows else 0.0
        started = monotonic()
        done = self.checkpoint.epoch
        if done >= self.settings.epochs:
            self.reporting.on_note(f"all {done} epochs are done; pass more --epochs to continue")
        for epoch in range(done, self.settings.epochs):
            if self._stalled():
                self.reporting.on_note(f"stops early: no better AP in {self.settings.patience} epochs")
                break
            step, row = self._epoch(epoch, self.checkpoint.step)
            self._save(step, replace(row, seconds=before + monotonic() - started))
        if self.rows:
            self._plot(at_once=True)
        return Outcome(self.checkpoint.epoch, self.checkpoint.best_ap, self.out / BEST)

    def _save(self, step: int, row: Row) -> None:
        """Evaluate if it is due, and write the models, the history and the checkpoint of an epoch."""
        epoch, best = row.epoch, self.checkpoint.best_ap
        state = {**self.stepper.state(), **self.statistics.state()}
        state |= {f"kept/{name}": values for name, values in self.kept.items()}
        state[_WEIGHTS] = np.array(self.rules[0].class_weights)
        if not all(np.isfinite(part).all() for part in state.values()):
            raise self._diverged(epoch - 1, "after its last step: some weights are not finite")
        evaluated = epoch == self.settings.epochs or epoch % self.settings.judge_every == 0
        with self.stepper.averaged():
            self._estimate_statistics(epoch, step, evaluated)
            if evaluated:
                score = self.evaluator.evaluate()
                row = replace(row, ap=score.ap, ap50=score.ap50)
                write_picture(self.out / EXAMPLES, self.evaluator.example_sheet())
                self.reporting.on_note(f"epoch {epoch}: loss {row.loss:.3f}, AP {score.ap:.3f}, AP50 {score.ap50:.3f}")
                if score.ap > best or not (self.out / BEST).exists():
                    best = score.ap
                    self._write(BEST, step)
            self._write(LAST, step)
        self.rows.append(row)
        write_history(self.out / HISTORY, self.rows)
        self._plot()
        self.checkpoint = Checkpoint(epoch, step, best, self.identity)
        write_checkpoint(self.out, self.checkpoint, state)
        self.reporting.on_epoch(row)

    def _estimate_statistics(self, epoch: int, step: int, evaluated: bool) -> None:
        least = _LEAST_STATISTICS if evaluated else 1
        count = min(_MOST_STATISTICS, max(least, self.loader.steps // 4))
        self.statistics.estimate(self.loader.pictures(epoch, count), step=step)

    def _write(self, name: str, step: int) -> None:
        seen = step * self.settings.batch
        write_model(self.out / name, self.model, self.description, kept=self.kept, pictures_seen=seen)

    def _plot(self, *, at_once: bool = False) -> None:
        if at_once or monotonic() - self.plotted >= _PLOT_PAUSE_SECONDS:
            plot_history(self.out / PLOT, self.rows)
            self.plotted = monotonic()

    def _stalled(self) -> bool:
        """Return whether the best average precision is older than the patience."""
        evaluated = [row for row in self.rows if row.ap is not None]
        if not self.settings.patience or not evaluated:
            return False
        best = max(evaluated, key=lambda row: (row.ap or 0.0, -row.epoch))
        since = best.epoch if (best.ap or 0.0) >= self.checkpoint.best_ap else 0
        return self.rows[-1].epoch - since >= self.settings.patience

    def _epoch(self, epoch: int, step: int) -> tuple[int, Row]:
        losses: list[Any] = []
        rate = 0.0
        batches: Bar = self.reporting.bar(
            self.loader.epoch(epoch),
            total=self.loader.steps,
            desc=f"epoch {epoch + 1}/{self.settings.epochs}",
            unit="batch",
        )
        for batch in batches:
            rate = learning_rate(step, self.steps, self.settings, self.network.cfg.net)
            values = self.stepper.run(batch, rate=rate, number=step)
            self._check(values, epoch, step)
            step += 1
            if values[-1]:
                losses.append(values[:-1])
            mean = np.mean(losses[-_LOSSES_SHOWN:], axis=0) if losses else np.zeros(len(TERMS))
            terms = {name: f"{term:.3f}" for name, term in zip(TERMS, mean, strict=True)}
            batches.set_postfix(loss=f"{mean.sum():.3f}", **terms, refresh=False)
        if not losses:
            raise self._diverged(epoch, f"step {step}: the loss was finite in no step")
        box, objectness, classes = (float(term) for term in np.mean(losses, axis=0))
        return step, Row(epoch + 1, 0.0, rate, box + objectness + classes, box, objectness, classes)

    def _check(self, values: Any, epoch: int, step: int) -> None:
        """Count consecutive steps that are not finite, which change nothing; too many end the run."""
        self.bad_steps = 0 if values[-1] else self.bad_steps + 1
        if self.bad_steps >= _MOST_BAD_STEPS:
            terms = ", ".join(f"{name} {value:g}" for name, value in zip(TERMS, values, strict=False))
            raise self._diverged(epoch, f"step {step + 1}: the loss is not finite ({terms})")

    def _diverged(self, epoch: int, what: str) -> TrainingError:
        kept = f"{self.out / LAST} is the model after epoch {epoch}" if epoch else "no epoch was finished"
        return TrainingError(
            f"epoch {epoch + 1}, {what}; {kept}. The learning rate is probably too high "
            f"({self.settings.learning_rate:g}): try a tenth of it, or a longer warm-up. Anchors far from the boxes' "
            "sizes can be the cause too: see yolo3 anchors"
        )


def _weights(dataset: Dataset, settings: TrainSettings, resumed: tuple[Checkpoint, State] | None) -> tuple[float, ...]:
    """Return the class weights; those that a resumed run began with, so that its file may be gone."""
    if resumed is None:
        return class_weights(settings.class_weights, dataset)
    return tuple(resumed[1].get(_WEIGHTS, np.zeros(0)).tolist())


def _with_settings(
    rules: tuple[HeadRules, ...], settings: TrainSettings, weights: tuple[float, ...]
) -> tuple[HeadRules, ...]:
    """Return the rules with what the settings say beside the cfg."""
    smoothing = settings.label_smoothing
    return tuple(
        replace(
            rule,
            class_weights=weights,
            label_smooth_eps=rule.label_smooth_eps if smoothing is None else smoothing,
        )
        for rule in rules
    )


def _resumed(out: Path, identity: Identity) -> tuple[Checkpoint, State]:
    checkpoint, state = read_checkpoint(out)
    changed = checkpoint.identity.differences(identity)
    if changed:
        raise OutputError(
            f"{out}: the training there had another {', another '.join(changed)}; resume it with the original "
            "options, or start a new one in another --out"
        )
    return checkpoint, state
