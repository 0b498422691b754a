import numpy as np
import pytest

from detector.errors import OutputError
from detector.training.checkpoints import STATE, Checkpoint, read_checkpoint, write_checkpoint

CHECKPOINT = Checkpoint(3, 120, 0.25, {"cfg": "abc", "settings": {"batch": 4}})


def test_a_checkpoint_comes_back(tmp_path):
    write_checkpoint(tmp_path, CHECKPOINT, {"weights/0": np.arange(6, dtype=np.float32).reshape(2, 3)})

    checkpoint, state = read_checkpoint(tmp_path)

    assert checkpoint == CHECKPOINT
    assert state["weights/0"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no checkpoint.npz"), (b"", "cannot be resumed"), (b"PK\x03\x04 cut off", "cannot be resumed")],
)
def test_no_checkpoint_is_an_error_in_words(tmp_path, content, words):
    if content is not None:
        (tmp_path / STATE).write_bytes(content)

    with pytest.raises(OutputError, match=words):
        read_checkpoint(tmp_path)
