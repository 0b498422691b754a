"""HDF5 files that are damaged, or made to do harm, next to sound ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convert import hdf5
from convert.errors import ModelFileError
from convert.export import export_weights
from convert.hdf5 import HEAP, check_storage, content_sha256, opened
from convert.model_file import DIGEST, check_layers, read_description, read_variables

TEXTS = ("yolo3", "model_config")
FIRST = "model_weights/conv_0/conv_0/kernel"


@pytest.fixture
def model(small_h5: Path, tmp_path: Path) -> Path:
    """A copy of a sound model, to be changed."""
    return Path(shutil.copy(small_h5, tmp_path / "model.h5"))


def changed(model: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(model, "r+") as file:
        change(file)


def replaced(file: h5py.File, **options: Any) -> None:
    """The first kernel again, stored in another way."""
    values = file[FIRST][()]
    del file[FIRST]
    options.setdefault("data", values)
    file.create_dataset(FIRST, **options)


def external(file: h5py.File) -> None:
    secret = Path(file.filename).with_name("secret")
    secret.write_bytes(b"my private key" * 100)
    replaced(file, data=None, shape=(3, 3, 3, 8), dtype="<f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 3, 3, 8), "<f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", (3, 3, 3, 8))
    del file[FIRST]
    file.create_virtual_dataset(FIRST, layout)


def unallocated(file: h5py.File) -> None:
    replaced(file, data=None, shape=(1 << 40,), dtype="<f4")


def chunk_bomb(file: h5py.File) -> None:
    replaced(file, data=None, shape=(1 << 34,), dtype="<f4", chunks=(1 << 20,), compression="gzip", fillvalue=1.0)


def linked_twice(file: h5py.File) -> None:
    file["model_weights/conv_0/again"] = file[FIRST]


def circle(file: h5py.File) -> None:
    file["model_weights/conv_0/up"] = file["model_weights"]


def soft(file: h5py.File) -> None:
    file["model_weights/conv_0/soft"] = h5py.SoftLink("/" + FIRST)


def elsewhere(file: h5py.File) -> None:
    file["model_weights/conv_0/out"] = h5py.ExternalLink("other.h5", "/")


def texts(file: h5py.File) -> None:
    replaced(file, data=np.array([b"x" * 100] * 54, object), dtype=h5py.string_dtype())


def types(file: h5py.File) -> None:
    file["a_type"] = np.dtype("<f4")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(external, "is stored in another file", id="external storage"),
        pytest.param(virtual, "is stored in another file", id="virtual data set"),
        pytest.param(unallocated, "has 0 bytes of 4398046511104", id="4 TiB that are not there"),
        pytest.param(chunk_bomb, "in chunks or compressed", id="64 GiB in a compressed chunk"),
        pytest.param(linked_twice, "is stored twice", id="hard link"),
        pytest.param(circle, "is stored twice", id="circle"),
        pytest.param(soft, "is a link to another location", id="soft link"),
        pytest.param(elsewhere, "is a link to another location", id="external link"),
        pytest.param(texts, "contains object instead of numbers", id="texts"),
        pytest.param(types, "/a_type is not an array", id="a type"),
    ],
)
def test_what_keras_never_writes_is_refused(
    change: Callable[[h5py.File], None], words: str, model: Path, tmp_path: Path
) -> None:
    changed(model, change)
    for read in (check_layers, read_variables):
        with pytest.raises(ModelFileError, match=words):
            read(model)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(ModelFileError, match=words):
        export_weights(model, tmp_path / "out.cfg", tmp_path / "out.weights")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_attribute_of_many_long_texts_is_refused(model: Path) -> None:
    """Each of 4,000 texts is the same megabyte of the file: 4 GB when they are read."""
    with h5py.File(model, "r+") as file:
        file.attrs["notes"] = "x" * (1 << 20)
        names = np.array(["x"] * 4000, object)
        file["model_weights"].attrs.create("names", names, dtype=h5py.string_dtype())
    with pytest.raises(ModelFileError, match=r"claims to contain 4000 texts of 10[0-9]{5} bytes each"):
        check_layers(model)


def test_many_short_texts_in_a_large_file_are_fine(model: Path) -> None:
    with h5py.File(model, "r+") as file:
        names = np.array(["x"] * 4000, object)
        file["model_weights"].attrs.create("names", names, dtype=h5py.string_dtype())
        file["model_weights/large"] = np.zeros(1 << 20)
    with opened(model) as file:
        check_storage(file)


def test_an_attribute_larger_than_the_file_is_refused(model: Path) -> None:
    with h5py.File(model, "r+") as file:
        space = h5py.h5s.create_simple((1 << 12,))
        h5py.h5a.create(file.id, b"long", h5py.h5t.py_create("S15"), space)
    with model.open("r+b") as file:
        data = file.read()
        # The dimension of that attribute, which nothing else in the file has.
        at = data.index((1 << 12).to_bytes(8, "little"), data.index(b"long\0"))
        file.seek(at)
        file.write((1 << 40).to_bytes(8, "little"))
    with pytest.raises(ModelFileError, match=r"attribute long of / claims more bytes than the file|damaged"):
        check_layers(model)


# ------------------------------------------------------------------------------------------------------------- digests


def test_the_digest_covers_arrays_layers_and_description(model: Path) -> None:
    with opened(model) as file:
        before = content_sha256(file, check_storage(file), TEXTS)
        assert file.attrs[DIGEST] == before
    found = {before}

    def next_weight(file: h5py.File) -> None:
        file[FIRST][0, 0, 0, 0] += 1

    def other_name(file: h5py.File) -> None:
        file.move(FIRST, FIRST + "_")

    def other_description(file: h5py.File) -> None:
        file.attrs["yolo3"] = str(file.attrs["yolo3"]).replace('"width": 32', '"width": 64')

    def other_layers(file: h5py.File) -> None:
        file.attrs["model_config"] = str(file.attrs["model_config"]).replace("leaky", "lucky")

    for number, change in enumerate((next_weight, other_name, other_description, other_layers), 2):
        changed(model, change)
        with opened(model) as file:
            found.add(content_sha256(file, check_storage(file), TEXTS))
        assert len(found) == number


def test_a_changed_number_is_noticed_unless_it_is_not_asked_for(model: Path) -> None:
    check_layers(model)
    with h5py.File(model, "r+") as file:
        file[FIRST][0, 0, 0, 0] += 1e-6
    for read in (check_layers, read_variables):
        with pytest.raises(ModelFileError, match=r"differ from those that were written \(SHA-256 mismatch\)"):
            read(model)
        read(model, digest=False)
    assert read_description(model).width == 32


def test_a_file_without_a_digest_is_read(model: Path) -> None:
    with h5py.File(model, "r+") as file:
        del file.attrs[DIGEST]
        file[FIRST][0, 0, 0, 0] = 7
    check_layers(model)
    assert read_variables(model)("conv_0", "kernel")[0, 0, 0, 0] == 7


def test_what_keras_reads_of_a_model_has_not_changed(model: Path) -> None:
    with h5py.File(model) as file:
        assert sorted(file.attrs) == ["backend", "keras_version", "model_config", "yolo3", DIGEST]
        assert list(file) == ["model_weights"]
        assert "content_sha256" not in json.loads(file.attrs["yolo3"])


def test_a_heap_in_which_hdf5_would_never_end_is_refused(colour_model, tmp_path):
    data = bytearray(colour_model.read_bytes())
    at = data.index(HEAP) + 2 * len(HEAP)
    data[at : at + 16] = bytes(16)  # the first text becomes an empty space of 0 bytes
    path = tmp_path / "a.h5"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"a\.h5: damaged \(the texts at byte \d+ are damaged\)"):
        read_description(path)


@pytest.mark.parametrize("name", [b"yolo3", b"model_config"])
def test_an_attribute_whose_type_would_crash_hdf5_is_refused(colour_model, tmp_path, name):
    data = bytearray(colour_model.read_bytes())
    head = data.index(name + bytes(-len(name) % 8 or 8) + b"\x19\x01")  # a text of variable length
    data[data.index(b"\x19\x01", head) + 1] = 0x0C
    path = tmp_path / "a.h5"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"a\.h5: the attribute \w+ .*no text|neither text nor number"):
        check_layers(path)


@pytest.mark.parametrize("window", [64, 100])
def test_heaps_are_found_once_wherever_a_window_of_the_search_ends(tmp_path, monkeypatch, window):
    monkeypatch.setattr(hdf5, "_WINDOW", window)
    places = [0, window - len(HEAP), 2 * window - 3, 3 * window, 5 * window - 1]
    data = bytearray(5 * window + 30)
    for at in places:
        data[at : at + 2 * len(HEAP)] = HEAP + (16).to_bytes(8, "little")
    path = tmp_path / "heaps"
    for length in (len(data), 5 * window + 15, 5 * window - 1):
        path.write_bytes(data[:length])
        within = [at for at in places if at + len(HEAP) <= length]
        assert list(hdf5._heaps(path)) == [(at, at + 16) for at in within]
    path.write_bytes(b"")
    assert list(hdf5._heaps(path)) == []
