"""The words of the command: forms of labelled pictures, and which pictures a split keeps together."""

from __future__ import annotations

from typing import Literal

Form = Literal["darknet", "ultralytics", "coco", "voc", "cvat", "label-studio", "csv"]

Group = Literal["none", "prefix", "folder"]
"""Which pictures stay together: each by itself, those of one name up to its last number (frames of one video), or
those of one folder."""
