import dataclasses
import pickle

import numpy as np
import pytest
from PIL import Image

from convert.head import Head
from convert.model_file import Description, read_description
from detector import Detector, Settings, Tiles
from detector.errors import ModelFileError, PictureError, SettingsError

HEAD = Head(kind="yolo", layer=1, stride=32, anchors=((32.0, 32.0),), classes=3)
DESCRIPTION = Description(
    cfg="", cfg_sha256="", weights_sha256="", width=96, height=96, channels=3, resize="letterbox",
    names=("red", "green", "blue"), heads=(HEAD,),
)  # fmt: skip


class FakeEngine:
    """Returns the same outputs for every picture and records its inputs."""

    name = "fake"

    def __init__(self, *cells):
        self.cells = cells
        self.batch = None

    def run(self, batch):
        self.batch = batch
        output = np.full((1, batch.shape[1] // 32, batch.shape[2] // 32, 8), -20, np.float32)
        for row, column, values in self.cells:
            output[0, row, column] = values
        return [output]


CENTRED_RED = (1, 1, [0, 0, 0, 0, 20, 20, -20, -20])


def test_a_box_is_in_pixels_of_the_picture():
    detector = Detector(DESCRIPTION, FakeEngine(CENTRED_RED))

    ((box, confidence, class_id, name),) = detector.detect(np.zeros((192, 192, 3), np.uint8))

    np.testing.assert_allclose(box, [64, 64, 128, 128], atol=1e-3)
    assert confidence == pytest.approx(1)
    assert (class_id, name) == (0, "red")


def test_a_letterboxed_box_is_mapped_back():
    detector = Detector(DESCRIPTION, FakeEngine(CENTRED_RED))

    ((box, *_),) = detector.detect(np.zeros((96, 192, 3), np.uint8))

    # The picture of 192x96 lies in 96x96 as 96x48, rows 24 to 72; the cell is rows 32 to 64 of the input.
    np.testing.assert_allclose(box, [64, 16, 128, 80], atol=1e-3)


def test_non_square_pixels_are_detected_as_displayed():
    detector = Detector(DESCRIPTION, FakeEngine(CENTRED_RED))
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:, :48] = 255

    ((box, *_),) = detector.detect(picture, pixel_aspect=2.0)

    # Displayed at 192x96 it lies in 96x96 as 96x48, rows 24 to 72; the box is in the pixels that it has, 96x96.
    np.testing.assert_allclose(box, [32, 16, 64, 80], atol=1e-3)
    shown = detector.engine.batch[0]
    assert (shown[:24] == 0.5).all() and (shown[72:] == 0.5).all()
    assert (shown[24:72, :47] == 1).all() and (shown[24:72, 49:] == 0).all()


def test_boxes_are_clipped_to_the_picture():
    wide = (0, 2, [0, 0, 2, 2, 20, 20, -20, -20])

    ((box, *_),) = Detector(DESCRIPTION, FakeEngine(wide)).detect(np.zeros((96, 96, 3), np.uint8))

    assert box.tolist() == [0, 0, 96, 96]


def test_the_engine_gets_rgb_between_0_and_1():
    engine = FakeEngine()
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[..., 0] = 255

    Detector(DESCRIPTION, engine).detect(picture)

    assert engine.batch.shape == (1, 96, 96, 3)
    assert engine.batch.dtype == np.float32
    assert engine.batch[..., 0].min() == 1
    assert engine.batch[..., 1:].max() == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (96, 96)),
        ({"size": 160}, (160, 160)),
        ({"size": "160x64"}, (64, 160)),
        ({"shape": "rect"}, (64, 96)),
        ({"shape": "fit"}, (64, 128)),
    ],
)
def test_size_and_shape_of_the_networks_input(options, expected):
    engine = FakeEngine()

    Detector(DESCRIPTION, engine, Settings(**options)).detect(np.zeros((100, 200, 3), np.uint8))

    assert engine.batch.shape[1:3] == expected


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_resize_follows_the_model_unless_set(resize):
    description = dataclasses.replace(DESCRIPTION, resize=resize)
    other = {"letterbox": "stretch", "stretch": "letterbox"}[resize]

    assert Detector(description, FakeEngine()).fit(200, 100).inner_height == {"letterbox": 48, "stretch": 96}[resize]
    overridden = Detector(description, FakeEngine(), Settings(resize=other)).fit(200, 100)
    assert overridden.inner_height == {"letterbox": 48, "stretch": 96}[other]


def test_suppression_is_of_the_kind_that_the_cfgs_last_layer_names():
    coarse = dataclasses.replace(HEAD, layer=1, nms_kind="greedynms")
    fine = dataclasses.replace(HEAD, layer=2, stride=16, nms_kind="default")
    description = dataclasses.replace(DESCRIPTION, heads=(coarse, fine))

    class TwoHeads(FakeEngine):
        def run(self, batch):
            near = [0, 0, 0, 0, 20, 20, -20, -20]
            coarse_output = np.full((1, 3, 3, 8), -20, np.float32)
            fine_output = np.full((1, 6, 6, 8), -20, np.float32)
            coarse_output[0, 1, 1] = near
            fine_output[0, 2, 2] = [0, 0, 0, 0, 10, 10, -20, -20]
            return [coarse_output, fine_output]

    # The two boxes of 32x32 lie 8 pixels apart both ways: IoU 0.39, so a threshold of 0.35 tells the kinds apart.
    picture = np.zeros((96, 96, 3), np.uint8)
    strict = Detector(description, TwoHeads(), Settings(nms=0.35)).detect(picture)
    swapped = dataclasses.replace(description, heads=(coarse, dataclasses.replace(fine, nms_kind="greedynms")))
    lenient = Detector(swapped, TwoHeads(), Settings(nms=0.35)).detect(picture)
    assert (len(strict), len(lenient)) == (1, 2)


def test_max_detections_keeps_the_best_boxes():
    engine = FakeEngine(*((row, row, [0, 0, 0, 0, row, 20, -20, -20]) for row in (0, 1, 2)))
    picture = np.zeros((96, 96, 3), np.uint8)

    every = Detector(DESCRIPTION, engine).detect(picture)
    best = Detector(DESCRIPTION, engine, Settings(max_detections=2)).detect(picture)

    assert len(every) == 3
    np.testing.assert_array_equal(best.confidence, every.confidence[:2])


def test_boxes_of_different_classes_suppress_each_other_when_asked():
    engine = FakeEngine((1, 1, [0, 0, 0, 0, 20, 20, 2, -20]))
    picture = np.zeros((96, 96, 3), np.uint8)

    assert [name for *_, name in Detector(DESCRIPTION, engine).detect(picture)] == ["red", "green"]
    assert [name for *_, name in Detector(DESCRIPTION, engine, Settings(agnostic=True)).detect(picture)] == ["red"]


def test_pictures_of_every_kind_give_the_same_boxes(colour_model, flag, tmp_path):
    path = tmp_path / "Flagge mit Ümlaut 旗.png"
    Image.fromarray(flag).save(path)
    detector = Detector.open(colour_model)

    found = [detector.detect(picture) for picture in (flag, path, str(path), Image.open(path))]

    for detections in found:
        assert [name for *_, name in detections] == ["red", "blue"]
        np.testing.assert_allclose(detections.xyxy, [[0, 0, 32, 32], [32, 64, 64, 96]], atol=1e-3)
        np.testing.assert_allclose(detections.confidence, 1, atol=1e-4)


def test_sources_of_every_kind(colour_model, flag, tmp_path):
    path = tmp_path / "flag.png"
    Image.fromarray(flag).save(path)
    detector = Detector.open(colour_model)

    with path.open("rb") as file:
        many = detector.detect([flag, str(path), path.read_bytes(), file, Image.open(path)])

    assert [found.class_names for found in many] == [["red", "blue"]] * 5
    assert detector.detect(flag[..., ::-1], bgr=True).class_names == ["red", "blue"]
    assert detector.detect(flag[..., ::-1]).class_names == ["blue", "red"]
    assert detector.detect([]) == []
    with pytest.raises(TypeError, match="bgr=True is for arrays"):
        detector.detect(path, bgr=True)


def test_detections_of_a_picture_are_drawn_and_saved(colour_model, flag, tmp_path):
    path = tmp_path / "flag.png"
    Image.fromarray(flag).save(path)
    detector = Detector.open(colour_model)
    before = flag.copy()

    plots = [detector.detect(picture).plot() for picture in (flag, path, path.read_bytes(), Image.open(path))]

    assert (plots[0] != flag).any()
    assert all((plot == plots[0]).all() for plot in plots)
    assert (flag == before).all()
    bgr = detector.detect(flag[..., ::-1], bgr=True)
    assert (bgr.plot()[..., ::-1] == plots[0]).all()
    for found, name in ((detector.detect(path), "a.png"), (bgr, "b.png")):
        found.save(tmp_path / name)
        with Image.open(tmp_path / name) as saved:
            assert (np.asarray(saved) == plots[0]).all()
    assert (detector.detect(flag)[:0].plot() == flag).all()


def test_a_detector_is_opened_and_pickled(colour_model, flag):
    detector = Detector.open(str(colour_model), classes=["red", 1], size=(128, 96), confidence=0.3)

    assert detector.detect(flag).class_names == ["red"]
    assert repr(detector) == f"Detector({colour_model.name}, 3 classes, 128x96, {detector.engine.name})"
    copy = pickle.loads(pickle.dumps(detector))
    assert copy.settings == detector.settings
    assert (copy.detect(flag).xyxy == detector.detect(flag).xyxy).all()
    with pytest.raises(TypeError, match="opened from a model file"):
        pickle.dumps(Detector(DESCRIPTION, FakeEngine()))


def test_the_package_lists_what_it_exports():
    import detector

    assert {"Detections", "Detector", "Settings", "Yolo3Error"} <= set(dir(detector))
    assert all(hasattr(detector, name) for name in detector.__all__)


def test_only_the_chosen_classes(colour_model, flag):
    detections = Detector.open(colour_model, classes="blue").detect(flag)

    assert [name for *_, name in detections] == ["blue"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"confidence": 1.5}, ["confidence 1.5", "0 to 1"]),
        ({"nms": -1}, ["nms -1"]),
        ({"size": "big"}, ["size 'big'", "416"]),
        ({"size": 100}, ["size 100", "stride 32", "96"]),
        ({"size": 0}, ["size 0", "416"]),
        ({"size": 16}, ["size 16", "stride 32"]),
        ({"shape": "round"}, ["shape 'round'", "square, rect, fit"]),
        ({"resize": "crop"}, ["resize 'crop'", "letterbox, stretch"]),
        ({"interpolation": "cubic"}, ["interpolation 'cubic'"]),
        ({"engine": "steam"}, ["engine 'steam'", "keras"]),
        ({"classes": "red,purple"}, ["class 'purple'", "red, green, blue"]),
        ({"classes": " , "}, ["classes is empty"]),
    ],
)
def test_a_setting_out_of_range_is_explained(colour_model, options, words):
    with pytest.raises(SettingsError) as caught:
        Detector.open(colour_model, **options)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_network_of_one_size_refuses_others(colour_model):
    description = dataclasses.replace(read_description(colour_model), fixed_size="layer 3: it counts cells")

    with pytest.raises(SettingsError, match=r"96x96 only \(layer 3: it counts cells\)"):
        Detector(description, FakeEngine(), Settings(size=128))


def test_a_file_that_is_not_a_model(tmp_path):
    path = tmp_path / "notes.h5"
    path.write_text("milk, eggs")

    with pytest.raises(ModelFileError, match=r"notes\.h5"):
        Detector.open(path)


def test_an_invalid_picture():
    with pytest.raises(PictureError, match="uint8"):
        Detector(DESCRIPTION, FakeEngine()).detect(np.zeros((96, 96, 3), np.float32))


class PatchEngine:
    """Finds the brightest pixel's cell of each input, and notes the batches."""

    name = "patch"
    workers = 1

    def __init__(self):
        self.batches = []

    def run(self, batch):
        self.batches.append(batch.shape)
        output = np.full((len(batch), batch.shape[1] // 32, batch.shape[2] // 32, 8), -20, np.float32)
        for one, picture in zip(output, batch, strict=True):
            cells = picture[..., 0].reshape(one.shape[0], 32, one.shape[1], 32).mean(axis=(1, 3))
            # A tiny box in the middle of the cell.
            one[cells > 0.9] = [0, 0, -2, -2, 20, 20, -20, -20]
        return [output]


def test_tiles_detect_objects_too_small_in_the_whole_picture():
    picture = np.zeros((192, 192, 3), np.uint8)
    picture[96:128, 128:160, 0] = 255  # a quarter of a cell of the whole picture's input, a cell of its quadrant's
    engine = PatchEngine()
    detector = Detector(DESCRIPTION, engine, Settings(max_detections=5))

    assert len(detector.detect(picture)) == 0
    found = detector.detect(picture, tiles=Tiles(2, 2, overlap=0))

    ((box, *_),) = found
    side = 32 * np.exp(-2) / 2
    np.testing.assert_allclose(box, [144 - side, 112 - side, 144 + side, 112 + side], atol=1e-3)
    assert engine.batches == [(1, 96, 96, 3), (5, 96, 96, 3)]


def test_tiles_of_planes_are_those_of_the_picture(flag):
    import cv2

    from detector.images.planes import Planes

    big = np.kron(flag, np.ones((2, 2, 1), np.uint8))
    planes = Planes(
        cv2.cvtColor(big, cv2.COLOR_RGB2YUV_I420),
        lambda stored: cv2.cvtColor(stored, cv2.COLOR_YUV2RGB_I420),
        matrix=6,
        full_range=False,
    )
    seen = []

    class Note(PatchEngine):
        def run(self, batch):
            seen.append(batch)
            return super().run(batch)

    detector = Detector(DESCRIPTION, Note(), Settings(tiles="2x2", tile_overlap=0.0))

    detector.detect(big)
    detector.detect(planes)

    # At the edges of the squares colours differ: planes hold them at half the size.
    assert seen[0].shape == seen[1].shape == (5, 96, 96, 3)
    assert np.abs(seen[0] - seen[1]).mean(axis=(1, 2, 3)).max() < 0.02


def test_inputs_of_other_shapes_are_batches_of_their_own():
    engine = PatchEngine()
    detector = Detector(DESCRIPTION, engine, Settings(shape="rect", tiles="3x1", tile_overlap=0.0))

    detector.detect(np.zeros((96, 192, 3), np.uint8))

    assert engine.batches == [(1, 64, 96, 3), (3, 96, 64, 3)]


def test_one_tile_is_the_whole_picture():
    engine = PatchEngine()

    Detector(DESCRIPTION, engine, Settings(tiles="auto")).detect(np.zeros((96, 96, 3), np.uint8))

    assert engine.batches == [(1, 96, 96, 3)]
