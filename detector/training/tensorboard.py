"""Write the figures of each epoch for TensorBoard, which need not be installed for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.files import make_folder
from detector.training.history import Row

_TAGS = {
    "loss": "loss/all",
    "box": "loss/box",
    "objectness": "loss/objectness",
    "classes": "loss/classes",
    "rate": "learning rate",
    "ap": "validation/AP",
    "ap50": "validation/AP50",
}


class EventWriter:
    """Writes an event file to a folder, from the first epoch on; a resumed run adds another, whose epochs go on."""

    def __init__(self, folder: Path, on_note: Callable[[str], None] = lambda note: None) -> None:
        """Make the folder. Raise `OutputError` or `WriteError`."""
        make_folder(folder)
        self._folder, self._on_note = folder, on_note
        self._writer: Any = None
        self._failed = False

    def write(self, row: Row) -> None:
        """Write the figures of an epoch. An error, as on a full disk, ends the writing but not the training."""
        if self._failed:
            return
        import tensorflow as tf
        from tensorflow.core.framework.summary_pb2 import SummaryMetadata

        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
        try:
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(str(self._folder.absolute()))
            with self._writer.as_default():
                for name, tag in _TAGS.items():
                    value = getattr(row, name)
                    if value is not None:
                        tf.summary.write(tag, tf.constant(value, tf.float32), step=row.epoch, metadata=metadata)
            self._writer.flush()
        except tf.errors.OpError as error:
            self._failed = True
            reason = " ".join(str(error.message).split())[:200]
            self._on_note(f"{self._folder}: cannot be written ({reason}); TensorBoard gets no more figures")
