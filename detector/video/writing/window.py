"""Show the annotated images in a window."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import ClassVar, Self

import cv2

from detector.detections import Detections
from detector.errors import SettingsError
from detector.images.addresses import without_credentials
from detector.video.frames import Frame, Picture, Sink

_QUIT_KEYS = (ord("q"), ord("Q"), 27)
_RATE_FRAMES = 30
_PROBE_SECONDS = 60
_ADVICE = "run with --no-window, and with --out or --log to keep the result"
_PROBE = "import cv2; cv2.namedWindow('yolo3', cv2.WINDOW_NORMAL); cv2.destroyAllWindows()"


class Window(Sink):
    """Shows each frame in a window; `closed` becomes true on `q`, Esc or when the window is closed.

    `caption` draws a line of text onto a copy of each image: the frames per second, and the delay behind a live source.
    Raise `SettingsError` if no window can be opened.
    """

    main_thread: ClassVar[bool] = True
    stage: ClassVar[str] = "show"

    def __init__(self, title: str = "yolo3", *, caption: Callable[[Picture, str], object] | None = None) -> None:
        super().__init__()
        check_display(_ADVICE)
        self._title = without_credentials(title)
        self._caption = caption
        self._shown_at: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._quit = False

    @property
    def closed(self) -> bool:
        """Whether the user has closed the window."""
        return self._quit

    def __enter__(self) -> Self:
        try:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error:
            raise SettingsError(f"no window can be opened here; {_ADVICE}") from None
        return self

    def write(self, frame: Frame, detections: Detections) -> None:
        """Show the frame."""
        if self._quit:
            return
        picture = frame.picture
        if not self._shown_at:
            height, width = picture.shape[:2]
            cv2.resizeWindow(self._title, width, height)
        self._shown_at.append(monotonic())
        if self._caption is not None:
            picture = picture.copy()
            text = f"{self.frames_per_second:.1f} frames/s"
            if frame.arrived is not None:
                text += f", {1000 * (monotonic() - frame.arrived):.0f} ms behind"
            self._caption(picture, text)
        cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        pressed = cv2.waitKey(1) & 0xFF
        self._quit = pressed in _QUIT_KEYS or not self._is_visible()

    @property
    def frames_per_second(self) -> float:
        """The rate at which the last frames were shown."""
        if len(self._shown_at) < 2:
            return 0.0
        return (len(self._shown_at) - 1) / max(self._shown_at[-1] - self._shown_at[0], 1e-9)

    def _is_visible(self) -> bool:
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt no longer has the window
            return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cv2.destroyAllWindows()


def check_display(advice: str) -> None:
    """Raise `SettingsError`, with this advice, where no window can be opened."""
    if sys.platform.startswith("linux"):
        # Qt prints warnings about missing fonts and the like on the terminal.
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
        if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
            raise SettingsError(f"there is no display to open a window on; {advice}")
    # Qt aborts the process if the display refuses it, so another process tries first.
    try:
        subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError):
        raise SettingsError(f"no window can be opened here; {advice}") from None
