"""Convert labelled images to the form that evaluation needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from detector.datasets.examples import Example
from detector.datasets.pictures import size_of
from detector.evaluation.average_precision import Truth
from detector.heads.boxes import to_edges
from detector.images.reading import read_picture


def picture_reader(example: Example) -> Callable[[], NDArray[np.uint8]]:
    """Return a function that reads the example's image."""
    return partial(read_picture, example.path)


def example_truth(example: Example) -> Truth:
    """Return the ground-truth boxes of the example, in pixels of its image as displayed."""
    size = np.array(size_of(example) * 2, np.float32)
    return Truth(to_edges(example.boxes) * size, example.class_id, example.crowd, example.area)
