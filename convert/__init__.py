"""Convert Darknet networks to Keras: `convert("yolov3.cfg", "yolov3.weights", "yolov3.h5")`."""

from typing import TYPE_CHECKING, Any

from convert.errors import Yolo3Error

if TYPE_CHECKING:
    from convert.conversion import Conversion, convert

__all__ = ["Conversion", "Yolo3Error", "convert"]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that an error class or a description is available at once.
    if name in ("Conversion", "convert"):
        from convert import conversion

        return getattr(conversion, name)
    raise AttributeError(f"module 'convert' has no attribute {name!r}")
