"""Open a model once for many videos and pictures."""

from __future__ import annotations

from convert.opened_model import OpenedModel
from detector.detector import Detector
from detector.pipeline.annotate_video import FrameDetector, OpenDetector
from detector.pipeline.outputs import OnNote
from detector.profiling import Stopwatch
from detector.settings import Settings


class SharedDetector:
    """Opens detectors for one run after another, each of them once; not for several runs at a time.

    A run that processes one frame at a time gets another detector than one with several workers. Both keep the settings
    of the first run, except for the pictures to calibrate on.
    """

    def __init__(self, open_detector: OpenDetector = Detector.open) -> None:
        self._open = open_detector
        self._opened: dict[int, FrameDetector] = {}

    def open(
        self, model: OpenedModel, settings: Settings, *, on_note: OnNote, stopwatch: Stopwatch, workers: int
    ) -> FrameDetector:
        """Return the detector for so many workers; its stages count for `stopwatch` from now on."""
        detector = self._opened.get(workers)
        if detector is None:
            detector = self._opened[workers] = self._open(
                model, settings, on_note=on_note, stopwatch=stopwatch, workers=workers
            )
        elif isinstance(detector, Detector):
            detector.stopwatch = stopwatch
        return detector
