"""The networks and class names in configs/ are those that the published weights were trained with."""

from pathlib import Path

import pytest

from convert.cfg import read_cfg
from convert.network import plan

CONFIGS = Path(__file__).parents[2] / "configs"
NETWORKS = ("yolov3", "yolov3-tiny", "yolov3-spp")

# Every key that inference or ordinary training needs; pjreddie's Darknet knows them all. A key that only
# AlexeyAB's Darknet knows would make the converter think that the network was trained on stretched pictures.
KEYS = {
    kind: set(keys.split())
    for kind, keys in {
        "net": "width height channels batch subdivisions momentum decay learning_rate burn_in max_batches "
        "policy steps scales saturation exposure hue",
        "convolutional": "batch_normalize filters size stride pad activation",
        "maxpool": "size stride",
        "shortcut": "from activation",
        "route": "layers",
        "upsample": "stride",
        "yolo": "mask anchors classes num jitter ignore_thresh random",
    }.items()
}

Section = tuple[str, dict[str, str]]


def read(name: str) -> list[Section]:
    """The cfg as (kind, options), read by other code than the converter's."""
    sections: list[Section] = []
    for line in (CONFIGS / f"{name}.cfg").read_text(encoding="ascii").splitlines():
        if line.startswith("["):
            sections.append((line.strip("[]"), {}))
        elif line and not line.startswith("#"):
            key, value = line.split("=")
            assert key not in sections[-1][1], f"{name}: {key} twice in [{sections[-1][0]}]"
            sections[-1][1][key] = value
    return sections


def of_kind(name: str, kind: str) -> list[dict[str, str]]:
    return [options for found, options in read(name) if found == kind]


def numbers(text: str) -> list[int]:
    return [int(item) for item in text.split(",")]


@pytest.mark.parametrize(
    ("file", "count", "first", "last"),
    [("coco.names", 80, "person", "toothbrush"), ("voc.names", 20, "aeroplane", "tvmonitor")],
)
def test_names_are_complete_and_distinct(file: str, count: int, first: str, last: str) -> None:
    text = (CONFIGS / file).read_text(encoding="ascii")
    names = text.split("\n")[:-1]
    assert text.endswith("\n")
    assert len(names) == len(set(names)) == count
    assert (names[0], names[-1]) == (first, last)
    assert all(name and name == name.strip() for name in names)


def test_coco_has_darknets_spelling() -> None:
    names = (CONFIGS / "coco.names").read_text(encoding="ascii").splitlines()
    assert names[3:5] == ["motorbike", "aeroplane"]
    assert names[57:63] == ["sofa", "pottedplant", "bed", "diningtable", "toilet", "tvmonitor"]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cfg_has_only_needed_keys(name: str) -> None:
    for kind, options in read(name):
        assert set(options) <= KEYS[kind], kind


@pytest.mark.parametrize(("name", "side"), [("yolov3", 416), ("yolov3-tiny", 416), ("yolov3-spp", 608)])
def test_input_is_a_square_of_whole_strides(name: str, side: int) -> None:
    net = of_kind(name, "net")[0]
    assert (net["width"], net["height"], net["channels"]) == (str(side), str(side), "3")
    assert side % 32 == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_heads_agree_with_their_anchors_and_filters(name: str) -> None:
    sections = read(name)
    heads = [index for index, (kind, _) in enumerate(sections) if kind == "yolo"]
    assert len(heads) == (2 if name == "yolov3-tiny" else 3)
    for index in heads:
        (before, convolution), (_, head) = sections[index - 1 : index + 1]
        mask, classes, num = numbers(head["mask"]), int(head["classes"]), int(head["num"])
        assert before == "convolutional"
        assert convolution["activation"] == "linear"
        assert "batch_normalize" not in convolution
        assert int(convolution["filters"]) == len(mask) * (5 + classes)
        assert len(numbers(head["anchors"])) == 2 * num
        assert max(mask) < num
        assert head["anchors"] == sections[heads[0]][1]["anchors"]


@pytest.mark.parametrize(
    ("name", "masks"),
    [
        ("yolov3", ["6,7,8", "3,4,5", "0,1,2"]),
        ("yolov3-spp", ["6,7,8", "3,4,5", "0,1,2"]),
        ("yolov3-tiny", ["3,4,5", "1,2,3"]),  # as its published weights were trained
    ],
)
def test_masks(name: str, masks: list[str]) -> None:
    assert [head["mask"] for head in of_kind(name, "yolo")] == masks


@pytest.mark.parametrize(
    ("name", "layers", "shortcuts", "routes"),
    [
        ("yolov3", 107, 23, ["-4", "-1,61", "-4", "-1,36"]),
        ("yolov3-spp", 114, 23, ["-2", "-4", "-1,-3,-5,-6", "-4", "-1,61", "-4", "-1,36"]),
        ("yolov3-tiny", 24, 0, ["-4", "-1,8"]),
    ],
)
def test_joints(name: str, layers: int, shortcuts: int, routes: list[str]) -> None:
    assert len(read(name)) - 1 == layers
    assert [shortcut["from"] for shortcut in of_kind(name, "shortcut")] == ["-3"] * shortcuts
    assert [route["layers"] for route in of_kind(name, "route")] == routes


@pytest.mark.parametrize(
    ("name", "floats"), [("yolov3", 62_001_757), ("yolov3-tiny", 8_858_734), ("yolov3-spp", 63_052_381)]
)
def test_a_network_takes_exactly_the_floats_of_its_published_weights(name: str, floats: int) -> None:
    assert plan(read_cfg(CONFIGS / f"{name}.cfg")).parameter_count == floats


@pytest.mark.parametrize(
    ("name", "grids"), [("yolov3", [13, 26, 52]), ("yolov3-tiny", [13, 26]), ("yolov3-spp", [19, 38, 76])]
)
def test_heads_are_ordered_coarsest_first(name: str, grids: list[int]) -> None:
    outputs = plan(read_cfg(CONFIGS / f"{name}.cfg")).outputs
    assert [(layer.shape.height, layer.shape.width, layer.shape.channels) for layer in outputs] == [
        (grid, grid, 255) for grid in grids
    ]
