"""Fixtures for the measuring programs."""

from tests.detector.clips import clips

__all__ = ["clips"]
