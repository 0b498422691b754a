"""Whole pictures: naming what they show, and showing where a network looked."""
