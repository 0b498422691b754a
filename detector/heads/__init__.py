"""Decode raw heads to boxes, and suppress overlapping ones."""
