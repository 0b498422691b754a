"""Run Darknet's forward pass in plain NumPy: slow, small, and independent of the conversion that it checks.

It follows Darknet's C code in Darknet's own layout (channels, rows, columns), reads the .weights stream itself and
shares no code with the Keras builders in `convert.layers`, so that one mistake cannot be in both.
"""

from convert.reference.forward import forward

__all__ = ["forward"]
