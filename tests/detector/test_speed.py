"""The pure functions around the network, each compared with a yardstick measured on the same machine at the same time.

`pytest tests/detector/test_speed.py --benchmark-only` prints their times. The limits are several times what was
measured, so that only a change of kind fails: a copy of the whole picture, a loop over cells or boxes in Python.
"""

import time

import cv2
import numpy as np
import pytest

from convert.head import Head
from detector.heads.decode import decode
from detector.heads.nms import suppress
from detector.images.letterbox import fit_picture
from detector.images.planes import Planes

pytestmark = pytest.mark.real_time

ANCHORS = ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0))
HEADS = [Head(kind="yolo", layer=layer, stride=stride, anchors=ANCHORS, classes=80) for layer, stride in
         ((82, 32), (94, 16), (106, 8))]  # fmt: skip
RANDOM = np.random.default_rng(11)


def yardstick():
    """Seconds to copy and sum 12 MB, the best of several tries: about 5 ms."""
    block = RANDOM.integers(0, 256, 12_000_000, np.uint8)
    took = []
    for _ in range(7):
        began = time.perf_counter()
        block.copy().sum()
        took.append(time.perf_counter() - began)
    return min(took)


@pytest.fixture
def within(benchmark):
    """Run a function as a benchmark, and compare its best time with this many yardsticks."""

    def run(function, yardsticks):
        benchmark.pedantic(function, rounds=15, iterations=3, warmup_rounds=2)
        if benchmark.stats is not None:  # None with --benchmark-disable
            assert benchmark.stats.stats.min < yardsticks * yardstick()

    return run


def test_letterbox_of_a_full_hd_picture(within):
    picture = RANDOM.integers(0, 256, (1080, 1920, 3), np.uint8)
    fit = fit_picture(1920, 1080, width=416, height=416)
    within(lambda: fit.network_input(picture), 0.3)


def test_letterbox_of_full_hd_planes(within):
    planes = Planes(RANDOM.integers(0, 256, (1620, 1920), np.uint8), cv2.copyTo, matrix=1, full_range=False)
    fit = fit_picture(1920, 1080, width=416, height=416)
    within(lambda: fit.network_input(planes), 0.45)


@pytest.mark.parametrize("cells", [0, 60])
def test_decoding_yolov3(within, cells):
    outputs = []
    for head in HEADS:
        side = 416 // head.stride
        output = RANDOM.normal(0, 1, (side, side, head.channels)).astype(np.float32)
        objectness = output.reshape(side, side, 3, 85)[..., 4]
        objectness[:] = -9
        objectness.reshape(-1)[RANDOM.choice(objectness.size, cells // 3, replace=False)] = 5
        outputs.append(output)
    found = decode(outputs, HEADS, confidence=0.25, width=416, height=416)
    assert (len(found) > 0) == (cells > 0)
    within(lambda: decode(outputs, HEADS, confidence=0.25, width=416, height=416), 0.2)


def test_suppressing_a_thousand_boxes(within):
    boxes = np.concatenate([RANDOM.uniform(0, 1, (1000, 2)), RANDOM.uniform(0.05, 0.2, (1000, 2))], 1).astype(
        np.float32
    )
    scores, kinds = RANDOM.uniform(0.3, 1, 1000).astype(np.float32), RANDOM.integers(0, 5, 1000)
    kept = suppress(boxes, scores, kinds, threshold=0.45)
    assert 5 < len(kept) < 1000
    within(lambda: suppress(boxes, scores, kinds, threshold=0.45), 4)
