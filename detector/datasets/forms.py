"""Name the dataset formats and the ways to group a split, for the command's options."""

from __future__ import annotations

from typing import Literal

Form = Literal["darknet", "ultralytics", "coco", "voc", "cvat", "label-studio", "csv"]

Group = Literal["none", "prefix", "folder"]
"""Which images stay together: each on its own, those with the same name up to its last number (frames of one video), or
those in the same folder."""
