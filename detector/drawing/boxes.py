"""Draw boxes and labels on an image in place: an RGB array or the planes of a video frame."""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.drawing.labels import Colour, line_height, printable, shortened, text_patch
from detector.drawing.placing import Box, FreeSpace, corner_places, label_places
from detector.images.planes import Canvas, Planes

_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)
_GOLDEN = (5**0.5 - 1) / 2
_FIRST_HUE = 0.58
_SMALLEST_TEXT = 11
_LEGEND_PART = 3
"""Maximum height of a legend, as a fraction of the image's height."""

_LIGHTNESS = (0.50, 0.68, 0.36)


def draw(
    picture: NDArray[np.uint8] | Planes,
    detections: Detections,
    *,
    line_width: int | None = None,
    text_size: int | None = None,
    labels: bool = True,
    confidence: bool = True,
) -> None:
    """Draw boxes and their labels onto an RGB uint8 (height, width, 3) image or planes, in place, the best on top.

    `line_width` and `text_size` are in pixels and depend on the image's size unless given. An outline lies within its
    box. A label stands above its box, or else at another side or corner, where it covers no other label and leaves most
    of every box visible. If there is no such place, the box gets no label, and a legend in a corner of the image
    explains its colour. A tracked object has the number of its track in its label, and a colour of its own. Raise
    ValueError for an array that cannot be drawn on.
    """
    canvas = picture if isinstance(picture, Planes) else _canvas(picture)
    height, width = canvas.shape[:2]
    line_width = line_width or max(1, round(min(height, width) / 200))
    text_size = text_size or _text_size(height, width)
    edges = np.rint(detections.xyxy.clip(0, (width, height, width, height))).astype(int)
    visible = (edges[:, :2] < edges[:, 2:]).all(axis=1)
    best_first = [index for index in np.argsort(-detections.confidence, kind="stable").tolist() if visible[index]]
    boxes, class_ids = edges.tolist(), detections.class_id.tolist()
    tracks = [-1] * len(boxes) if detections.tracker_id is None else detections.tracker_id.tolist()
    hues = [class_id if track < 0 else track for class_id, track in zip(class_ids, tracks, strict=True)]
    for index in reversed(best_first):
        _outline(canvas, boxes[index], line_width, canvas.ink(class_colour(hues[index])))
    if not labels or not best_first or line_height(text_size) > height:
        return
    space = FreeSpace(edges[visible], most_labels=len(best_first) + 1)
    unlabelled: dict[int, None] = {}
    for index in best_first:
        number = f"{detections.confidence[index]:.2f}" if confidence else ""
        track = "" if tracks[index] < 0 else f" {tracks[index]}"
        label = _label(canvas, _name(detections.names, class_ids[index]) + track, number, text_size, hues[index])
        label_width = sum(patch.shape[1] for patch in label)
        if not 0 < label_width <= width:
            continue
        place = space.take(label_places(boxes[index], label_width, line_height(text_size), width, height))
        if place is None:
            if not track:
                unlabelled[class_ids[index]] = None
        else:
            _paste_row(canvas, place[0], place[1], label)
    if unlabelled:
        _legend(canvas, detections.names, list(unlabelled), text_size, space)


def _legend(
    canvas: Canvas | Planes, names: tuple[str, ...], class_ids: list[int], text_size: int, space: FreeSpace
) -> None:
    """Draw the names of classes on their colours, one below the other, in a corner if one has room."""
    height, width = canvas.shape[:2]
    row = line_height(text_size)
    class_ids = class_ids[: height // (_LEGEND_PART * row)]
    rows = [_label(canvas, _name(names, class_id), "", text_size, class_id) for class_id in class_ids]
    widest = max((sum(patch.shape[1] for patch in patches) for patches in rows), default=0)
    if 0 < widest <= width:
        place = space.take(corner_places(widest, row * len(rows), width, height))
        if place is not None:
            for number, patches in enumerate(rows):
                _paste_row(canvas, place[0], place[1] + number * row, patches)


def _paste_row(canvas: Canvas | Planes, left: int, top: int, patches: list[NDArray[np.uint8]]) -> None:
    for patch in patches:
        canvas.paste(left, top, patch)
        left += patch.shape[1]


def draw_caption(picture: NDArray[np.uint8], text: str, *, text_size: int | None = None) -> None:
    """Write one line, white on black, in the top left corner of an RGB image, in place."""
    canvas = _canvas(picture)
    height, width = picture.shape[:2]
    text_size = text_size or _text_size(height, width)
    line = shortened(f" {printable(text)} ", text_size, width)
    if line.strip() and line_height(text_size) <= height:
        canvas.paste(0, 0, text_patch(line, text_size, _WHITE, _BLACK))


@cache
def class_colour(class_id: int) -> Colour:
    """Return the colour of a class as RGB: the same in every image, and distinct from that of neighbouring ids."""
    # Steps of the golden ratio never repeat a hue; lightness distinguishes similar ones.
    hue = (_FIRST_HUE + class_id * _GOLDEN) % 1
    red, green, blue = colorsys.hls_to_rgb(hue, _LIGHTNESS[class_id % len(_LIGHTNESS)], 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


@cache
def text_colour(background: Colour) -> Colour:
    """Return black or white, whichever has the greater contrast: at least 4.5 to 1 by WCAG 2."""
    return _BLACK if luminance(background) > 0.179 else _WHITE


def luminance(colour: Colour) -> float:
    """Return the relative luminance of an sRGB colour, 0 to 1, as WCAG 2 defines it."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _canvas(picture: NDArray[np.uint8]) -> Canvas:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"expected a uint8 picture of shape (height, width, 3), not {picture.dtype} of shape {picture.shape}"
        )
    if not picture.flags.writeable:
        raise ValueError("the picture is read-only, and is drawn on in place; draw on picture.copy()")
    return Canvas(picture)


def _text_size(height: int, width: int) -> int:
    return max(_SMALLEST_TEXT, round(min(height, width) / 36))


def _outline(canvas: Canvas | Planes, box: Box, line_width: int, ink: Colour) -> None:
    left, top, right, bottom = box
    canvas.fill(left, top, right, min(top + line_width, bottom), ink)
    canvas.fill(left, max(bottom - line_width, top), right, bottom, ink)
    canvas.fill(left, top, min(left + line_width, right), bottom, ink)
    canvas.fill(max(right - line_width, left), top, right, bottom, ink)


def _name(names: tuple[str, ...], class_id: int) -> str:
    return printable(names[class_id]) if 0 <= class_id < len(names) else f"class {class_id}"


def _label(canvas: Canvas | Planes, name: str, number: str, size: int, hue: int) -> list[NDArray[np.uint8]]:
    """Return a label's patches from left to right, together at most as wide as the image if the number alone fits.

    Name and number are rendered separately: there are few of each to cache, but thousands of pairs.
    """
    background = canvas.ink(class_colour(hue))
    colour = canvas.ink(text_colour(class_colour(hue)))
    patches = [text_patch(f" {number} ", size, colour, background)] if number else []
    left_over = canvas.shape[1] - sum(patch.shape[1] for patch in patches)
    short = shortened(f" {name}" if number else f" {name} ", size, left_over)
    return [text_patch(short, size, colour, background), *patches] if short.strip() else patches
