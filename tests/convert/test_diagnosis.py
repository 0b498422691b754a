"""Messages about weights that do not fit; the figures in each are computed by hand."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from convert.cfg import read_cfg
from convert.diagnosis import check_weights
from convert.errors import WeightsError
from convert.network import Network, plan
from convert.weights import Header, WeightsReader

CONFIGS = Path(__file__).parents[2] / "configs"

HEADER = Header().pack()

# Two convolutions of 8 + 3*8*9 = 224 and 7 + 8*7 = 63 floats; a class more is 9 floats more.
CFG = """
    [net]
    width=32
    height=32

    [convolutional]
    filters=8
    size=3
    pad=1
    activation=leaky

    [maxpool]
    stride=2

    [convolutional]
    filters=7
    activation=linear

    [yolo]
    classes=2
    anchors=4,5
"""
FLOATS = 224 + 63


@pytest.fixture(scope="module")
def network(write_network, tmp_path_factory: pytest.TempPathFactory) -> Network:
    files = write_network(tmp_path_factory.mktemp("diagnosis"), CFG)
    assert files.floats == FLOATS
    return plan(read_cfg(files.cfg))


def diagnosis(network: Network, data: bytes, folder: Path) -> str:
    """The message, less the file's name; empty when the weights fit."""
    path = folder / "my.weights"
    path.write_bytes(data)
    try:
        with WeightsReader.open(path) as weights:
            check_weights(network, weights)
            assert weights.taken == 0
    except WeightsError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")
    return ""


def floats(count: int) -> bytes:
    return struct.pack(f"<{count}f", *[0.5] * count)


@pytest.mark.parametrize("header", [Header(), Header(0, 1, 0)], ids=["20 bytes", "16 bytes"])
def test_weights_that_fit_are_accepted(header: Header, network: Network, tmp_path: Path) -> None:
    assert diagnosis(network, header.pack() + floats(FLOATS), tmp_path) == ""


@pytest.mark.parametrize(
    ("classes", "count"),
    [(1, FLOATS - 9), (3, FLOATS + 9), (20, FLOATS + 18 * 9), (80, FLOATS + 78 * 9)],
)
def test_a_class_count_that_would_fit_is_named(classes: int, count: int, network: Network, tmp_path: Path) -> None:
    message = diagnosis(network, HEADER + floats(count), tmp_path)
    assert f"needs {FLOATS} floats, the file holds {count}. " in message
    assert message.endswith(
        f"With {classes} classes instead of 2 it would fit: set classes={classes} in each head and "
        f"filters={5 + classes} in the layer before it, or use the cfg these weights were trained with"
    )


@pytest.mark.parametrize("classes", [1, 20, 60])
def test_the_class_count_of_a_published_network_is_named(classes: int, tmp_path: Path) -> None:
    network = plan(read_cfg(CONFIGS / "yolov3-tiny.cfg"))
    # A class is 3 filters of 1 x 1 in each head, behind maps of 512 and 256 channels.
    count = 8_858_734 - (80 - classes) * 3 * (512 + 1 + 256 + 1)
    message = diagnosis(network, HEADER + floats(count), tmp_path)
    filters = 3 * (5 + classes)
    assert f"With {classes} classes instead of 80 it would fit" in message
    assert f"set classes={classes} in each head and filters={filters}, {filters} in the layer before it" in message


@pytest.mark.parametrize(
    ("count", "layer", "needed", "parameter", "left"),
    [
        pytest.param(0, 0, 8, "biases", 0, id="nothing but a header"),
        pytest.param(1, 0, 8, "biases", 1, id="one float"),
        pytest.param(100, 0, 216, "weights", 92, id="first layer"),
        pytest.param(229, 2, 7, "biases", 5, id="third layer's biases"),
        pytest.param(FLOATS - 1, 2, 56, "weights", 55, id="the last float"),
    ],
)
def test_a_short_file_gives_the_layer_where_it_ends(
    count: int, layer: int, needed: int, parameter: str, left: int, network: Network, tmp_path: Path
) -> None:
    message = diagnosis(network, HEADER + floats(count), tmp_path)
    line = network.layers[layer].section.line
    offset = len(HEADER) + 4 * (count - left)
    assert message.startswith(
        f"too short: layer {layer} [convolutional] (line {line}) needs {needed} floats for its {parameter} at offset "
        f"{offset}, {left} are left. "
    )
    assert f"{network.cfg.path} needs {FLOATS} floats, the file holds {count}. " in message
    assert f"truncated download ({count / FLOATS:.0%} is present)" in message


def test_the_offset_counts_a_short_header(network: Network, tmp_path: Path) -> None:
    message = diagnosis(network, Header(0, 1, 0).pack() + floats(100), tmp_path)
    assert f"at offset {16 + 4 * 8}, 92 are left" in message


def test_the_first_layers_of_a_network_are_recognised(network: Network, tmp_path: Path) -> None:
    message = diagnosis(network, HEADER + floats(224), tmp_path)
    assert message.startswith("too short: layer 2 ")
    assert "The file ends after layer 0: " in message
    assert message.endswith(": it holds the first 1 layers only, as initial weights for training")


def test_darknet53_conv_74_is_recognised_as_the_first_layers_of_yolov3(tmp_path: Path) -> None:
    network = plan(read_cfg(CONFIGS / "yolov3.cfg"))
    count = sum(layer.parameter_count for layer in network.layers[:74])
    message = diagnosis(network, HEADER + floats(count), tmp_path)
    assert "The file ends after layer 73: it holds the first 74 layers only" in message


@pytest.mark.parametrize("more", [1, 100])
def test_a_long_file_gives_the_size_of_the_excess(more: int, network: Network, tmp_path: Path) -> None:
    message = diagnosis(network, HEADER + floats(FLOATS + more), tmp_path)
    assert message.startswith(
        f"too long: {4 * more} bytes are left after the last layer, at offset {20 + 4 * FLOATS}. "
    )
    assert message.endswith("the file belongs to another network: use the cfg it was trained with")


@pytest.mark.parametrize("odd", [1, 2, 3])
def test_odd_bytes_are_reported_without_a_class_count(odd: int, network: Network, tmp_path: Path) -> None:
    message = diagnosis(network, HEADER + floats(FLOATS) + b"\0" * odd, tmp_path)
    assert message.startswith(f"too long: {odd} bytes are left after the last layer")
    assert "classes" not in message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "0 bytes; expected a header of 16 or 20 bytes", id="empty"),
        pytest.param(HEADER[:19], "19 bytes; expected a header of 16 or 20 bytes", id="part of a header"),
        pytest.param(b"<!DOCTYPE html>\n<html>" + b" " * 5000, "an HTML page, probably an error page", id="HTML"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a git-lfs pointer, not the file", id="git-lfs"
        ),
        pytest.param(gzip.compress(HEADER + floats(FLOATS), mtime=0), "gzip-compressed (unpack it first)", id="gzip"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "an HDF5 file; expected Darknet weights", id="HDF5"),
        pytest.param(b"[net]\nwidth=416\nheight=416\n", "a Darknet .cfg; expected Darknet weights", id="a cfg"),
        pytest.param(b"person\nbicycle\nmotorbike\n", "a text file that begins 'person", id="names"),
    ],
)
def test_files_other_than_weights_are_recognised(data: bytes, words: str, network: Network, tmp_path: Path) -> None:
    assert diagnosis(network, data, tmp_path).startswith(words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gratheon_lfs_pointer.weights", r"a git-lfs pointer, not the file itself \(run `git lfs pull`\); expected"),
        (
            "eocene317_yolov3_truncated.weights",
            r"too short: layer 2 \[convolutional\] \(line 58\) needs 2048 floats for its weights at offset 79252, "
            r"590 are left\. .* the file holds 20398\. .*truncated download \(0% is present\)",
        ),
    ],
)
def test_real_files_other_than_weights_are_recognised(name: str, words: str, shared: Path) -> None:
    path = shared / "assets" / "weights_bad" / name
    network = plan(read_cfg(CONFIGS / "yolov3.cfg"))
    with WeightsReader.open(path) as weights, pytest.raises(WeightsError, match=f"{name}: {words}"):
        check_weights(network, weights)
