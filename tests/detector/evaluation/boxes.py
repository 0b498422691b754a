"""True and found boxes for tests of measurements."""

import numpy as np

from detector.detections import Detections
from detector.evaluation.average_precision import Truth

NAMES = ("cat", "dog")
BOX = [10.0, 10.0, 60.0, 60.0]
FAR = [200.0, 10.0, 260.0, 60.0]


def truth(*rows, crowd=None):
    boxes = np.array([box for _, box in rows], np.float32).reshape(-1, 4)
    return Truth(boxes, np.array([kind for kind, _ in rows], np.int64), None if crowd is None else np.array(crowd))


def found(*rows, names=NAMES):
    boxes = np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4)
    sure = np.array([confidence for *_, confidence in rows], np.float32)
    return Detections(boxes, sure, np.array([kind for kind, *_ in rows], np.int64), names)
