"""Darknet's forward pass in plain NumPy: slow, small, and an independent witness of every conversion.

It follows Darknet's C in Darknet's own layout (channels, rows, columns), reads the .weights stream by itself and shares
no code with the Keras builders in `convert.layers`: what both agree on is not one mistake made twice.
"""

from convert.reference.forward import forward

__all__ = ["forward"]
