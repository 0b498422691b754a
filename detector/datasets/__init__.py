"""Labelled pictures, read from the forms in which people keep them."""
