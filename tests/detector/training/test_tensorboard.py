import pytest

from detector.errors import OutputError
from detector.training.history import Row
from detector.training.tensorboard import EventWriter

ROWS = [Row(1, 2.0, 0.001, 9.0, 4.0, 3.0, 2.0), Row(2, 4.0, 0.0005, 6.0, 3.0, 2.0, 1.0, ap=0.25, ap50=0.5)]


def test_tensorboard_reads_every_figure_of_every_epoch(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator").EventAccumulator
    for row in ROWS:  # two runs, as after a --resume
        EventWriter(tmp_path / "ein Ordner ü").write(row)

    events = accumulator(str(tmp_path / "ein Ordner ü"))
    events.Reload()

    tags = events.Tags()["tensors"] + events.Tags()["scalars"]
    assert sorted(tags) == [
        "learning rate",
        "loss/all",
        "loss/box",
        "loss/classes",
        "loss/objectness",
        "validation/AP",
        "validation/AP50",
    ]


def test_figures_have_their_epochs(tmp_path):
    import tensorflow as tf
    from tensorflow.core.util.event_pb2 import Event

    writer = EventWriter(tmp_path)
    for row in ROWS:
        writer.write(row)

    (path,) = tmp_path.iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name in ("scalars", "")
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    assert found["loss/all", 1] == 9.0
    assert found["loss/all", 2] == 6.0
    assert found["validation/AP50", 2] == 0.5
    assert ("validation/AP50", 1) not in found


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "taken").write_text("mine")

    with pytest.raises(OutputError, match="taken"):
        EventWriter(tmp_path / "taken")

    assert (tmp_path / "taken").read_text() == "mine"


def test_a_folder_that_vanishes_ends_the_writing_with_a_note(tmp_path):
    notes = []
    writer = EventWriter(tmp_path / "runs", notes.append)
    (tmp_path / "runs").rmdir()
    (tmp_path / "runs").write_text("a file now")

    for row in ROWS:
        writer.write(row)

    assert len(notes) == 1
    assert "TensorBoard gets no more figures" in notes[0]
