"""Files are recognised by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import h5py
import numpy as np
import pytest

from convert.recognise import recognise
from convert.weights import Header


def hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5["a"] = 1
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("yolov3.weights", b"\0" * 100)
    return file.getvalue()


@pytest.mark.parametrize(
    ("start", "words"),
    [
        pytest.param(b"", "an empty file", id="empty"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a git-lfs pointer", id="git-lfs"
        ),
        pytest.param(hdf5(), "an HDF5 file", id="HDF5"),
        pytest.param(zipped(), "a zip archive", id="zip"),
        pytest.param(gzip.compress(b"x"), "gzip-compressed", id="gzip"),
        pytest.param(bz2.compress(b"x"), "bzip2-compressed", id="bzip2"),
        pytest.param(lzma.compress(b"x"), "xz-compressed", id="xz"),
        pytest.param(b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7-Zip archive", id="7-Zip"),
        pytest.param(b"Rar!\x1a\x07\x01\x00", "a RAR archive", id="RAR"),
        pytest.param(b"%PDF-1.7\n", "a PDF", id="PDF"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "a PNG picture", id="PNG"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG picture", id="JPEG"),
        pytest.param(b"<!DOCTYPE html><html>", "an HTML page", id="HTML"),
        pytest.param(b"\xef\xbb\xbf\r\n  <HTML lang=en>", "an HTML page", id="HTML after a BOM and space"),
        pytest.param(b"<?xml version='1.0'?><Error>", "an HTML page", id="XML, as object stores answer"),
        pytest.param(b"[net]\nwidth=416\n", r"a Darknet .cfg", id="cfg"),
        pytest.param(b"\n [network]\r\nwidth=416\n", "a Darknet .cfg", id="cfg by its alias"),
        pytest.param(b"person\nbicycle\n", "a text file that begins 'person", id="text"),
        pytest.param("Größe\n".encode("latin-1"), "a text file that begins 'Gr", id="text in another encoding"),
    ],
)
def test_known_file_types(start: bytes, words: str) -> None:
    assert recognise(start).startswith(words)


@pytest.mark.parametrize("header", [Header(), Header(0, 1, 0), Header(seen=32_013_312)])
def test_weights_are_not_mistaken_for_another_type(header: Header) -> None:
    values = np.random.default_rng(1).normal(size=1000).astype("<f4")
    assert recognise((header.pack() + values.tobytes())[:4096]) == ""
    assert recognise(header.pack()) == ""


def test_a_long_text_is_shortened() -> None:
    assert len(recognise(b"a" * 4096)) < 100
