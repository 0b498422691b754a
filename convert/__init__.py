"""Darknet in, Keras out."""
