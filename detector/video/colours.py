"""Stored pixels to RGB and back, by the colour matrix and range that the video itself names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detector.images.planes import Planes
from detector.video.ffmpeg import ColorRange, Colorspace, Interpolation, VideoReformatter, av
from detector.video.frames import RGB, Colours, Image, Picture
from detector.video.hdr import SHOWN, is_hdr, tone_mapped

_SD_HEIGHT = 576

_SWSCALE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""ISO/IEC 23091-2 matrix code to libswscale's name."""

_CODES = {matrix: code for code, matrix in reversed(_SWSCALE.items())}

_PLANAR = ("yuv420p", "yuvj420p")

# Without these two, libswscale's shortcut is a level too dark on average.
_ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def colours_of(frame: av.VideoFrame) -> Colours:
    """What a decoded frame says about its colours."""
    return Colours(
        matrix=RGB.matrix if frame.format.is_rgb else int(frame.colorspace),
        full_range=int(frame.color_range) == ColorRange.JPEG or frame.format.name.startswith("yuvj"),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def stored_as_yuv(colours: Colours) -> Colours:
    """The colours in which a copy of a video is stored as YUV: the video's own, unless it is RGB or HDR."""
    if is_hdr(colours):
        return SHOWN
    if colours.matrix != RGB.matrix:
        return colours
    return Colours(matrix=1, full_range=False, primaries=colours.primaries, transfer=colours.transfer)


def _matrix(colours: Colours, height: int) -> Colorspace:
    """The matrix to compute with; for a video that names none, the one that players take by its height."""
    return _SWSCALE.get(colours.matrix, Colorspace.ITU601 if height <= _SD_HEIGHT else Colorspace.ITU709)


def _range(colours: Colours) -> int:
    return int(ColorRange.JPEG if colours.full_range else ColorRange.MPEG)


class ToImage:
    """Decoded frames to what a video's frames show, of one size and in the colours of its first: not yet rotated.

    YUV stays in planes, at 8 bits and 4:2:0, as the encoder takes it. RGB stays RGB, and HDR becomes RGB.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        self._size = first.width, first.height
        self._colours = colours_of(first)
        self._matrix = _matrix(self._colours, first.height)
        self._in_planes = self._colours.matrix != RGB.matrix and not is_hdr(self._colours)
        self._to_rgb = ToRgb(width=first.width, height=first.height)
        self._planar = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Image:
        """The frame's image, in memory of its own."""
        if not self._in_planes or colours_of(frame) != self._colours:
            return self._to_rgb(frame)
        if frame.format.name not in _PLANAR or (frame.width, frame.height) != self._size:
            same = _range(self._colours)
            frame = self._planar.reformat(
                frame, *self._size, format="yuv420p", src_color_range=same, dst_color_range=same, threads=1
            )
        full_range = self._colours.full_range
        return Planes(_stored(frame), self._rgb_of, matrix=_CODES[self._matrix], full_range=full_range, size=self._size)

    def _rgb_of(self, stored: NDArray[np.uint8]) -> Picture:
        """The exact RGB picture of planes, turned or not."""
        frame = av.VideoFrame.from_ndarray(stored, format="yuv420p")
        tag(frame, replace(self._colours, matrix=_CODES[self._matrix]))
        return ToRgb(width=frame.width, height=frame.height)(frame)


def _stored(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """The planes of a yuv420p frame, below one another; odd sides made even by repeating the last row or column."""
    odd_width, odd_height = frame.width % 2, frame.height % 2
    if not (odd_width or odd_height):
        return np.asarray(frame.to_ndarray(), dtype=np.uint8)
    luma, *chroma = (
        np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    )
    luma = np.pad(luma, ((0, odd_height), (0, odd_width)), mode="edge")
    pieces = [plane.reshape(-1) for plane in (luma, *chroma)]
    return np.concatenate(pieces).reshape(-1, luma.shape[1])


class ToRgb:
    """Decoded frames to RGB pictures of one size, (height, width, 3) as stored: not yet rotated."""

    def __init__(self, *, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Picture:
        """The frame's picture."""
        colours = colours_of(frame)
        hdr = is_hdr(colours)
        rgb_already = colours.matrix == RGB.matrix
        converted = self._reformatter.reformat(
            frame,
            width=self._width,
            height=self._height,
            format="rgb48le" if hdr else "rgb24",
            src_colorspace=None if rgb_already else _matrix(colours, frame.height),
            src_color_range=None if rgb_already else _range(colours),
            dst_color_range=int(ColorRange.JPEG),
            interpolation=_ACCURATE,
            threads=1,  # the frame loop's own threads keep the processor busy
        )
        if hdr:
            return tone_mapped(np.asarray(converted.to_ndarray(), np.uint16), colours.transfer)
        return np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)


class FromRgb:
    """RGB pictures to yuv420p frames that carry the colours they are stored in."""

    def __init__(self, colours: Colours, *, height: int) -> None:
        self._colours = colours
        self._matrix = _matrix(colours, height)
        self._reformatter = VideoReformatter()

    def __call__(self, picture: Picture) -> av.VideoFrame:
        """The frame to encode; its size must be even."""
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(picture, format="rgb24"),
            format="yuv420p",
            dst_colorspace=self._matrix,
            src_color_range=int(ColorRange.JPEG),
            dst_color_range=_range(self._colours),
            threads=1,
        )
        tag(frame, self._colours)
        return frame


def to_encode(image: Image, from_rgb: FromRgb, colours: Colours) -> av.VideoFrame:
    """The frame to encode; planes go as they are."""
    if not isinstance(image, Planes):
        return from_rgb(image)
    frame = av.VideoFrame.from_ndarray(image.stored, format="yuv420p")
    tag(frame, colours)
    return frame


def tag(target: av.VideoFrame | av.VideoCodecContext, colours: Colours) -> None:
    """Write colours onto a frame or an encoder, so that players show what was meant."""
    target.colorspace = colours.matrix
    target.color_range = _range(colours)
    target.color_primaries = colours.primaries
    target.color_trc = colours.transfer
