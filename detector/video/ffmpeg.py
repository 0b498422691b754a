"""Import FFmpeg (PyAV) in the only order in which OpenCV can still open windows.

Both packages bring their own copies of the X11 libraries. If PyAV's are loaded first, `cv2.namedWindow` never returns
(seen with PyAV 18.1 and OpenCV 4.14 on Linux), so the whole project imports `av` from here.
"""

import os

# SVT-AV1 prints to standard error, whatever FFmpeg's log level is; 0 is for fatal errors only. What else goes wrong is
# reported by FFmpeg too.
os.environ.setdefault("SVT_LOG", "0")

# isort: off
import cv2  # noqa: F401 - before av
import av as av
from av.video.reformatter import (
    ColorRange as ColorRange,
    Colorspace as Colorspace,
    Interpolation as Interpolation,
    VideoReformatter as VideoReformatter,
)
