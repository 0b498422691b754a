"""Define the detection settings for measurements."""

from __future__ import annotations

from dataclasses import dataclass, field

from detector.settings import Settings

LOWEST_CONFIDENCE = 0.001
"""Boxes with a lower confidence hardly change an average precision, but take time."""


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """`Settings` with a confidence that does not truncate the precision-recall curve."""

    confidence: float = field(
        default=LOWEST_CONFIDENCE,
        metadata={"help": "leave out boxes with a lower confidence; a higher value lowers the average precision"},
    )
