"""Frames from a source, through a detector, to sinks."""
