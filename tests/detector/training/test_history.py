import pytest

from detector.errors import OutputError
from detector.training.history import Row, read_history, write_history

ROWS = [Row(1, 10.5, 0.001, 6.0, 1.0, 2.0, 3.0), Row(2, 20.0, 0.002, 3.0, 0.5, 1.0, 1.5, ap=0.25, ap50=0.5)]


def test_rows_are_read_back(tmp_path):
    write_history(tmp_path / "log.csv", ROWS)

    assert read_history(tmp_path / "log.csv", epochs=9) == ROWS
    assert (tmp_path / "log.csv").read_text().splitlines()[1] == "1,10.5,0.001,6,1,2,3,,"


def test_rows_after_the_checkpoint_are_left_out(tmp_path):
    write_history(tmp_path / "log.csv", ROWS)

    assert read_history(tmp_path / "log.csv", epochs=1) == ROWS[:1]


def test_no_history_is_empty(tmp_path):
    assert read_history(tmp_path / "log.csv", epochs=1) == []


def test_a_damaged_history_is_reported(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,seconds\n1,abc\n")

    with pytest.raises(OutputError, match="not the history of a training"):
        read_history(tmp_path / "log.csv", epochs=1)
