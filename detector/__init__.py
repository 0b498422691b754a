"""Detect objects with Darknet's networks: `Detector.open("yolov3.h5").detect("dog.jpg")`."""

import importlib
from typing import TYPE_CHECKING, Any

from detector.errors import Yolo3Error

if TYPE_CHECKING:
    from detector.detections import Detections
    from detector.detector import Detector
    from detector.images.tiles import Tiles
    from detector.recognition.classifier import Classifier
    from detector.recognition.explain import explain
    from detector.settings import Settings

__all__ = ["Classifier", "Detections", "Detector", "Settings", "Tiles", "Yolo3Error", "explain"]

_MODULES = {
    "Classifier": "detector.recognition.classifier",
    "Detections": "detector.detections",
    "Detector": "detector.detector",
    "Settings": "detector.settings",
    "Tiles": "detector.images.tiles",
    "explain": "detector.recognition.explain",
}


def __getattr__(name: str) -> Any:
    # Imported on first use, so that the command responds at once.
    if name not in _MODULES:
        raise AttributeError(f"module 'detector' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
