"""A network of four layers learns squares within seconds: the whole loop, interruptions, a loss of NaN."""

import dataclasses

import numpy as np
import pytest

from convert.cfg import read_cfg
from convert.files import lock_outputs
from convert.model_file import read_description
from detector import Detector
from detector.datasets.dataset import read_dataset
from detector.errors import DatasetError, OutputError, TrainingError
from detector.training.history import read_history
from detector.training.reporting import Reporting, SilentBar
from detector.training.settings import TrainSettings
from detector.training.trainer import train

QUICK = TrainSettings(epochs=3, batch=8, learning_rate=5e-3, warm_up=4, judge_every=3, average=0.5)


@pytest.fixture(scope="module")
def dataset(squares):
    return read_dataset(squares)


def losses(folder):
    return [row.loss for row in read_history(folder / "log.csv", epochs=99)]


def test_the_loss_falls_and_all_files_are_written(dataset, squares_cfg, tmp_path):
    outcome = train(read_cfg(squares_cfg), dataset, tmp_path / "run", QUICK)

    found = losses(tmp_path / "run")
    assert found[-1] < found[0] * 0.8
    rows = read_history(tmp_path / "run" / "log.csv", epochs=99)
    assert [row.ap is None for row in rows] == [True, True, False]
    assert outcome.model == tmp_path / "run" / "best.h5"
    description = read_description(outcome.model)
    assert description.names == ("red", "blue")
    assert description.weights_header.seen == 3 * 32
    assert Detector.open(outcome.model).detect(dataset.train[0].path) is not None


class Killed(BaseException):
    pass


class BrokenBar(SilentBar):
    """Raises `Killed` at an epoch."""

    def __init__(self, things, *, killed_at, **options):
        super().__init__(things)
        if options.get("desc", "").startswith(f"epoch {killed_at}/"):
            raise Killed


class NotANumberBar(SilentBar):
    """Batches without a finite number, from an epoch on."""

    def __init__(self, things, *, first, **options):
        super().__init__(things)
        desc = options.get("desc", "")
        self.spoilt = desc.startswith("epoch") and int(desc.split()[1].split("/")[0]) >= first

    def __iter__(self):
        for batch in super().__iter__():
            yield dataclasses.replace(batch, pictures=batch.pictures * np.nan) if self.spoilt else batch


def with_bar(kind, **fixed):
    return Reporting(bar=lambda things, **options: kind(things, **fixed, **options))


def test_an_interrupted_training_ends_as_an_uninterrupted_one(dataset, squares_cfg, tmp_path):
    cfg = read_cfg(squares_cfg)
    train(cfg, dataset, tmp_path / "whole", QUICK)

    with pytest.raises(Killed):
        train(cfg, dataset, tmp_path / "broken", QUICK, reporting=with_bar(BrokenBar, killed_at=3))
    told = []
    train(cfg, dataset, tmp_path / "broken", QUICK, resume=True, reporting=Reporting(told.append))

    assert "resumes after epoch 2" in told
    assert losses(tmp_path / "broken") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


@pytest.mark.slow
def test_a_finished_training_is_continued_with_more_epochs(dataset, squares_cfg, tmp_path):
    cfg = read_cfg(squares_cfg)
    train(cfg, dataset, tmp_path / "run", QUICK)
    told = []

    train(cfg, dataset, tmp_path / "run", QUICK, resume=True, reporting=Reporting(told.append))
    more = dataclasses.replace(QUICK, epochs=5)
    outcome = train(cfg, dataset, tmp_path / "run", more, resume=True)

    assert "all 3 epochs are done; pass more --epochs to continue" in told
    assert outcome.epochs == 5
    assert len(losses(tmp_path / "run")) == 5


def test_changed_labels_are_noticed_when_resuming(dataset, squares_cfg, tmp_path):
    cfg = read_cfg(squares_cfg)
    train(cfg, dataset, tmp_path / "run", QUICK)
    first = dataset.train[0]
    moved = dataclasses.replace(first, boxes=first.boxes * np.float32(0.99))
    changed = dataclasses.replace(dataset, train=(moved, *dataset.train[1:]))

    with pytest.raises(OutputError, match="another pictures or labels"):
        train(cfg, changed, tmp_path / "run", QUICK, resume=True)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_model(dataset, squares_cfg, tmp_path):
    with pytest.raises(TrainingError, match="learning rate is probably too high") as caught:
        train(read_cfg(squares_cfg), dataset, tmp_path / "run", QUICK, reporting=with_bar(NotANumberBar, first=2))

    assert "last.h5 is the model after epoch 1" in str(caught.value)
    boxes = Detector.open(tmp_path / "run" / "last.h5", confidence=0.0001).detect(dataset.train[0].path)
    assert np.isfinite(boxes.xyxy).all()


def test_a_training_is_not_overwritten(dataset, squares_cfg, tmp_path):
    cfg = read_cfg(squares_cfg)
    one = TrainSettings(epochs=1, batch=32, average=0)
    train(cfg, dataset, tmp_path / "run", one)

    with pytest.raises(OutputError, match="--resume"):
        train(cfg, dataset, tmp_path / "run", one)
    with pytest.raises(OutputError, match="another batch"):
        train(cfg, dataset, tmp_path / "run", TrainSettings(epochs=1, batch=16), resume=True)
    with pytest.raises(OutputError, match="no checkpoint"):
        train(cfg, dataset, tmp_path / "other", one, resume=True)
    (tmp_path / "run" / "checkpoint.npz").unlink()
    with pytest.raises(OutputError, match=r"holds best\.h5, last\.h5, log\.csv of another training"):
        train(cfg, dataset, tmp_path / "run", one, start=tmp_path / "run" / "best.h5")


def test_one_training_at_a_time_in_a_folder(dataset, squares_cfg, tmp_path):
    with lock_outputs(tmp_path / "run" / "checkpoint.npz"), pytest.raises(OutputError, match="another run"):
        train(read_cfg(squares_cfg), dataset, tmp_path / "run", QUICK)


@pytest.mark.slow
def test_a_network_to_start_from_is_evaluated_first_and_is_the_best_until_a_better_one(dataset, squares_cfg, tmp_path):
    cfg = read_cfg(squares_cfg)
    train(cfg, dataset, tmp_path / "one", dataclasses.replace(QUICK, epochs=12, judge_every=12))
    told = []

    worse = dataclasses.replace(QUICK, learning_rate=1.0, epochs=1)
    outcome = train(
        cfg, dataset, tmp_path / "two", worse, start=tmp_path / "one" / "last.h5", reporting=Reporting(told.append)
    )

    before = next(line for line in told if line.startswith("before training: AP 0."))
    assert outcome.best_ap == pytest.approx(float(before.split()[3].strip(",")), abs=1e-3)
    assert outcome.best_ap > 0.02
    assert read_description(outcome.model).weights_header.seen == 0


def test_a_training_stops_when_it_no_longer_improves(dataset, squares_cfg, tmp_path):
    settings = dataclasses.replace(QUICK, epochs=40, learning_rate=1e-9, judge_every=1, patience=2)

    outcome = train(read_cfg(squares_cfg), dataset, tmp_path / "run", settings)

    assert outcome.epochs <= 6


def test_a_training_without_pictures_is_refused(dataset, squares_cfg, tmp_path):
    with pytest.raises(DatasetError, match="no pictures to train on"):
        train(read_cfg(squares_cfg), dataclasses.replace(dataset, train=()), tmp_path / "run", QUICK)


@pytest.mark.slow
def test_multi_scale_training_learns_too(dataset, squares_cfg, tmp_path):
    settings = dataclasses.replace(QUICK, epochs=6, multi_scale=True)

    train(read_cfg(squares_cfg), dataset, tmp_path / "run", settings)

    found = losses(tmp_path / "run")
    assert found[-1] < found[0]


def test_frozen_layers_keep_their_weights(dataset, squares_cfg, tmp_path):
    from convert.model_file import read_variables

    cfg = read_cfg(squares_cfg)
    for epochs in (1, 2):
        settings = TrainSettings(epochs=epochs, batch=32, freeze=2, average=0, seed=4)
        train(cfg, dataset, tmp_path / str(epochs), settings)
    one, two = (read_variables(tmp_path / str(epochs) / "last.h5") for epochs in (1, 2))

    assert np.array_equal(one("conv_1", "kernel"), two("conv_1", "kernel"))
    assert not np.array_equal(one("conv_2", "kernel"), two("conv_2", "kernel"))
