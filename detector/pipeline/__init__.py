"""Combine sources, detectors and sinks."""
