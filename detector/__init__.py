"""Object detection with Darknet's networks: `Detector.open("yolov3.h5").detect("dog.jpg")`."""

from typing import TYPE_CHECKING, Any

from detector.errors import Yolo3Error

if TYPE_CHECKING:
    from detector.detections import Detections
    from detector.detector import Detector
    from detector.settings import Settings

__all__ = ["Detections", "Detector", "Settings", "Yolo3Error"]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that the command line answers at once.
    if name == "Detections":
        from detector.detections import Detections

        return Detections
    if name == "Detector":
        from detector.detector import Detector

        return Detector
    if name == "Settings":
        from detector.settings import Settings

        return Settings
    raise AttributeError(f"module 'detector' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
