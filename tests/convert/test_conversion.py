"""The whole conversion: its decisions, its notes, and that a failure leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from convert.cfg import parse_cfg
from convert.conversion import ALEXEYAB_KEYS, convert, trained_resize
from convert.errors import CfgError, ModelFileError, NamesError, OutputError, WeightsError, Yolo3Error
from convert.model_file import check_layers, read_description
from convert.weights import Header

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "out" / "model.h5"


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "my.names"
    path.write_text("Käse\n猫\n", encoding="utf-8")
    return path


def test_a_conversion_says_what_it_read_and_decided(small, model: Path) -> None:
    told: list[str] = []
    conversion = convert(small.cfg, small.weights, model, on_note=told.append)
    assert str(conversion) == f"Read {small.floats} of {small.floats} from Darknet weights."
    assert conversion.model == model
    assert conversion.floats_read == conversion.floats_in_file == small.floats
    assert conversion.network.parameter_count == small.floats
    line = small.network.layers[6].section.options["scale_x_y"].line
    assert told == list(conversion.notes)
    assert told.pop().startswith("verified: at most ")
    assert told == [
        f"resize: stretch (scale_x_y= on line {line} is a key of AlexeyAB's Darknet)",
        "2 classes: named class 0 to class 1; pass --names FILE for real names",
        "keys not needed: learning_rate",
    ]


def test_the_file_says_everything_that_detection_needs(small, model: Path) -> None:
    conversion = convert(small.cfg, small.weights, model)
    description = read_description(model)
    assert description == conversion.description
    assert description.cfg == small.cfg.read_text()
    assert description.cfg_sha256 == hashlib.sha256(small.cfg.read_bytes()).hexdigest()
    assert description.weights_sha256 == hashlib.sha256(small.weights.read_bytes()).hexdigest()
    assert (description.width, description.height, description.channels) == (32, 32, 3)
    assert description.resize == "stretch"
    assert description.names == ("class 0", "class 1")
    assert description.fixed_size == ""
    assert description.weights_header == Header(0, 2, 5, 640)
    assert [(head.layer, head.stride, head.anchors, head.scale_x_y) for head in description.heads] == [
        (6, 8, ((12, 15), (20, 18)), 1.05),
        (11, 4, ((4, 5), (8, 7)), 1.0),
    ]
    check_layers(model)


def test_width_and_height_are_not_confused(write_network, tmp_path: Path, model: Path) -> None:
    files = write_network(tmp_path, "[net]\nwidth=64\nheight=32\nchannels=1\n[convolutional]\n")
    description = convert(files.cfg, files.weights, model).description
    assert (description.width, description.height, description.channels) == (64, 32, 1)


def test_given_names_and_resize_are_used_without_a_note(small, names: Path, model: Path) -> None:
    conversion = convert(small.cfg, small.weights, model, names=names, resize="letterbox")
    assert conversion.notes[:-1] == ("keys not needed: learning_rate",)
    description = read_description(model)
    assert (description.names, description.resize) == (("Käse", "猫"), "letterbox")


def test_paths_may_be_strings(small, names: Path, model: Path) -> None:
    convert(str(small.cfg), str(small.weights), str(model), names=str(names))
    assert read_description(str(model)).names == ("Käse", "猫")


@pytest.mark.parametrize(
    ("classes", "first"), [(80, "person"), (20, "aeroplane"), (3, "class 0")], ids=["COCO", "VOC", "others"]
)
def test_default_names_depend_on_the_class_count(classes: int, first: str, write_network, tmp_path: Path) -> None:
    cfg = f"""
        [net]
        width=8
        height=8
        [convolutional]
        filters={5 + classes}
        [yolo]
        classes={classes}
        anchors=1,1
    """
    files = write_network(tmp_path, cfg)
    description = convert(files.cfg, files.weights, tmp_path / "model.h5").description
    assert (len(description.names), description.names[0]) == (classes, first)


def test_a_classifiers_classes_are_its_channels(write_network, tmp_path: Path, model: Path) -> None:
    files = write_network(tmp_path, "[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=20\n[avgpool]\n[softmax]\n")
    description = convert(files.cfg, files.weights, model).description
    assert description.heads == ()
    assert description.names[0] == "aeroplane"
    assert len(description.names) == 20


# ------------------------------------------------------------------------------------------------------------- resize


def cfg_with(net: str = "", layer: str = "") -> str:
    return f"[net]\nwidth=8\n{net}\n[yolo]\n{layer}\n"


@pytest.mark.parametrize(
    ("text", "resize", "why"),
    [
        pytest.param(cfg_with(), "letterbox", "no key of AlexeyAB's Darknet", id="pjreddie's"),
        pytest.param(cfg_with("mosaic=1"), "stretch", "mosaic= on line 3", id="a key of the net"),
        pytest.param(cfg_with("", "iou_loss=ciou"), "stretch", "iou_loss= on line 5", id="a key of a head"),
        pytest.param(cfg_with("mosaic=0"), "stretch", "mosaic= on line 3", id="even when it is off"),
        pytest.param(cfg_with("mosaic=1\nletter_box=1"), "letterbox", "letter_box=1", id="letter_box=1 decides"),
        pytest.param(cfg_with("mosaic=1\nletter_box=0"), "stretch", "mosaic= on line 3", id="letter_box=0 does not"),
        pytest.param(cfg_with("#mosaic=1"), "letterbox", "no key", id="a comment is no key"),
        pytest.param(cfg_with("jitter=.3\nignore_thresh=.7\nrandom=1"), "letterbox", "no key", id="keys of both"),
    ],
)
def test_the_cfg_determines_how_training_resized(text: str, resize: str, why: str) -> None:
    found, sentence = trained_resize(parse_cfg(text))
    assert found == resize
    assert sentence.startswith(why)


@pytest.mark.parametrize("name", ["yolov3", "yolov3-tiny", "yolov3-spp"])
def test_the_published_networks_were_letterboxed(name: str) -> None:
    assert trained_resize(parse_cfg((CONFIGS / f"{name}.cfg").read_text()))[0] == "letterbox"


@pytest.mark.parametrize(
    ("name", "resize"),
    [
        ("MobileNetV2-YOLOv3-Nano-coco", "stretch"),
        ("tiny", "letterbox"),
        ("yolo-fastest-1.1-xl", "stretch"),
        ("yoloface-50k", "stretch"),
        ("yolov3-tiny-grocery", "stretch"),
    ],
)
def test_real_cfgs_determine_how_they_were_trained(name: str, resize: str, shared: Path) -> None:
    cfg = parse_cfg((shared / "assets" / "weights" / f"{name}.cfg").read_text())
    assert trained_resize(cfg)[0] == resize


def test_no_key_of_pjreddies_darknet_is_mistaken_for_alexeyabs(shared: Path) -> None:
    for path in sorted((shared / "reference" / "family").glob("pjreddie__*.cfg")):
        cfg = parse_cfg(path.read_text())
        found = {key for section in (cfg.net, *cfg.layers) for key in section.options} & ALEXEYAB_KEYS
        assert not found, path.name


# ----------------------------------------------------------------------------------------------------------- failures


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


FAILURES = {
    "no cfg": (CfgError, {"cfg": "absent.cfg"}),
    "cfg and weights the wrong way round": (CfgError, {"cfg": "my.weights", "weights": "my.cfg"}),
    "wrong cfg": (CfgError, {"cfg": "wrong.cfg"}),
    "two class counts": (CfgError, {"cfg": "two.cfg", "weights": "two.weights"}),
    "letter_box that is no number": (CfgError, {"cfg": "letter_box.cfg"}),
    "no weights": (WeightsError, {"weights": "absent.weights"}),
    "weights too short": (WeightsError, {"weights": "short.weights"}),
    "weights too long": (WeightsError, {"weights": "long.weights"}),
    "no names": (NamesError, {"names": "absent.names"}),
    "names too many": (NamesError, {"names": "three.names"}),
    "output of another kind": (OutputError, {"model": "out.keras"}),
    "output is the weights": (OutputError, {"model": "my.weights"}),
    "output in a file": (OutputError, {"model": "my.cfg/out.h5"}),
    "output is there": (OutputError, {"model": "taken.h5"}),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_one_line_and_leaves_nothing_behind(failure: str, small, write_network, tmp_path: Path) -> None:
    text, data = small.cfg.read_text(), small.weights.read_bytes()
    (tmp_path / "my.cfg").write_text(text)
    (tmp_path / "my.weights").write_bytes(data)
    (tmp_path / "short.weights").write_bytes(data[:-4])
    (tmp_path / "long.weights").write_bytes(data + b"\0" * 4)
    (tmp_path / "three.names").write_text("a\nb\nc\n")
    (tmp_path / "taken.h5").write_bytes(b"mine")
    (tmp_path / "wrong.cfg").write_text(text.replace("activation=leaky", "activation=leeky", 1))
    (tmp_path / "letter_box.cfg").write_text(text.replace("width=32", "width=32\nletter_box=yes"))
    # The last head for three classes, the first for two.
    head, tail = text.rsplit("filters=14", 1)
    write_network(tmp_path, head + "filters=16" + tail.replace("classes=2", "classes=3"), "two")
    before = files_below(tmp_path)

    error, changes = FAILURES[failure]
    paths = {"cfg": "my.cfg", "weights": "my.weights", "model": "out.h5"} | changes
    notes: list[str] = []
    with pytest.raises(error) as raised:
        convert(**{key: tmp_path / value for key, value in paths.items()}, on_note=notes.append)
    message = str(raised.value)
    assert "\n" not in message
    assert str(tmp_path / next(iter(changes.values())).split("/")[0]) in message
    assert raised.value.exit_code == 2
    assert not notes
    assert files_below(tmp_path) == before
    assert (tmp_path / "taken.h5").read_bytes() == b"mine"


def test_an_unknown_resize_is_a_value_error(small, model: Path) -> None:
    with pytest.raises(ValueError, match="resize must be one of letterbox, stretch, not 'squash'"):
        convert(small.cfg, small.weights, model, resize="squash")
    assert not model.exists()


def test_a_failure_keeps_an_older_model(small, model: Path, names: Path) -> None:
    convert(small.cfg, small.weights, model, names=names)
    before = model.read_bytes()
    short = model.with_name("short.weights")
    short.write_bytes(small.weights.read_bytes()[:-4])
    with pytest.raises(Yolo3Error):
        convert(small.cfg, short, model)
    assert model.read_bytes() == before
    convert(small.cfg, small.weights, model)  # and a success replaces it
    assert read_description(model).names == ("class 0", "class 1")


def test_an_interruption_leaves_nothing_behind(small, model: Path) -> None:
    def on_note(note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(small.cfg, small.weights, model, on_note=on_note)
    assert files_below(model.parent) == []


def test_converting_again_from_the_description_gives_the_same_model(small, model: Path, tmp_path: Path) -> None:
    convert(small.cfg, small.weights, model)
    cfg = tmp_path / "again.cfg"
    cfg.write_text(read_description(model).cfg)
    convert(cfg, small.weights, tmp_path / "again.h5")
    assert read_description(tmp_path / "again.h5") == read_description(model)


def test_the_source_of_a_model_is_not_a_model(small) -> None:
    with pytest.raises(ModelFileError, match=r"a Darknet \.cfg"):
        read_description(small.cfg)


# ------------------------------------------------------------------------------------------------------ time and memory

MEASURE = """
    import json, resource, sys, time
    from pathlib import Path
    from convert.keras_import import import_keras
    from convert.cfg import parse_cfg, read_cfg
    from convert.conversion import convert
    from convert.network import build, plan

    def memory():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    what, cfg, weights, out = sys.argv[1:]
    keras = import_keras()
    build(plan(parse_cfg("[net]\\nwidth=8\\nheight=8\\n[convolutional]\\nbatch_normalize=1\\n"))).save(out)
    Path(out).unlink()
    base, start = memory(), time.perf_counter()
    if what == "convert":
        convert(cfg, weights, out)
        built = start
    else:
        model = build(plan(read_cfg(cfg)))
        built = time.perf_counter()
        model.save(out)
    end = time.perf_counter()
    print(json.dumps([built - start, end - built, memory() - base]))
"""


def measure(what: str, weights: Path, out: Path) -> tuple[float, float, float]:
    """Seconds of building and of the rest, and bytes of memory above what TensorFlow takes by itself."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURE), what, CONFIGS / "yolov3.cfg", weights, out],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    out.unlink()
    building, rest, memory = json.loads(done.stdout.splitlines()[-1])
    return building, rest, memory


@pytest.mark.slow
def test_yolov3_is_converted_in_twice_the_time_of_building_and_saving_it_and_in_little_memory(
    random_weights: Callable[[Path], Path], tmp_path: Path
) -> None:
    weights = random_weights(CONFIGS / "yolov3.cfg")
    size = weights.stat().st_size
    assert size == 248_007_048
    # One of each in turn, so that a busy moment of the machine hits both.
    runs = [[measure(what, weights, tmp_path / f"{what}.h5") for what in ("convert", "save")] for _ in "123"]
    converting = median(rest for (_, rest, _), _ in runs)
    building, saving = median(run[1][0] for run in runs), median(run[1][1] for run in runs)
    memory = max(taken for (_, _, taken), _ in runs)
    print(f"convert {converting:.2f} s; the same network built in {building:.2f} s and saved in {saving:.2f} s")
    print(f"ratio {converting / (building + saving):.2f}, to the saving alone {converting / saving:.2f}")
    print(f"memory {memory / 2**20:.0f} MiB, {memory / size:.2f} times the weights")
    assert converting <= 2 * (building + saving)
    assert memory <= 3 * size
