"""FFmpeg by way of PyAV, loaded in the one order in which OpenCV can still open windows.

Both packages bring their own copies of the X11 libraries. With PyAV's in the process first, `cv2.namedWindow` never
returns (seen with PyAV 18.1 and OpenCV 4.14 on Linux); so the whole project takes `av` from here.
"""

# isort: off
import cv2  # noqa: F401 - before av
import av as av
from av.video.reformatter import (
    ColorRange as ColorRange,
    Colorspace as Colorspace,
    Interpolation as Interpolation,
    VideoReformatter as VideoReformatter,
)
