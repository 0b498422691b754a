"""The way back to Darknet. Its bytes are compared for every section kind in test_sections.py."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import pytest

from convert.errors import ModelFileError, OutputError, WriteError
from convert.export import export_weights


def test_both_files_are_restored(small, small_h5: Path, tmp_path: Path) -> None:
    cfg, weights = tmp_path / "new" / "back.cfg", tmp_path / "new" / "back.weights"
    assert export_weights(str(small_h5), str(cfg), str(weights)) == small.floats
    assert cfg.read_bytes() == small.cfg.read_bytes()
    assert weights.read_bytes() == small.weights.read_bytes()
    assert sorted(os.listdir(tmp_path / "new")) == ["back.cfg", "back.weights"]  # noqa: PTH208


@pytest.mark.parametrize("taken", ["back.cfg", "back.weights"])
def test_nothing_is_replaced(taken: str, small_h5: Path, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("mine")
    with pytest.raises(OutputError, match=rf"{taken}: exists already"):
        export_weights(small_h5, tmp_path / "back.cfg", tmp_path / "back.weights")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_the_same_name_for_both_is_refused(small_h5: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(OutputError, match="need different names"):
        export_weights(small_h5, tmp_path / "back", tmp_path / "sub" / ".." / "back")
    with pytest.raises(OutputError, match="is the input"):
        export_weights(small_h5, small_h5, tmp_path / "back")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full plays the full disk")
@pytest.mark.parametrize("full", ["cfg", "weights"])
def test_a_full_disk_leaves_neither_file(full: str, small_h5: Path, tmp_path: Path) -> None:
    paths = {kind: tmp_path / f"back.{kind}" for kind in ("cfg", "weights")} | {full: Path("/dev/full")}
    with pytest.raises(WriteError, match="could not be written: No space left"):
        export_weights(small_h5, paths["cfg"], paths["weights"])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_refused(small_h5: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    shutil.copy(small_h5, path)
    data = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        data[file["model_weights/conv_0/conv_0/kernel"].id.get_offset()] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="its numbers differ from those that were written"):
        export_weights(path, tmp_path / "back.cfg", tmp_path / "back.weights")
    assert [file.name for file in tmp_path.iterdir()] == ["model.h5"]
