"""The output of `yolo3 inspect` for intact files, and the cause that it names for broken ones."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convert.cfg import read_cfg
from convert.conversion import convert
from convert.errors import Yolo3Error
from convert.inspection import inspect
from convert.names import configs_folder
from convert.network import plan
from convert.weights import Header

TINY = configs_folder() / "yolov3-tiny.cfg"
SMALL = """[net]
width=64
height=32
channels=3
[convolutional]
filters=24
size=3
pad=1
stride=32
fliters=3
[yolo]
classes=3
num=3
anchors=1,2, 3,4, 5,6
ignore_thresh=0.5
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The bytes of an intact weights file of yolov3-tiny's size."""
    floats = plan(read_cfg(TINY)).parameter_count
    values = np.random.default_rng(0).normal(0, 0.1, floats).astype("<f4")
    return Header(seen=64000).pack() + values.tobytes()


def fails(path, *more):
    with pytest.raises(Yolo3Error) as caught:
        inspect(path, *more)
    assert str(path) in str(caught.value) or (more and str(more[0]) in str(caught.value))
    return str(caught.value)


def test_a_cfg_is_a_table_with_its_heads_and_keys(tmp_path):
    path = tmp_path / "small.cfg"
    path.write_text(SMALL)

    text = inspect(path)

    assert any(line.split() == "0 5 convolutional 2x1x24 672 0.0 20-2707".split() for line in text.splitlines())
    assert "total: 672 floats, a .weights file of 2,708 bytes" in text
    assert "head of layer 1: yolo, stride 32, 3 classes, anchors 1x2 3x4 5x6" in text
    assert "keys unknown to Darknet, possibly typos: fliters (line 10)" in text
    assert "not needed for detection: ignore_thresh (line 15)" in text
    assert "mask" not in text


def test_our_own_tiny_network_has_no_mask_trap():
    assert "trained with mask=1,2,3" not in inspect(TINY)


def test_the_tiny_mask_trap_is_reported(tmp_path):
    text = TINY.read_text().replace("mask=1,2,3", "mask=0,1,2").replace("mask = 1,2,3", "mask = 0,1,2")
    path = tmp_path / "trap.cfg"
    path.write_text(text)
    assert "trained with mask=1,2,3" in inspect(path)


def test_sound_weights_alone(tmp_path, tiny):
    path = tmp_path / "tiny.weights"
    path.write_bytes(tiny)
    text = inspect(path)
    assert "version 0.2.5, 64,000 training images seen, 8,858,734 floats" in text
    assert "fits yolov3-tiny.cfg" in text


def test_weights_of_another_class_count(tmp_path):
    floats = plan(read_cfg(TINY).with_classes(7)).parameter_count
    path = tmp_path / "seven.weights"
    path.write_bytes(Header().pack() + np.full(floats, 0.5, "<f4").tobytes())
    assert "fits yolov3-tiny.cfg with 7 classes" in inspect(path)
    assert "With 7 classes instead of 80 it would fit" in fails(TINY, path)


def test_inspecting_the_first_layers(tmp_path, tiny):
    network = plan(read_cfg(TINY))
    floats = sum(layer.parameter_count for layer in network.layers[:15])
    path = tmp_path / "tiny.conv.15"
    path.write_bytes(tiny[: 20 + 4 * floats])
    assert "holds the first 15 layers of yolov3-tiny.cfg" in inspect(path)


def test_one_layer_too_many(tmp_path, tiny):
    path = tmp_path / "more.weights"
    path.write_bytes(tiny + np.full(256 * 128, 0.5, "<f4").tobytes())
    assert "all of yolov3-tiny.cfg and 32,768 extra floats: one layer too many" in inspect(path)
    assert "too long: 131072 bytes are left" in fails(TINY, path)


BROKEN = {
    "HTML": (lambda tiny: b"<!DOCTYPE html><html><body>403 Forbidden</body></html>", "HTML"),
    "gzip": (lambda tiny: gzip.compress(tiny[:100_000]), "gzip"),
    "text": (lambda tiny: b"0.1 0.2 0.3\n" * 100, "a text file"),
    "empty": (lambda tiny: b"", "an empty file"),
    "header only": (lambda tiny: tiny[:20], "a header without weights"),
    "3 bytes short": (lambda tiny: tiny[:-3], "3 bytes missing for yolov3-tiny.cfg"),
    "big-endian": (
        lambda tiny: struct.pack(">3iq", 0, 2, 5, 0) + np.frombuffer(tiny[20:], "<f4").astype(">f4").tobytes(),
        "big-endian",
    ),
    "copied as text": (lambda tiny: tiny.replace(b"\n", b"\r\n"), "copied as text"),
    "copied from text": (lambda tiny: tiny.replace(b"\r\n", b"\n"), "copied as text"),
    "read as UTF-8": (lambda tiny: tiny[:1_000_000].decode("utf-8", "replace").encode(), "read as text"),
    "not weights": (lambda tiny: tiny[:20] + np.random.default_rng(1).bytes(400_000), "plausible weights"),
    "cut": (lambda tiny: tiny[:81_613], "truncated download"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_cause_is_named(tmp_path, tiny, name):
    make, words = BROKEN[name]
    path = tmp_path / "broken.weights"
    path.write_bytes(make(tiny))
    assert words in fails(path)


@pytest.mark.parametrize("name", sorted(BROKEN.keys() - {"3 bytes short", "empty", "not weights"}))
def test_the_conversion_names_it_too(tmp_path, tiny, name):
    make, words = BROKEN[name]
    path = tmp_path / "broken.weights"
    path.write_bytes(make(tiny))
    with pytest.raises(Yolo3Error, match=words.split(" to ")[0]):
        convert(TINY, path, tmp_path / "out.h5")


def test_a_file_of_zeros_has_an_old_header(tmp_path):
    path = tmp_path / "zeros.weights"
    path.write_bytes(bytes(1016))
    assert "version 0.0.0, 0 training images seen, 250 floats after a header of 16 bytes" in inspect(path)


def test_the_bad_files_of_the_shared_material(shared):
    truncated, pointer = sorted((shared / "assets" / "weights_bad").glob("*.weights"))
    assert "truncated download" in fails(truncated)
    assert "git-lfs pointer" in fails(pointer)


def test_inspecting_a_model(tmp_path):
    cfg, weights = tmp_path / "small.cfg", tmp_path / "small.weights"
    cfg.write_text(SMALL)
    weights.write_bytes(Header().pack() + np.full(672, 0.1, "<f4").tobytes())
    convert(cfg, weights, tmp_path / "small.h5")

    text = inspect(tmp_path / "small.h5")

    assert "3 classes (class 0, class 1, class 2)" in text
    assert "head of layer 1: yolo" in text
    assert "fits, 672 floats" in inspect(cfg, weights)


def test_no_tensorflow_is_needed():
    code = (
        "import sys; from convert.inspection import inspect; inspect(sys.argv[1]); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(TINY)], check=True, cwd=Path(__file__).parents[2])
