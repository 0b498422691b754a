"""Running a network of the shared family and bringing its outputs into Darknet's own layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.head import Head

Array = NDArray[np.float32]


def make_weights(shared: Path, cfg: Path, out: Path) -> Path:
    """Seeded random weights of the size that the cfg needs."""
    tool = shared / "tools" / "random_weights.py"
    subprocess.run([sys.executable, tool, cfg, out, "7"], check=True, stdout=subprocess.DEVNULL)
    return out


def reference_input(reference: dict[str, NDArray[np.generic]]) -> Array:
    """The input that the reference was computed from, as a batch of one, NHWC."""
    shape = tuple(int(side) for side in reference["input_shape_chw"])
    picture = np.random.default_rng(11).uniform(0, 1, shape).astype("float32")
    return picture.transpose(1, 2, 0)[None]


def reference_outputs(reference: dict[str, NDArray[np.generic]]) -> dict[int, Array]:
    """Layer index -> Darknet's flat output."""
    return {
        int(key.split("_")[0].removeprefix("layer")): np.asarray(reference[key], np.float32)
        for key in reference
        if key.startswith("layer")
    }


def as_darknet(output: Array, head: Head | None, *, pjreddie: bool) -> Array:
    """One output of the Keras model, flat, as Darknet's layer leaves it: its own layout, its own activations."""
    if head is None:
        return output.ravel()
    if head.kind == "detection":
        return _detection(output, head)
    rows, columns, _ = output.shape
    boxes = output.reshape(rows, columns, len(head.anchors), -1).astype(np.float64)
    if head.kind == "region":
        active = _region(boxes, head, pjreddie=pjreddie)
        # AlexeyAB's region layer keeps a box's numbers together; pjreddie's has a plane for each.
        return (active.transpose(2, 3, 0, 1) if pjreddie else active).ravel()
    active = _gaussian(boxes, head) if head.kind == "Gaussian_yolo" else _yolo(boxes, head)
    return active.transpose(2, 3, 0, 1).ravel()


def _yolo(boxes: NDArray[np.float64], head: Head) -> NDArray[np.float64]:
    active = boxes.copy()
    if not head.new_coords:
        active[..., :2] = _sigmoid(boxes[..., :2])
        active[..., 4:] = _sigmoid(boxes[..., 4:])
    active[..., :2] = active[..., :2] * head.scale_x_y - (head.scale_x_y - 1) / 2
    return active


def _gaussian(boxes: NDArray[np.float64], head: Head) -> NDArray[np.float64]:
    active = _sigmoid(boxes)
    active[..., [4, 6]] = boxes[..., [4, 6]]
    active[..., [0, 2]] = active[..., [0, 2]] * head.scale_x_y - (head.scale_x_y - 1) / 2
    return active


def _region(boxes: NDArray[np.float64], head: Head, *, pjreddie: bool) -> NDArray[np.float64]:
    active = boxes.copy()
    if pjreddie:
        active[..., :2] = _sigmoid(boxes[..., :2])
    active[..., 4] = _sigmoid(boxes[..., 4])
    active[..., 5:] = _softmax(boxes[..., 5:])
    return active


def _detection(output: Array, head: Head) -> Array:
    classes, number = output[..., : head.classes], len(head.anchors)
    if head.softmax:
        classes = _softmax(classes)
    confidences = output[..., head.classes : head.classes + number]
    return np.concatenate([classes.ravel(), confidences.ravel(), output[..., head.classes + number :].ravel()])


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def difference(found: Array, expected: Array) -> float:
    """The largest difference as a part of the output's range."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / (expected.max() - expected.min()))
