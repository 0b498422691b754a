"""Where a network looks: a heat map over a picture for one detection, or for one class of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.opened_model import OpenedModel
from detector.detections import Detections
from detector.detector import Detector
from detector.engines.keras import load_model
from detector.errors import EngineError, SettingsError
from detector.heads.boxes import iou, to_edges
from detector.heads.decode import DECODERS
from detector.images.letterbox import Fit
from detector.images.reading import read_picture
from detector.recognition.classifier import Classifier
from detector.recognition.d_rise import MASKS, box_similarity, rise
from detector.recognition.grad_cam import GradCam
from detector.recognition.keras_applications import KerasApplication

Method = Literal["grad-cam", "d-rise"]
Detection = tuple[NDArray[np.float32], float, int, str]
"""What iterating over `Detections` gives: box, confidence, class id, name."""

Progress = Callable[[Iterable[int]], Iterable[int]]

_EVERY_BOX = -1.0
"""A confidence below that of every box, so that decoders leave none out and their order is that of the head."""

_FAINTEST = 0.01
"""Confidence of the boxes that count with D-RISE: a half-hidden object's is low."""

_LEAST_IOU = 0.5
"""A detection is looked up among the network's own boxes; one that overlaps none of them by so much is of another."""


def explain(
    network: Detector | Classifier,
    picture: Any,
    target: Detections | Detection | int | str,
    *,
    method: Method = "grad-cam",
    masks: int = MASKS,
    progress: Progress = iter,
) -> NDArray[np.float32]:
    """Where a network found the evidence for a detection, or for a class: a map from 0 to 1, (height, width).

    `picture` is anything that `Detector.detect` takes. For a detector, `target` is one of the detections that it found
    in this very picture: an element of `Detections`, or `Detections` of length 1. For a classifier it is a class, by
    id or name. `grad-cam` takes about as long as detecting and its gradient (see `GradCam`); `d-rise` hides parts of
    the picture at random, `masks` times, and needs no gradients. Raises `SettingsError` when the target is not the
    network's, `EngineError` for a network that was not opened from a file.
    """
    pixels = read_picture(picture)
    if isinstance(network, Classifier):
        return _explain_class(network, pixels, _class_id(network, target), method, masks, progress)
    if not isinstance(target, Detections | tuple):
        raise SettingsError("a detector's boxes are explained: give one of the detections that it found")
    if isinstance(target, Detections):
        if len(target) != 1:
            raise SettingsError(f"{len(target)} detections are given; explain one at a time, such as found[:1]")
        (target,) = target
    box, confidence, class_id, _ = target
    if method == "d-rise":
        return _d_rise(network, pixels, box, class_id, masks, progress)
    return _grad_cam(network, pixels, box, confidence, class_id)


def _grad_cam(
    detector: Detector, picture: NDArray[np.uint8], box: NDArray[np.float32], confidence: float, class_id: int
) -> NDArray[np.float32]:
    cam = _keras_of(detector.model.path if detector.model else None)
    fit = detector.fit(picture.shape[1], picture.shape[0])
    batch = fit.network_input(picture, detector.settings.interpolation)[None]
    head, place = locate(detector, cam.heads_of(batch), fit, box, confidence, class_id)
    heat = cam.for_box(batch, head=head, place=place, class_id=class_id)
    return _scaled(_onto_picture(heat, fit))


def locate(
    detector: Detector,
    outputs: list[NDArray[np.float32]],
    fit: Fit,
    box: NDArray[np.float32],
    confidence: float,
    class_id: int,
) -> tuple[int, int]:
    """Which box of which head a detection is: the number of the head, and the box's place in it (`GradCam.for_box`).

    Raises `SettingsError` when the network has no such box in this picture.
    """
    size = np.array([fit.picture_width, fit.picture_height] * 2, np.float32)
    best, head_of_best, place_of_best = -np.inf, 0, 0
    for number, (output, head) in enumerate(zip(outputs, detector.description.heads, strict=True)):
        if head.tree:
            raise SettingsError("boxes whose classes are a hierarchy are not explained by gradients; use d-rise")
        every = DECODERS[head.kind](output, head, _EVERY_BOX, fit.width, fit.height, np.array([class_id]))
        edges = np.clip(to_edges(fit.to_picture(every.boxes)) * size, 0, size)
        likeness = iou(box[None], edges) - np.abs(every.score - confidence)
        place = int(np.argmax(likeness))
        if likeness[place] > best and iou(box, edges[place]) > _LEAST_IOU:
            best, head_of_best, place_of_best = float(likeness[place]), number, place
    if best == -np.inf:
        raise SettingsError(
            "the network has no such box in this picture; explain detections that it found in the whole picture, "
            "without tiles"
        )
    return head_of_best, place_of_best


def _explain_class(
    classifier: Classifier,
    picture: NDArray[np.uint8],
    class_id: int,
    method: Method,
    masks: int,
    progress: Progress,
) -> NDArray[np.float32]:
    if method == "d-rise":
        return rise(
            lambda seen: float(classifier.classify(seen).probabilities[class_id]),
            picture,
            masks=masks,
            progress=progress,
        )
    if isinstance(classifier.engine, KerasApplication):
        cam = GradCam(classifier.engine.model)
    else:
        cam = _keras_of(classifier.path)
    batch = classifier.preprocess(picture)[None]
    heat = cam.for_class(batch, class_id)
    left, top, right, bottom = classifier.seen(picture)
    whole = np.zeros(picture.shape[:2], np.float32)
    whole[top:bottom, left:right] = cv2.resize(heat, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    return _scaled(whole)


def _class_id(classifier: Classifier, target: object) -> int:
    if isinstance(target, str) and target in classifier.names:
        return classifier.names.index(target)
    if isinstance(target, int) and 0 <= target < len(classifier.names):
        return target
    raise SettingsError(f"{target!r} is none of this classifier's {len(classifier.names)} classes; give a name or id")


def _d_rise(
    detector: Detector,
    picture: NDArray[np.uint8],
    box: NDArray[np.float32],
    class_id: int,
    masks: int,
    progress: Progress,
) -> NDArray[np.float32]:
    # At the network's own size each of the many runs costs no resizing of a large picture.
    height, width = picture.shape[:2]
    scale = min(1.0, max(detector.description.width, detector.description.height) / max(height, width))
    small = cv2.resize(
        picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    ratio = np.array([small.shape[1] / width, small.shape[0] / height] * 2, np.float32)
    settings = replace(detector.settings, confidence=_FAINTEST, tiles=None, max_detections=None)
    faint = Detector(detector.description, detector.engine, settings, model=detector.model)
    heat = rise(
        lambda seen: box_similarity(faint.detect(seen), box * ratio, class_id),
        np.asarray(small, np.uint8),
        masks=masks,
        progress=progress,
    )
    return np.asarray(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _onto_picture(heat: NDArray[np.float32], fit: Fit) -> NDArray[np.float32]:
    """A map over the network's input as a map over the picture, the letterbox's grey cut off."""
    enlarged = cv2.resize(heat, (fit.width, fit.height), interpolation=cv2.INTER_LINEAR)
    inner = enlarged[fit.top : fit.top + fit.inner_height, fit.left : fit.left + fit.inner_width]
    size = fit.picture_width, fit.picture_height
    return np.asarray(cv2.resize(inner, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _scaled(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map with a maximum of 1; all 0 where there is no evidence."""
    largest = float(heat.max())
    scaled: NDArray[np.float32] = heat / np.float32(largest or 1.0)
    return scaled


def _keras_of(path: Path | None) -> GradCam:
    if path is None:
        raise EngineError("gradients need the model file, and this network was not opened from one; use d-rise")
    return _opened(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _opened(path: Path, changed_ns: int) -> GradCam:
    return GradCam(load_model(path), OpenedModel.read(path).description.heads)
