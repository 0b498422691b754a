"""Which precision a run gets, and what the user is told of it."""

import pytest
from PIL import Image

from convert import convert
from detector import Detector
from detector.engines import openvino as openvino_engine
from detector.engines.quantising import NEEDED
from detector.precision import choosing
from detector.precision.calibration import PICTURES
from detector.precision.choosing import Comparison

pytest.importorskip("openvino")


@pytest.fixture
def open_model(colour_model):
    """Opens a detector; returns it and what it said of precision."""

    def open_model(**options):
        notes = []
        detector = Detector.open(colour_model, on_note=notes.append, **options)
        (note,) = [note for note in notes if note.startswith("precision")]
        return detector, note

    return open_model


def test_int8_is_made_once_and_kept(open_model, pictures, made, flag):
    first, _ = open_model(precision="int8", calibrate=pictures)
    again, note = open_model(precision="int8", calibrate=pictures)

    assert made == [PICTURES]
    assert first.engine.name == again.engine.name == "openvino"
    assert note.startswith("precision: int8 by openvino (")
    assert f"boxes agree by 1.00 on {PICTURES} pictures of" in note
    assert again.detect(flag).class_id.tolist() == [0, 2]


def test_other_pictures_make_another_network(open_model, pictures, made):
    open_model(precision="int8", calibrate=pictures)
    (pictures / "0.png").unlink()
    open_model(precision="int8", calibrate=pictures)

    assert len(made) == 2


def test_a_damaged_network_is_made_again(open_model, pictures, made, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    open_model(precision="int8", calibrate=pictures)
    (kept,) = (tmp_path / "cache" / "yolo3").glob("*quantised*")
    kept.write_bytes(kept.read_bytes()[:-9])
    open_model(precision="int8", calibrate=pictures)

    assert len(made) == 2


def too_few(folder):
    for path in sorted(folder.iterdir())[7:]:
        path.unlink()


def all_the_same(folder):
    for path in folder.iterdir():
        Image.new("RGB", (96, 96), "red").save(path)


def unreadable(folder):
    for path in folder.iterdir():
        path.write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (too_few, "7 pictures are too few to compare on; expected 8 or more"),
        (all_the_same, "all the same"),
        (unreadable, "0 pictures are too few"),
    ],
)
def test_pictures_that_will_not_do_leave_floats(open_model, pictures, made, harm, words):
    harm(pictures)
    detector, note = open_model(precision="int8", calibrate=pictures, engine="openvino")

    assert note.startswith("precision: float (int8 by openvino: ")
    assert words in note
    assert detector.engine.name == "openvino"
    assert not made


def test_without_pictures_int8_is_that_of_the_weights(open_model):
    detector, note = open_model(precision="int8")

    assert note == "precision: int8 weights by litert (as asked for)"
    assert detector.engine.name == "litert"


@pytest.mark.parametrize("package", NEEDED)
def test_a_missing_package_is_named(open_model, pictures, monkeypatch, package):
    monkeypatch.setattr(choosing, "can_quantise", lambda: False)
    monkeypatch.setattr(choosing, "find_spec", lambda name: None if name == package else object())
    _, note = open_model(precision="int8", calibrate=pictures, engine="openvino")

    assert note.startswith(f"precision: float (int8 by openvino: {package} is not installed")


def test_a_processor_without_the_arithmetic_computes_in_floats(open_model, monkeypatch):
    monkeypatch.setattr(openvino_engine, "capabilities", lambda: frozenset({"FP32"}))
    _, note = open_model(precision="bf16")

    assert note == "precision: float (bf16 by openvino: this processor has no BF16 arithmetic)"


def test_a_network_that_cannot_be_made_leaves_floats(open_model, pictures, made, monkeypatch):
    def fail(network, inputs):
        raise choosing.EngineError("NNCF cannot make an int8 network of it (unknown operation)")

    monkeypatch.setattr(choosing, "quantise", fail)
    _, note = open_model(precision="int8", calibrate=pictures, engine="openvino")

    assert note.startswith("precision: float (int8 by openvino: NNCF cannot make")


def test_an_engine_without_another_precision(open_model):
    _, note = open_model(precision="int8", engine="keras")

    assert note == "precision: float (engine keras has no other)"


@pytest.fixture
def compared(monkeypatch):
    """Comparisons are not made but given, one for each kind; runs are long."""
    given = {}

    def compare(choice, engine):
        return given[engine.precision if engine.name == "openvino" else "litert"]

    monkeypatch.setattr(choosing.Choice, "_compare", compare)
    monkeypatch.setattr(choosing.Choice, "_run_seconds", 3600.0)
    return given


GOOD, FASTER = Comparison(0.95, 100, 32, 1.5), Comparison(0.9, 100, 32, 3.0)


@pytest.mark.parametrize(
    ("bf16", "int8", "chosen", "makes"),
    [
        (GOOD, FASTER, "int8 by openvino (3.0 times as fast", 1),
        (FASTER, FASTER, "bf16 by openvino (3.0 times as fast", 0),  # fast enough: int8 is not tried
        (GOOD, Comparison(0.7, 100, 32, 3.0), "bf16 by openvino (1.5", 1),  # int8 disagrees
        (GOOD, Comparison(0.9, 9, 32, 3.0), "bf16 by openvino (1.5", 1),  # too few boxes to say so
        (Comparison(0.95, 100, 32, 1.0), Comparison(0.9, 100, 32, 0.8), "float (", 1),  # neither is faster
    ],
)
def test_auto_takes_the_fastest_that_agrees(open_model, pictures, made, compared, bf16, int8, chosen, makes):
    compared.update(bf16=bf16, int8=int8, litert=Comparison(0.5, 100, 32, 2.0))
    _, note = open_model(precision="auto", calibrate=pictures)

    assert note.startswith(f"precision: {chosen}")
    assert len(made) == makes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no pictures to calibrate and compare on; name some with --calibrate"),
        ({"interpolation": "darknet"}, "asks for Darknet's own boxes"),
        ({"calibrate": "few"}, "fewer than 64 pictures"),
        ({"calibrate": "pictures"}, "the run is too short for it to pay"),
    ],
)
def test_auto_stays_with_floats(open_model, pictures, made, options, words):
    if "calibrate" in options:
        options = {"calibrate": pictures if options["calibrate"] == "pictures" else [pictures / "1.png"]}
    detector, note = open_model(precision="auto", **options)

    assert note.startswith("precision: float (")
    assert words in note
    assert detector.engine.name == "litert"
    assert not made


@pytest.mark.slow
def test_int8_of_a_real_network_finds_its_boxes(shared, tmp_path):
    pytest.importorskip("nncf")
    weights = shared / "assets" / "weights"
    model = tmp_path / "fastest.h5"
    convert(weights / "yolo-fastest-1.1-xl.cfg", weights / "yolo-fastest-1.1-xl.weights", model)
    photos = shared / "assets" / "coco_val2017_128" / "images"
    floats = Detector.open(model)
    notes = []
    for precision, least in (("bf16", 0.9), ("int8", 0.7)):
        lower = Detector.open(model, precision=precision, calibrate=photos, on_note=notes.append)
        paths = sorted(photos.glob("*.jpg"))[1::4]
        found = [[detector.detect(path) for path in paths] for detector in (lower, floats)]

        assert lower.engine.name == "openvino"
        assert choosing.agreement(*found).f1 > least, notes
