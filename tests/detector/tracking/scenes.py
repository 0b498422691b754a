"""Objects that move on straight lines, as detections with known identities."""

import numpy as np

from detector.tracking.offline import DetectedFrame
from detector.tracking.tracklets import Observations


def moving(count, *starts, rate=25.0, size=(40, 90), missing=(), noise=0.0, class_id=0, confidence=0.9):
    """Frames of objects, each (x, y, pixels per second across, down); `missing` holds (object, frame) pairs."""
    random = np.random.default_rng(3)
    frames, truth = [], []
    for index in range(count):
        boxes, who = [], []
        for number, (x, y, across, down) in enumerate(starts):
            if (number, index) in missing:
                continue
            left, top = x + across * index / rate, y + down * index / rate
            jitter = random.normal(0, noise, 4) if noise else 0
            boxes.append(np.array([left, top, left + size[0], top + size[1]]) + jitter)
            who.append(number)
        frames.append(
            DetectedFrame(
                index,
                round(index / rate, 6),
                np.array(boxes).reshape(-1, 4),
                np.full(len(boxes), confidence),
                np.full(len(boxes), class_id, np.int64),
            )
        )
        truth.append(who)
    return frames, truth


def observed(frames):
    return Observations.of(
        np.array([frame.time for frame in frames]),
        np.array([len(frame.confidence) for frame in frames]),
        np.concatenate([frame.xyxy for frame in frames]).reshape(-1, 4),
        np.concatenate([frame.confidence for frame in frames]),
        np.concatenate([frame.class_id for frame in frames]),
    )


def gap(number, first, last):
    return {(number, index) for index in range(first, last)}
