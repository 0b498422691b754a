"""The frame loop and what it streams between: sources, sinks, the frame log."""
