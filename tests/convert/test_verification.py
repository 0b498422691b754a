"""Verification of the saved model, with a large enough picture and limited memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from convert.cfg import parse_cfg
from convert.conversion import convert
from convert.errors import VerificationError
from convert.keras_import import import_keras
from convert.network import assemble, connect, keras_layer_names, plan
from convert.reference import forward
from convert.verification import is_small, picture_size, verify_model

NET = "[net]\nwidth=416\nheight=416\n"
UNPADDED = {
    "three 5x5 convolutions": "[convolutional]\nsize=5\nfilters=2\n" * 3,
    "avgpool first": "[avgpool]\n",
    "maxpool first": "[maxpool]\nsize=13\nstride=1\npadding=6\n",
    "unpadded, at stride 2": "[convolutional]\nsize=7\nstride=2\n" * 4,
    "a shortcut that fits at some sizes": "[convolutional]\nsize=2\nstride=2\n[upsample]\n[route]\nlayers=0\n"
    "[convolutional]\nsize=9\n",
}


@pytest.mark.parametrize("name", UNPADDED)
def test_the_picture_is_large_enough_for_every_layer(name: str) -> None:
    network = plan(parse_cfg(NET + UNPADDED[name]))
    height, width = picture_size(network)
    assert max(height, width) <= 416
    smaller = plan(network.cfg.with_size(height, width))
    assert min(min(layer.shape.height, layer.shape.width) for layer in smaller.layers) > 0


@pytest.mark.parametrize("name", UNPADDED)
def test_networks_without_padding_are_converted(name: str, write_network, tmp_path: Path) -> None:
    files = write_network(tmp_path, NET + UNPADDED[name])
    notes = convert(files.cfg, files.weights, tmp_path / "net.h5").notes
    assert notes[-1].startswith("verified: at most ")


def test_the_picture_of_an_ordinary_network_is_small() -> None:
    network = plan(parse_cfg(NET + "[convolutional]\nsize=3\npad=1\nstride=32\n"))
    assert picture_size(network) == (96, 128)


def test_the_saved_model_is_compared(small, tmp_path: Path) -> None:
    keras = import_keras()
    path = tmp_path / "net.h5"
    convert(small.cfg, small.weights, path)
    tensors = connect(small.network)
    names = keras_layer_names(small.network, tensors, assemble(small.network, tensors))
    floats = np.fromfile(small.weights, "<f4", offset=20)

    def differences() -> list[float]:
        model = keras.models.load_model(path, compile=False)
        return [one.difference for one in verify_model(small.network, names, model, floats, transposed=False)]

    assert max(differences()) < 1e-5
    for value in (5.0, np.nan):
        with h5py.File(path, "r+") as file:
            file["model_weights/conv_5/conv_5/kernel"][0, 0, 0, 0] = value
        with pytest.raises(VerificationError, match=r"does not compute what Darknet computes, from layer 5 "):
            differences()


def test_large_kernels_and_windows_take_little_memory() -> None:
    """All patches of the convolution at once would take 1 GB, all windows of the pooling 360 MB."""
    network = plan(
        parse_cfg("[net]\nwidth=256\nheight=256\n[convolutional]\nsize=45\nfilters=1\n[maxpool]\nsize=45\nstride=1\n")
    )
    floats = np.full(network.parameter_count, 0.001, np.float32)
    tracemalloc.start()
    try:
        convolved, pooled = forward(network.cfg, floats, np.ones((3, 256, 256), np.float32))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert convolved.shape == pooled.shape == (1, 212, 212)
    assert peak < 200 << 20


def test_many_large_windows_are_not_verified_by_default() -> None:
    net = "[net]\nwidth=416\nheight=416\n[convolutional]\nfilters=8\n"
    assert is_small(plan(parse_cfg(net + "[maxpool]\nsize=5\nstride=1\n" * 3)))
    assert not is_small(plan(parse_cfg(net + "[maxpool]\nsize=64\nstride=64\npadding=0\n[upsample]\nstride=64\n" * 99)))
