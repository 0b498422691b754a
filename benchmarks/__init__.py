"""Measure the figures of docs/performance.md and docs/video.md; not part of the package."""
