"""The size of a stored model, compared with Keras's, and bombs that must not reach Keras."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from convert.errors import ModelFileError
from convert.keras_shapes import StoredLayer, check_sizes, read_layers
from convert.model_file import check_layers


def sized(layers: list[StoredLayer], **options: Any) -> None:
    check_sizes(layers, **{"height": 416, "width": 416, "stored_numbers": 1 << 40, **options})


def chain(
    *layers: tuple[str, dict[str, Any]], picture: tuple[int | None, ...] = (None, None, None, 3)
) -> list[StoredLayer]:
    found = [StoredLayer("0", "InputLayer", {"batch_shape": list(picture)}, ())]
    for number, (kind, config) in enumerate(layers, 1):
        found.append(StoredLayer(str(number), kind, config, (str(number - 1),) * config.pop("times", 1)))
    return found


CONV: dict[str, Any] = {"filters": 8, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "dilation_rate": 1}


def test_a_sound_model_has_the_weights_that_are_stored(small_h5: Path) -> None:
    with h5py.File(small_h5) as file:
        layers = read_layers(json.loads(file.attrs["model_config"])["config"]["layers"])
    kernels = 3 * 8 * 9 + 8 * 8 * 9 + 8 * 12 * 9 + 12 * 14 + 20 * 14
    sized(layers, height=32, width=32, stored_numbers=kernels)
    with pytest.raises(ValueError, match=f"its layers have {kernels} weights, {kernels - 1} are stored"):
        sized(layers, height=32, width=32, stored_numbers=kernels - 1)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(chain(picture=(None, 32000, 32000, 3)), id="input"),
        pytest.param(chain(*[("UpSampling2D", {"size": [64, 64]})] * 2), id="up-sampling"),
        pytest.param(chain(*[("Concatenate", {"axis": -1, "times": 2}) for _ in range(20)]), id="doubled channels"),
        pytest.param(chain(("ZeroPadding2D", {"padding": [[9999, 9999], [9999, 9999]]})), id="padding"),
        pytest.param(
            chain(("ZeroPadding2D", {"padding": [[0, 0], [0, 10**9]], "data_format": "channels_first"})), id="C"
        ),
        pytest.param(chain(("Conv2D", {**CONV, "filters": 10**6})), id="filters"),
        pytest.param(chain(("Conv2D", {**CONV, "filters": 10**30})), id="huge filters"),
        pytest.param(chain(("Conv2D", {**CONV, "filters": -1})), id="negative filters"),
        pytest.param(chain(("Conv2D", {**CONV, "filters": 1.5})), id="half a filter"),
        pytest.param(chain(("Conv2D", {**CONV, "kernel_size": [10**5] * 2, "padding": "valid"})), id="kernel"),
        pytest.param(chain(("DepthwiseConv2D", {**CONV, "depth_multiplier": 10**5})), id="multiplier"),
        pytest.param(chain(("Cropping2D", {"cropping": [[300, 300], [0, 0]]})), id="nothing left"),
        pytest.param(
            chain(("Cropping2D", {"cropping": [[-300, -300], [-9000, -90000]]})), id="cropping less than none"
        ),
        pytest.param(chain(("Reshape", {"target_shape": [1, 1, 10**9]})), id="reshape"),
        pytest.param(chain(("MaxPooling2D", {"pool_size": [0, 0], "strides": None, "padding": "same"})), id="pool"),
    ],
)
def test_a_bomb_is_refused(bomb: list[StoredLayer]) -> None:
    with pytest.raises(ValueError, match=r"layer|whole number|negative side|cannot be reshaped"):
        sized(bomb)


def test_weights_that_are_not_stored_are_not_allocated() -> None:
    with pytest.raises(ValueError, match="its layers have 67108864 weights, 1000 are stored"):
        sized(chain(("Conv2D", {**CONV, "filters": 16, "kernel_size": [2048, 2048], "groups": 3})), stored_numbers=1000)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda layers: layers[0]["config"].update(batch_shape=[None, 32000, 32000, 3]), id="input"),
        pytest.param(lambda layers: layers[2]["config"].update(filters=1 << 28), id="filters"),
        pytest.param(lambda layers: layers[2]["config"].update(kernel_size="wide"), id="words"),
        pytest.param(lambda layers: layers[3].update(inbound_nodes=[]), id="no input"),
        pytest.param(lambda layers: layers[3].update(inbound_nodes=7), id="no nodes"),
        pytest.param(lambda layers: layers.reverse(), id="backwards"),
        pytest.param(lambda layers: layers[2].pop("config"), id="no options"),
    ],
)
def test_a_file_with_such_layers_is_refused(change: Callable[[Any], None], small_h5: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(small_h5, tmp_path / "model.h5"))
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelFileError, match="its layers do not make a network"):
        check_layers(path)


def test_layers_from_other_modules_are_refused(small_h5: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(small_h5, tmp_path / "model.h5"))
    with h5py.File(path, "r+") as file:
        text = str(file.attrs["model_config"])
        file.attrs["model_config"] = text.replace('"keras.initializers"', '"os"', 1)
    with pytest.raises(ModelFileError, match="refers to os, which yolo3 never does; it is not loaded"):
        check_layers(path)
