"""Labelled pictures in the forms in which people keep them."""
