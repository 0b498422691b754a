"""A network of four layers learns squares within seconds: the whole loop, its interruption, its end in NaN."""

import numpy as np
import pytest

from convert.cfg import read_cfg
from convert.model_file import read_description
from detector import Detector
from detector.datasets.dataset import read_dataset
from detector.errors import OutputError, TrainingError
from detector.training import trainer
from detector.training.history import read_history
from detector.training.settings import TrainSettings
from detector.training.trainer import train

QUICK = TrainSettings(epochs=3, batch=8, learning_rate=5e-3, warm_up=4, judge_every=3, average=0.5)


@pytest.fixture(scope="module")
def dataset(squares):
    return read_dataset(squares)


def losses(folder):
    return [row.loss for row in read_history(folder / "log.csv", epochs=99)]


def test_the_loss_falls_and_everything_is_left_behind(dataset, squares_cfg, tmp_path):
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


def test_an_interrupted_training_ends_as_an_uninterrupted_one(dataset, squares_cfg, tmp_path, monkeypatch):
    cfg = read_cfg(squares_cfg)
    train(cfg, dataset, tmp_path / "whole", QUICK)

    class Killed(BaseException):
        pass

    write = trainer.write_checkpoint

    def killed_after_two(folder, checkpoint, state):
        write(folder, checkpoint, state)
        if checkpoint.epoch == 2:
            raise Killed

    monkeypatch.setattr(trainer, "write_checkpoint", killed_after_two)
    with pytest.raises(Killed):
        train(cfg, dataset, tmp_path / "broken", QUICK)
    monkeypatch.undo()
    told = []
    train(cfg, dataset, tmp_path / "broken", QUICK, resume=True, on_note=told.append)

    assert "goes on after epoch 2" in told
    assert losses(tmp_path / "broken") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


def test_a_loss_that_is_no_number_ends_it_with_the_last_model_kept(dataset, squares_cfg, tmp_path, monkeypatch):
    real = trainer.learning_rate
    monkeypatch.setattr(
        trainer, "learning_rate", lambda step, *others: real(step, *others) if step < 5 else float("nan")
    )

    with pytest.raises(TrainingError, match="learning rate is probably too high") as caught:
        train(read_cfg(squares_cfg), dataset, tmp_path / "run", QUICK)

    assert "last.h5 is the model after epoch 1" in str(caught.value)
    boxes = Detector.open(tmp_path / "run" / "last.h5", confidence=0.0001).detect(dataset.train[0].path)
    assert np.isfinite(boxes.xyxy).all()


def test_a_training_is_not_written_over(dataset, squares_cfg, tmp_path):
    cfg = read_cfg(squares_cfg)
    one = TrainSettings(epochs=1, batch=32, average=0)
    train(cfg, dataset, tmp_path / "run", one)

    with pytest.raises(OutputError, match="--resume"):
        train(cfg, dataset, tmp_path / "run", one)
    with pytest.raises(OutputError, match="another batch"):
        train(cfg, dataset, tmp_path / "run", TrainSettings(epochs=1, batch=16), resume=True)
    with pytest.raises(OutputError, match="no checkpoint"):
        train(cfg, dataset, tmp_path / "other", one, resume=True)


def test_frozen_layers_keep_their_weights(dataset, squares_cfg, tmp_path):
    from convert.model_file import read_variables

    cfg = read_cfg(squares_cfg)
    for epochs in (1, 2):
        settings = TrainSettings(epochs=epochs, batch=32, freeze=2, average=0, seed=4)
        train(cfg, dataset, tmp_path / str(epochs), settings)
    one, two = (read_variables(tmp_path / str(epochs) / "last.h5") for epochs in (1, 2))

    assert np.array_equal(one("conv_1", "kernel"), two("conv_1", "kernel"))
    assert not np.array_equal(one("conv_2", "kernel"), two("conv_2", "kernel"))
