"""Try ways to reduce the work per video that were rejected.

Boxes at constant velocity, or moved by dense flow (DIS), instead of by flow at points; and detection only in the region
that moved, where "detected" counts pixels of the network's input. Regions have a separate engine; the time it takes to
change its input size is included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detector import Detections, Detector
from detector.heads.boxes import iou
from detector.images.letterbox import Fit
from detector.tracking import optical_flow as motion
from detector.tracking.frame_skipping import REFRESH_SECONDS
from detector.video.frames import Detect, Frame, Image


class ConstantVelocity:
    """Between detections, each edge moves as it did between the last two (an alpha-beta filter)."""

    alpha = 0.7

    def __init__(self, detect: Detect, every: int) -> None:
        self._detect, self._every, self._number = detect, every, 0
        self._last = Detections.empty()
        self._velocity = np.zeros((0, 4))
        self.detected = 0

    def __call__(self, frame: Frame) -> Detections:
        """Detect, or predict the boxes."""
        image = frame.image
        steps, self._number = self._number % self._every, self._number + 1
        height, width = image.shape[:2]
        if steps:
            edges = np.clip(self._last.xyxy + self._velocity * steps, 0, [width, height] * 2).astype(np.float32)
            there = np.flatnonzero((edges[:, 2:] > edges[:, :2]).all(axis=1))
            return _moved(self._last, edges)[there]
        self.detected += 1
        found = self._detect(frame)
        self._velocity = self._velocities(found)
        self._last = found
        return found

    def _velocities(self, found: Detections) -> NDArray[np.float64]:
        expected = (self._last.xyxy + self._velocity * self._every).astype(np.float32)
        velocity = np.zeros((len(found), 4))
        taken: set[int] = set()
        for old in range(len(expected)):
            overlap = iou(expected[old : old + 1], found.xyxy) * (found.class_id == self._last.class_id[old])
            overlap[list(taken)] = 0
            if len(overlap) and overlap.max() > 0.1:
                new = int(overlap.argmax())
                taken.add(new)
                step = (found.xyxy[new] - self._last.xyxy[old]) / self._every
                velocity[new] = self.alpha * step + (1 - self.alpha) * self._velocity[old]
        return velocity


class DenseFlow:
    """Between detections, each box moves by the median of the dense flow inside it (DIS, ultrafast)."""

    def __init__(self, detect: Detect, every: int) -> None:
        self._detect, self._every, self._number = detect, every, 0
        self._last = Detections.empty()
        self._before: NDArray[np.uint8] = np.zeros((1, 1), np.uint8)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self.detected = 0

    def __call__(self, frame: Frame) -> Detections:
        """Detect, or move the boxes of the previous frame."""
        looks, self._number = self._number % self._every == 0, self._number + 1
        image = frame.image
        luma = motion.luma_of(image)
        now = motion.reduced(luma, 320)
        if looks:
            self.detected += 1
            self._last = self._detect(frame)
        elif len(self._last):
            flow = self._flow.calc(self._before, now, np.zeros((*now.shape, 2), np.float32))
            self._last = _moved(self._last, self._shifted(flow, luma.shape[1] // now.shape[1], luma.shape))
        self._before = now
        return self._last

    def _shifted(self, flow: Any, square: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        edges = self._last.xyxy.copy()
        for number, (left, top, right, bottom) in enumerate((edges / square).astype(int).tolist()):
            inside = flow[top : bottom + 1, left : right + 1].reshape(-1, 2)
            if len(inside):
                edges[number] += np.tile(np.median(inside, axis=0) * square, 2)
        return np.clip(edges, 0, [shape[1], shape[0]] * 2).astype(np.float32)


class Regions:
    """If only a part moved, detect in a rectangle of whole strides around it, at the scale of the whole image.

    Kept boxes that reach into that part are detected again with it, so that none is cut or doubled. If more than `most`
    of the input moved, the whole image is processed. `margin` is in pixels of the input.
    """

    def __init__(self, detector: Detector, *, margin: int, most: float) -> None:
        self._detector, self._margin, self._most = detector, margin, most
        self._last: Detections | None = None
        self._seen: NDArray[np.float32] = np.zeros((1, 1), np.float32)
        self._looked_at = 0.0
        self.detected = 0.0

    def __call__(self, frame: Frame) -> Detections:
        """Detect in the region that moved, and keep the boxes of the rest."""
        image, seconds = frame.image, float(frame.time)
        now = motion._smooth(motion.luma_of(image))
        fit = self._detector.fit(image.shape[1], image.shape[0])
        if self._last is not None and seconds - self._looked_at < REFRESH_SECONDS:
            moved = self._moved(now)
            if not moved.any():
                return self._last
            part, region = self._part(moved, fit)
            share = (region[2] - region[0]) * (region[3] - region[1]) / (fit.width * fit.height)
            if share <= self._most:
                self.detected += share
                self._last = self._look(image, fit, part, region)
                rows, columns = _cells(part, fit, now.shape)
                self._seen[rows, columns] = now[rows, columns]
                return self._last
        self.detected += 1
        self._seen, self._looked_at = now, seconds
        self._last = self._detector.detect(image)
        return self._last

    def _moved(self, now: NDArray[np.float32]) -> NDArray[np.bool_]:
        difference = now - self._seen
        difference -= cv2.blur(difference, (41, 41), borderType=cv2.BORDER_REFLECT)
        change = np.abs(difference)
        return np.asarray(change > np.clip(6 * 1.4826 * np.median(change), 8, 15))

    def _part(self, moved: NDArray[np.bool_], fit: Fit) -> tuple[NDArray[np.float64], list[int]]:
        """Return the region of whole strides around the motion and the boxes overlapping it, in pixels of the input."""
        assert self._last is not None
        y, x = np.nonzero(moved)
        scale = np.array([fit.width, fit.height] * 2) / np.array([*moved.shape[::-1]] * 2)
        part = np.array([x.min() - 1, y.min() - 1, x.max() + 2, y.max() + 2]) * scale
        boxes = self._last.xyxy * _scale(fit)
        while True:
            reach = (boxes[:, :2] < part[2:]).all(axis=1) & (boxes[:, 2:] > part[:2]).all(axis=1)
            hull = np.concatenate([boxes[reach], part[None]])
            wider = np.concatenate([hull[:, :2].min(axis=0), hull[:, 2:].max(axis=0)])
            if (wider == part).all():
                break
            part = wider
        stride, size = self._detector.description.stride, (fit.width, fit.height)
        first = [max(0, int((edge - self._margin) // stride * stride)) for edge in part[:2]]
        last = [
            min(side, int(-(-(edge + self._margin) // stride) * stride))
            for edge, side in zip(part[2:], size, strict=True)
        ]
        return part, [*first, *last]

    def _look(self, image: Image, fit: Fit, part: NDArray[np.float64], region: list[int]) -> Detections:
        assert self._last is not None
        left, top, right, bottom = region
        whole = fit.network_input(image, self._detector.settings.interpolation)
        crop = np.ascontiguousarray(whole[top:bottom, left:right])
        width, height = right - left, bottom - top
        heads = [head[0] for head in self._detector.engine.run(crop[None])]
        found = self._detector.interpret(heads, Fit(width, height, width, height, width, height))
        low = (found.xyxy[:, :2] <= 1) & (np.array([left, top]) > 0)
        high = (found.xyxy[:, 2:] >= np.array([width, height]) - 1) & (
            np.array([right, bottom]) < [fit.width, fit.height]
        )
        edges = found.xyxy + np.array([left, top] * 2, np.float32)
        middle = (edges[:, :2] + edges[:, 2:]) / 2
        within = ((middle >= part[:2]) & (middle <= part[2:])).all(axis=1)
        inside = np.flatnonzero(within & ~(low | high).any(axis=1))
        new = _moved(found, (edges / _scale(fit)).astype(np.float32))[inside]
        old = self._last.xyxy * _scale(fit)
        touched = (old[:, :2] < part[2:]).all(axis=1) & (old[:, 2:] > part[:2]).all(axis=1)
        kept = self._last[np.flatnonzero(~touched)]
        both = Detections(
            np.concatenate([kept.xyxy, new.xyxy]),
            np.concatenate([kept.confidence, new.confidence]),
            np.concatenate([kept.class_id, new.class_id]),
            found.names,
        )
        return both[np.argsort(-both.confidence, kind="stable")]


def _scale(fit: Fit) -> NDArray[np.float64]:
    return np.array([fit.width / fit.picture_width, fit.height / fit.picture_height] * 2)


def _cells(part: NDArray[np.float64], fit: Fit, shape: tuple[int, ...]) -> tuple[slice, slice]:
    x, y = shape[1] / fit.width, shape[0] / fit.height
    left, top, right, bottom = part * [x, y, x, y]
    return slice(max(0, int(top)), int(np.ceil(bottom))), slice(max(0, int(left)), int(np.ceil(right)))


def _moved(found: Detections, edges: NDArray[np.float32]) -> Detections:
    return Detections(edges, found.confidence, found.class_id, found.names)


WAYS: dict[str, Callable[[Callable[[], Detector]], Any]] = {
    "every 3, constant velocity": lambda open_one: ConstantVelocity(open_one().detect_frame, 3),
    "every 10, constant velocity": lambda open_one: ConstantVelocity(open_one().detect_frame, 10),
    "every 3, dense flow": lambda open_one: DenseFlow(open_one().detect_frame, 3),
    "every 10, dense flow": lambda open_one: DenseFlow(open_one().detect_frame, 10),
    "regions, margin 16": lambda open_one: Regions(open_one(), margin=16, most=0.5),
    "regions, margin 64": lambda open_one: Regions(open_one(), margin=64, most=0.7),
}
