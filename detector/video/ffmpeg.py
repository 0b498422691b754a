"""Import FFmpeg (PyAV) in the only order in which OpenCV can still open windows.

Both packages bring their own copies of the X11 libraries. If PyAV's are loaded first, `cv2.namedWindow` never returns
(seen with PyAV 18.1 and OpenCV 4.14 on Linux), so the whole project imports `av` from here.
"""

import os

# SVT-AV1 prints its settings on standard error, whatever FFmpeg's log level is; 1 is for errors only.
os.environ.setdefault("SVT_LOG", "1")

# isort: off
import cv2  # noqa: F401 - before av
import av as av
from av.video.reformatter import (
    ColorRange as ColorRange,
    Colorspace as Colorspace,
    Interpolation as Interpolation,
    VideoReformatter as VideoReformatter,
)
