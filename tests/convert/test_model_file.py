"""The .h5: descriptions are preserved, other files are refused, and no failure leaves a broken file."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convert.cfg import parse_cfg
from convert.errors import ModelFileError, NamesError, OutputError, WorkError
from convert.export import export_weights
from convert.head import Head
from convert.keras_import import import_keras
from convert.model_file import (
    ATTRIBUTE,
    SCHEMA,
    Description,
    check_layers,
    check_replaceable,
    read_description,
    read_variables,
    rename_classes,
    save_model,
)
from convert.network import build, plan, set_arrays
from convert.weights import Header

DESCRIPTION = Description(
    cfg="[net]\n# Größe\nwidth=64\n",
    cfg_sha256="a" * 64,
    weights_sha256="b" * 64,
    width=64,
    height=96,
    channels=3,
    resize="stretch",
    names=("car", "猫", 'a "quoted" \\ name'),
    heads=(
        Head("yolo", 82, 32, ((116, 90), (156.5, 198)), 3, 1.05, True, "diounms", 0.7),
        Head("yolo", 94, 16, ((10, 13),), 3),
    ),
    fixed_size="layer 3 [connected] (line 20)",
    weights_header=Header(0, 1, 2, 640),
)

READERS = [read_description, check_layers, read_variables]


class FakeModel:
    """A stand-in for a Keras model whose `save` does what the test specifies."""

    def __init__(self, save: Callable[[Path], None], variables: tuple[np.ndarray, ...] = ()) -> None:
        self.save = save
        self.variables = variables
        self.layers = ["layer"]


def save_empty(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["saved"] = 1


@contextmanager
def refused(path: Path, what: str, error: type[Exception] = ModelFileError) -> Iterator[None]:
    """Expect an error of one line that names the file and contains these words."""
    with pytest.raises(error, match=what) as raised:
        yield
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


# -------------------------------------------------------------------------------------------------------- description


def test_a_description_survives_json() -> None:
    assert Description.from_json(DESCRIPTION.as_json()) == DESCRIPTION


@pytest.mark.parametrize("count", [1, 9000], ids=["short", "more than 64 KB"])
def test_a_description_survives_the_file(count: int, tmp_path: Path) -> None:
    names = tuple(f"Größe {number}" for number in range(count))
    heads = tuple(replace(head, classes=count) for head in DESCRIPTION.heads)
    description = replace(DESCRIPTION, names=names, heads=heads)
    assert (len(description.as_json().encode()) > 65536) == (count == 9000)
    path = tmp_path / "model.h5"
    save_model(FakeModel(save_empty), path, description)
    assert read_description(path) == description
    with h5py.File(path) as file:
        assert file["saved"][()] == 1


def test_a_description_is_standard_json(small_h5: Path) -> None:
    with h5py.File(small_h5) as file:
        data = json.loads(file.attrs["yolo3"])
    assert data["schema"] == 1
    assert data["heads"][0]["anchors"] == [[12, 15], [20, 18]]
    assert data["names"] == ["class 0", "class 1"]
    assert data["cfg"].startswith("[net]\nwidth=32\n")


def test_the_stride_of_a_description_is_its_coarsest() -> None:
    assert DESCRIPTION.stride == 32
    assert replace(DESCRIPTION, heads=DESCRIPTION.heads[::-1]).stride == 32
    assert replace(DESCRIPTION, heads=()).stride == 1


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(DESCRIPTION.as_json()), **changes})


def without(key: str) -> str:
    data = json.loads(DESCRIPTION.as_json())
    del data[key]
    return json.dumps(data)


HEAD = json.loads(DESCRIPTION.as_json())["heads"][0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "damaged", id="empty"),
        pytest.param("{", "damaged", id="cut short"),
        pytest.param("[]", "damaged", id="a list"),
        pytest.param("7", "damaged", id="a number"),
        pytest.param("{}", "'schema'", id="nothing in it"),
        pytest.param(without("names"), "'names'", id="no names"),
        pytest.param(without("cfg"), "cfg", id="no cfg"),
        pytest.param(without("weights_header"), "weights_header", id="no header"),
        pytest.param(changed(colour="red"), "colour", id="a key too many"),
        pytest.param(changed(schema=SCHEMA + 1), rf"schema {SCHEMA + 1} is newer than {SCHEMA}; update", id="newer"),
        pytest.param(changed(schema="new"), "damaged", id="schema is a word"),
        pytest.param(changed(resize="squash"), "resize 'squash' is neither letterbox nor stretch", id="resize"),
        pytest.param(changed(names=["car"]), "1 names for the 3 classes of layer 82", id="names too few"),
        pytest.param(changed(heads=[{**HEAD, "anchors": [[1, 2, 3]]}]), "damaged", id="anchor of three"),
        pytest.param(changed(heads=[{**HEAD, "anchors": 7}]), "damaged", id="anchors are a number"),
        pytest.param(changed(heads=[{"kind": "yolo"}]), "damaged", id="head without anchors"),
        pytest.param(changed(heads=7), "damaged", id="heads are a number"),
        pytest.param(changed(weights_header={"colour": 1}), "damaged", id="header of something else"),
        pytest.param(changed(weights_header={"seen": -1}), "cannot be written", id="header that fits no file"),
        pytest.param(changed(names="abc"), "names are no list", id="names are a text"),
        pytest.param(changed(cfg=7), "cfg 7 is no text", id="cfg is a number"),
        pytest.param(changed(batch_norm="mine"), "batch_norm 'mine' is not known", id="batch_norm"),
        pytest.param(changed(width=True), "width True is no integer", id="width is a flag"),
        pytest.param(changed(width=32000), "width 32000 is no integer from 1 to 16384", id="width too large"),
        pytest.param(changed(width=16000, height=16000), "an input of 16000x16000x3 is too large", id="area too large"),
        pytest.param("[" * 100_000, "damaged", id="nested too deeply"),
    ],
)
def test_a_damaged_description_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs[ATTRIBUTE] = text
    with refused(path, words):
        read_description(path)


# ------------------------------------------------------------------------------------------------------- other files


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "an empty file; expected a model made by `yolo3 convert`", id="empty"),
        pytest.param(b"<!DOCTYPE html><html>", "an HTML page", id="HTML"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer", id="git-lfs"),
        pytest.param(b"[net]\nwidth=64\n", r"a Darknet \.cfg", id="cfg"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "a PNG picture", id="picture"),
        pytest.param(Header().pack() + b"\0" * 999, "not an HDF5 file", id="weights"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + b"\0" * 999, r"damaged or truncated \(.+\)", id="HDF5 in its first bytes"),
    ],
)
def test_a_file_other_than_hdf5_is_recognised(
    data: bytes, words: str, read: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(data)
    with refused(path, words):
        read(path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_model_is_reported(
    share: float, read: Callable[[Path], Any], small_h5: Path, tmp_path: Path
) -> None:
    data = small_h5.read_bytes()
    path = tmp_path / "model.h5"
    path.write_bytes(data[: int(len(data) * share)])
    with refused(path, r"damaged or truncated \(.*truncated file"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_a_missing_model_is_reported(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with refused(path, r"no such file; expected a model made by `yolo3 convert CFG WEIGHTS model\.h5`"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_an_inaccessible_path_is_reported(read: Callable[[Path], Any], tmp_path: Path) -> None:
    with refused(tmp_path, "a folder"):
        read(tmp_path)
    path = tmp_path / f"{'m' * 300}.h5"
    with refused(path, r"cannot be read \(File name too long\)"):
        read(path)
    (tmp_path / "file").touch()
    with refused(tmp_path / "file" / "model.h5", r"cannot be read \(Not a directory\)"):
        read(tmp_path / "file" / "model.h5")


@contextmanager
def without_privileges() -> Iterator[None]:
    """Drop privileges, so that permissions apply even if root runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("read", READERS)
def test_an_unreadable_model_is_reported(read: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    path = folder / "model.h5"
    path.touch()
    folder.chmod(0)
    try:
        with without_privileges(), refused(path, r"cannot be read \(Permission denied\)"):
            read(path)
    finally:
        folder.chmod(0o700)


@pytest.fixture(scope="module")
def other_h5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras model that has nothing to do with this project."""
    keras = import_keras()
    path = tmp_path_factory.mktemp("other") / "other.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    return path


def test_another_keras_model_has_no_description(other_h5: Path) -> None:
    with refused(other_h5, r"a Keras \.h5 without the description .*yolo3 convert CFG WEIGHTS OUT\.h5"):
        read_description(other_h5)


def test_an_hdf5_file_without_a_model_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    save_empty(path)
    with refused(path, "contains no Keras model"):
        check_layers(path)
    with refused(path, "damaged .*model_weights"):
        read_variables(path)


# ------------------------------------------------------------------------------------------------------- layer kinds


def test_a_converted_model_holds_known_layers(small_h5: Path) -> None:
    check_layers(small_h5)


EVERY_KIND = """
[net]
width=32
height=32
[convolutional]
filters=6
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky
[convolutional]
filters=6
size=3
groups=6
pad=1
activation=mish
[convolutional]
filters=6
size=3
pad=1
dilation=2
stride=2
[maxpool]
size=3
stride=2
[maxpool]
size=3
stride=1
padding=1
[upsample]
scale=2
[shortcut]
from=-1
[route]
layers=-1,-2
[dropout]
[avgpool]
[softmax]
temperature=2
[cost]
"""


def test_every_section_kind_is_built_of_known_layers(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    build(plan(parse_cfg(EVERY_KIND))).save(path)
    check_layers(path)
    assert import_keras().models.load_model(path, compile=False, safe_mode=True).count_params()


@contextmanager
def model_config(path: Path) -> Iterator[Any]:
    """The model's layers as stored, to be changed."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        yield config["config"]["layers"]
        file.attrs["model_config"] = json.dumps(config)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param({"class_name": "Lambda"}, "keras.layers.Lambda", id="Lambda"),
        pytest.param({"class_name": "TFSMLayer"}, "keras.layers.TFSMLayer", id="a layer that reads another file"),
        pytest.param({"class_name": "Functional"}, "keras.layers.Functional", id="a model in the model"),
        pytest.param({"module": "evil.layers"}, r"evil.layers.Activation", id="a module of its own"),
    ],
)
def test_a_layer_that_may_run_code_is_refused(
    change: dict[str, str], kind: str, small_h5: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(small_h5, tmp_path))
    with model_config(path) as layers:
        assert layers[-1]["class_name"] == "Activation"
        layers[-1].update(change)
    with refused(path, f"contains a layer of kind {kind}, which yolo3 never writes; it is not loaded"):
        check_layers(path)


def test_a_lambda_is_refused_without_running_it(tmp_path: Path) -> None:
    keras = import_keras()
    path = tmp_path / "model.h5"
    ran = str(tmp_path / "ran")
    source = keras.Input((3,))
    keras.Model(source, keras.layers.Lambda(lambda x: (Path(ran).touch(), x)[1])(source)).save(path)
    Path(ran).unlink()  # building it runs it too
    with refused(path, r"a layer of kind keras\.layers\.Lambda"):
        check_layers(path)
    assert not Path(ran).exists()


def test_another_keras_model_is_refused_by_its_layers(other_h5: Path) -> None:
    with refused(other_h5, r"a layer of kind keras\.layers\.Dense"):
        check_layers(other_h5)


@pytest.mark.parametrize("config", ["", "{", "[]", '{"config": 7}', '{"config": {"layers": [7]}}', '{"config": {}}'])
def test_a_model_that_is_described_wrongly_is_refused(config: str, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config
    with refused(path, "contains no Keras model"):
        check_layers(path)


# ------------------------------------------------------------------------------------------------------------- saving


def save_nothing(path: Path) -> None:
    raise AssertionError("not to be called")


def raising(error: BaseException) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        path.write_bytes(b"the first half")
        raise error

    return save


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        pytest.param(OSError(errno.ENOSPC, "No space left on device"), WorkError, id="full disk"),
        pytest.param(RuntimeError("Unable to flush (time = today\nfilename = x)"), WorkError, id="full disk, by HDF5"),
        pytest.param(KeyboardInterrupt(), KeyboardInterrupt, id="interrupted"),
        pytest.param(ZeroDivisionError(), ZeroDivisionError, id="a bug"),
    ],
)
@pytest.mark.parametrize("there", [False, True], ids=["new", "over a good one"])
def test_a_failed_save_changes_nothing(
    error: BaseException, raised: type[BaseException], there: bool, small_h5: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    if there:
        shutil.copy(small_h5, path)
    with pytest.raises(raised) as caught:
        save_model(FakeModel(raising(error)), path, DESCRIPTION)
    if raised is WorkError:
        assert str(caught.value).startswith(f"{path}: could not be written (")
        assert str(caught.value).endswith("); is the disk full?")
        assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["model.h5"] * there
    if there:
        assert path.read_bytes() == small_h5.read_bytes()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond this: a full disk for one's own process only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space")
def test_a_full_disk_is_noticed_before_anything_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    model = FakeModel(save_nothing, (np.empty((100, 100)), np.empty(())))
    with largest_file(40_000), refused(path, r"could not be written \(.*File too large\)", WorkError):
        save_model(model, path, DESCRIPTION)
    assert not list(tmp_path.iterdir())
    # The same model is saved where there is room.
    model.save = save_empty
    with largest_file(80_000):
        save_model(model, path, DESCRIPTION)
    assert path.stat().st_size < 40_000


def test_a_model_replaces_an_older_one_of_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    save_model(FakeModel(save_empty), path, DESCRIPTION)
    save_model(FakeModel(save_empty), path, replace(DESCRIPTION, resize="letterbox"))
    assert read_description(path).resize == "letterbox"
    assert [file.name for file in tmp_path.iterdir()] == ["model.h5"]


@pytest.mark.parametrize("kind", ["another Keras model", "a string", "a damaged model", "a folder"])
def test_nothing_else_is_replaced(kind: str, other_h5: Path, small_h5: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    data = {
        "another Keras model": other_h5.read_bytes(),
        "a string": b"my diary",
        "a damaged model": small_h5.read_bytes()[:-9],
    }.get(kind)
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    words = "is a folder" if data is None else "exists already and was not made by yolo3 convert; move it"
    with refused(path, words, OutputError):
        check_replaceable(path)
    assert data is None or path.read_bytes() == data


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        pytest.param({"weights_sha256": ""}, "was trained", id="trained"),
        pytest.param({"cfg": "", "cfg_sha256": ""}, "was adopted", id="adopted"),
    ],
)
def test_a_model_that_cannot_be_made_again_is_not_replaced(changes: dict[str, Any], made: str, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    save_model(FakeModel(save_empty), path, replace(DESCRIPTION, **changes))
    with refused(path, f"exists already and {made}, so it cannot be made again; move it away", OutputError):
        check_replaceable(path)
    save_model(FakeModel(save_empty), path, DESCRIPTION)
    check_replaceable(path)


def test_an_input_is_not_replaced(small_h5: Path) -> None:
    with refused(small_h5, "is the input", OutputError):
        check_replaceable(small_h5, inputs=[str(small_h5)])


def test_a_file_that_fails_its_check_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"

    def check(saved: Path) -> None:
        assert read_description(saved) == DESCRIPTION
        assert not path.exists()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save_model(FakeModel(save_empty), path, DESCRIPTION, check=check)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model", "model.keras", "model.h5.txt", "model.H5", ".h5"])
def test_a_name_must_end_in_h5(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with refused(path, r"expected a name that ends in \.h5", OutputError):
        save_model(FakeModel(save_nothing), path, DESCRIPTION)


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "model.h5"
    save_model(FakeModel(save_empty), path, DESCRIPTION)
    assert read_description(path) == DESCRIPTION


def test_a_path_through_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "model.h5", tmp_path / "file" / "folder" / "model.h5"):
        with pytest.raises(OutputError, match="file is not a folder"):
            check_replaceable(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_name_that_is_too_long_cannot_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / f"{'m' * 300}.h5"
    with refused(path, "cannot be written: File name too long", OutputError):
        check_replaceable(path)


def test_a_name_as_long_as_it_may_be_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / f"{'ö' * 126}.h5"  # 255 bytes
    save_model(FakeModel(save_empty), path, DESCRIPTION)
    assert read_description(path) == DESCRIPTION


def test_a_folder_of_another_user_cannot_be_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0)
    try:
        with without_privileges(), pytest.raises(OutputError, match="cannot be written: Permission denied"):
            check_replaceable(folder / "model.h5")
    finally:
        folder.chmod(0o700)


# ------------------------------------------------------------------------------------------- without this project


STRANGER = """
import json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("convert", "detector"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
try:
    import convert
except ModuleNotFoundError:
    pass
else:
    sys.exit("this project could be imported")

import keras
import numpy as np

model = keras.models.load_model(sys.argv[1], compile=False)
picture = np.load(sys.argv[2])
np.savez(sys.argv[3], *[np.asarray(head) for head in model(picture)])
print(json.dumps({"input": model.input.shape, "names": model.output_names}))
"""


def test_a_process_without_this_project_opens_the_model(small, small_h5: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(2).uniform(size=(1, 48, 32, 3)).astype(np.float32)
    np.save(tmp_path / "picture.npy", picture)
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, small_h5, "picture.npy", "heads.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"input": [None, None, None, 3], "names": ["yolo_6", "yolo_11"]}
    model = build(small.network)
    set_arrays(small.network, model, small.arrays)
    heads = np.load(tmp_path / "heads.npz")
    assert [heads[name].shape for name in heads.files] == [(1, 6, 4, 14), (1, 12, 8, 14)]
    for name, expected in zip(heads.files, model(picture), strict=True):
        np.testing.assert_allclose(heads[name], np.asarray(expected), atol=1e-6)


def test_renamed_classes_change_nothing_else(colour_model: Path, tmp_path: Path) -> None:
    model = Path(shutil.copy(colour_model, tmp_path / "a b.h5"))

    rename_classes(model, ("rot", "grün", "blau"))

    before, after = read_description(colour_model), read_description(model)
    assert after == replace(before, names=("rot", "grün", "blau"))
    check_layers(model)
    export_weights(model, tmp_path / "o.cfg", tmp_path / "o.weights")
    for suffix in (".cfg", ".weights"):
        assert (tmp_path / f"o{suffix}").read_bytes() == colour_model.with_suffix(suffix).read_bytes()


def test_a_renamed_copy_replaces_nothing(colour_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    rename_classes(colour_model, ("a", "b", "c"), out=out)
    assert read_description(out).names == ("a", "b", "c") and read_description(colour_model).names[0] == "red"
    with pytest.raises(OutputError, match="exists already"):
        rename_classes(colour_model, ("a", "b", "c"), out=out)
    with pytest.raises(NamesError, match="3 classes; 2 names"):
        rename_classes(colour_model, ("a", "b"))
