"""Fixtures for everything in `detector/`: numbered videos, and small labelled pictures."""

from tests.detector.clips import boxes_of, clips, no_thread_left, record, shown, videos
from tests.detector.colours import colour_classifier, thirds
from tests.detector.squares import squares, squares_cfg

__all__ = [
    "boxes_of",
    "clips",
    "colour_classifier",
    "no_thread_left",
    "record",
    "shown",
    "squares",
    "squares_cfg",
    "thirds",
    "videos",
]
