"""Darknet in, Keras out: `convert("yolov3.cfg", "yolov3.weights", "yolov3.h5")`."""

from convert.conversion import Conversion, convert
from convert.errors import Yolo3Error

__all__ = ["Conversion", "Yolo3Error", "convert"]
