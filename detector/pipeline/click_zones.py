"""Zones and lines clicked onto a frame in a window, and written to a file to be named and refined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2

from convert.files import check_output, write_whole
from detector.drawing.zones import draw_line, draw_zone
from detector.errors import SettingsError
from detector.pipeline.show_zones import frame_at
from detector.tracking.geometry import Point, area, first_crossing
from detector.video.frames import Picture
from detector.video.writing.window import check_display

HELP = "click points; Enter: zone, l: line of two, Backspace: undo, s: save, q: leave"

_ENTER, _UNDO, _LINE, _SAVE, _QUIT = (10, 13), (8, 127), (ord("l"),), (ord("s"),), (ord("q"), 27)
_TITLE = "yolo3 zones"
_ADVICE = "write the file by hand, then check it with: yolo3 zones IN ZONES.toml OUT.png"
_WAIT_MILLISECONDS = 30


class Sketch:
    """What was clicked so far; points are in pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self.points: list[Point] = []
        """Of the zone or line that is being made."""
        self.places: list[tuple[str, tuple[Point, ...]]] = []
        """What is made: `zone` or `line`, and its points."""

    def click(self, x: float, y: float) -> None:
        """Add a point, moved into the picture."""
        width, height = self._size
        point = min(max(0.0, x), float(width)), min(max(0.0, y), float(height))
        if not self.points or self.points[-1] != point:
            self.points.append(point)

    def finish(self, kind: str) -> str:
        """Make a zone or a line of the points; what is wrong with them, or nothing."""
        polygon = self.points
        if kind == "line" and len(polygon) != 2:
            return "a line has two points"
        if kind == "zone" and len(polygon) > 3 and first_crossing(polygon):
            return "the outline crosses itself"
        if kind == "zone" and (len(polygon) < 3 or area(polygon) == 0):
            return "a zone has at least three points"
        self.places.append((kind, tuple(polygon)))
        self.points = []
        return ""

    def undo(self) -> None:
        """Take back the last point, or the last zone or line."""
        if self.points:
            self.points.pop()
        elif self.places:
            self.points = list(self.places.pop()[1])

    def toml(self) -> str:
        """All of it as a file of zones, in fractions."""
        width, height = self._size
        parts = []
        for number, (kind, points) in enumerate(self.places, 1):
            texts = [f"[{x / width:.4f}, {y / height:.4f}]" for x, y in points]
            where = f"polygon = [{', '.join(texts)}]" if kind == "zone" else f"from = {texts[0]}\nto = {texts[1]}"
            parts.append(f'[[{kind}]]\nname = "{kind} {number}"\n{where}\n')
        return "\n".join(parts)

    def drawn(self, picture: Picture, label: str) -> Picture:
        """A copy of the picture with everything on it, and a label at the points being clicked."""
        shown = picture.copy()
        for number, (kind, points) in enumerate(self.places, 1):
            if kind == "zone":
                draw_zone(shown, points, f"zone {number}")
            else:
                draw_line(shown, points[0], points[1], f"line {number}")
        draw_zone(shown, self.points or [(0.0, 0.0)], label)
        return shown


class Screen(Protocol):
    """Where a picture is shown and clicked on."""

    def show(self, picture: Picture) -> tuple[int, Sequence[Point]]:
        """Show; the key that was pressed, or -1, and where was clicked. A window that was closed answers Esc."""
        ...


def click_zones(source: str, out: Path, *, at: str = "0", overwrite: bool = False, screen: Screen | None = None) -> int:
    """Let zones be clicked onto a frame; how many zones and lines were written, 0 where the user left without saving.

    Raise `SettingsError` where there is no display.
    """
    if out.suffix.lower() != ".toml":
        raise SettingsError(f"{out}: zones are written as .toml; name a file that ends so")
    check_output(out, overwrite=overwrite, inputs=[source])
    if screen is None:
        check_display(_ADVICE)
    picture = frame_at(source, at)
    sketch = Sketch(picture.shape[1], picture.shape[0])
    window = screen or _Window(picture)
    problem = ""
    try:
        while True:
            key, clicks = window.show(sketch.drawn(picture, problem or HELP))
            for point in clicks:
                sketch.click(*point)
            if key in _ENTER:
                problem = sketch.finish("zone")
            elif key in _LINE:
                problem = sketch.finish("line")
            elif key in _UNDO:
                sketch.undo()
            elif key in _QUIT:
                return 0
            elif key in _SAVE and sketch.places:
                write_whole(out, sketch.toml().encode())
                return len(sketch.places)
    finally:
        if screen is None:
            cv2.destroyAllWindows()


class _Window:
    """A window of OpenCV's."""

    def __init__(self, picture: Picture) -> None:
        self._clicks: list[Point] = []
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(_TITLE, picture.shape[1], picture.shape[0])
        cv2.setMouseCallback(_TITLE, self._on_mouse)

    def show(self, picture: Picture) -> tuple[int, Sequence[Point]]:
        """Show the picture for a moment."""
        cv2.imshow(_TITLE, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(_WAIT_MILLISECONDS)
        clicks, self._clicks = self._clicks, []
        if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return _QUIT[1], clicks
        return (key & 0xFF if key >= 0 else -1), clicks

    def _on_mouse(self, event: int, x: int, y: int, flags: int, parameter: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            self._clicks.append((float(x), float(y)))
