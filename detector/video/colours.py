"""Convert between a video's stored pixels and RGB, by the colour matrix and range that the video declares."""

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
"""libswscale's name for each matrix code of ISO/IEC 23091-2."""

_CODES = {matrix: code for code, matrix in reversed(_SWSCALE.items())}

TEN_BITS = "yuv420p10le"
"""The layout in which copies of more than 8 bits are stored."""

_PLANAR = ("yuv420p", "yuvj420p")

# Without the last two flags, libswscale takes a shortcut that is one level too dark on average.
_ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# Not rgb48le: with these flags, FFmpeg 8.1 sets its red and green to 0 for sources with chroma at half height.
_DEEP_FORMAT = "gbrp16le"


def colours_of(frame: av.VideoFrame) -> Colours:
    """The colour properties of a decoded frame."""
    name = frame.format.name
    return Colours(
        matrix=RGB.matrix if frame.format.is_rgb else int(frame.colorspace),
        # FFmpeg treats greyscale as full range, whatever its tag says.
        full_range=int(frame.color_range) == ColorRange.JPEG or name.startswith("yuvj") or _is_grey(frame),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def stored_as_yuv(colours: Colours) -> Colours:
    """Return the colours in which a copy of a video is stored as YUV: the video's own, unless it is RGB or HDR."""
    if is_hdr(colours):
        return SHOWN
    if colours.matrix != RGB.matrix:
        return colours
    return Colours(matrix=1, full_range=False, primaries=colours.primaries, transfer=colours.transfer)


def _is_grey(frame: av.VideoFrame) -> bool:
    return len(frame.format.components) == 1 and not frame.format.has_palette


def _matrix(colours: Colours, height: int) -> Colorspace:
    """Return the matrix to use. For a video without one, it is the one that players assume for its height."""
    return _SWSCALE.get(colours.matrix, Colorspace.ITU601 if height <= _SD_HEIGHT else Colorspace.ITU709)


def _range(colours: Colours) -> int:
    return int(ColorRange.JPEG if colours.full_range else ColorRange.MPEG)


def _deep_white(frame: av.VideoFrame, colours: Colours) -> int:
    """Return the 16-bit value that libswscale makes of white.

    It is not 65,535: limited range is scaled to 255 * 256, full range of n bits is shifted left by 16 - n.
    """
    limited = colours.matrix != RGB.matrix and not colours.full_range
    bits = 8 if limited else frame.format.components[0].bits
    return (1 << 16) - (1 << 16 - bits)


class ToImage:
    """Converts decoded frames to images of one size, in the colours of the first frame, before rotation.

    YUV stays in planes, at 8 bits and 4:2:0, the form that the encoder takes. RGB stays RGB, and HDR becomes RGB.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        self._size = first.width, first.height
        self._colours = colours_of(first)
        self._matrix = _matrix(self._colours, first.height)
        self._in_planes = self._colours.matrix != RGB.matrix and not is_hdr(self._colours)
        self._to_rgb = ToRgb(width=first.width, height=first.height)
        self._planar = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Image:
        """Return the frame's image as a copy."""
        decoded = frame
        if not self._in_planes or colours_of(frame) != self._colours:
            return self._to_rgb(frame)
        if _is_grey(frame):
            frame = _with_grey_chroma(self._planar.reformat(frame, *self._size, format="gray", threads=1))
        elif frame.format.name not in _PLANAR or (frame.width, frame.height) != self._size:
            same = _range(self._colours)
            frame = self._planar.reformat(
                frame, *self._size, format="yuv420p", src_color_range=same, dst_color_range=same, threads=1
            )
        stored, full_range = _stored(frame), self._colours.full_range
        planes = Planes(stored, self._rgb_of, matrix=_CODES[self._matrix], full_range=full_range, size=self._size)
        if decoded.format.components[0].bits > 8 and not _is_grey(decoded) and stored.shape[1] == decoded.width:
            planes.decoded = decoded, stored.copy()
        return planes

    def _rgb_of(self, stored: NDArray[np.uint8]) -> Picture:
        """Return the exact RGB image of planes, rotated or not."""
        frame = av.VideoFrame.from_ndarray(stored, format="yuv420p")
        tag(frame, replace(self._colours, matrix=_CODES[self._matrix]))
        return ToRgb(width=frame.width, height=frame.height)(frame)


def _with_grey_chroma(frame: av.VideoFrame) -> av.VideoFrame:
    """Return a grey frame as yuv420p. libswscale's own conversion gives it a tint."""
    coloured = av.VideoFrame(frame.width, frame.height, "yuv420p")
    luma, *chroma = coloured.planes
    for plane in chroma:
        plane.update(b"\x80" * plane.buffer_size)
    rows = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(-1, frame.planes[0].line_size)
    padded = np.zeros((luma.buffer_size // luma.line_size, luma.line_size), np.uint8)
    padded[: frame.height, : frame.width] = rows[: frame.height, : frame.width]
    luma.update(padded.tobytes())
    return coloured


def _stored(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return the planes of a yuv420p frame, stacked; the last row or column is repeated where a size is odd."""
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
    """Converts decoded frames to RGB images of one size, (height, width, 3), before rotation."""

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
            format=_DEEP_FORMAT if hdr else "rgb24",
            src_colorspace=None if rgb_already else _matrix(colours, frame.height),
            src_color_range=None if rgb_already else _range(colours),
            dst_color_range=int(ColorRange.JPEG),
            interpolation=_ACCURATE,
            threads=1,  # the frame loop's own threads keep the processor busy
        )
        if hdr:
            deep = np.asarray(converted.to_ndarray(), np.uint16)
            return tone_mapped(deep, colours.transfer, white=_deep_white(frame, colours))
        return np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)


class FromRgb:
    """Converts RGB images to yuv420p frames tagged with the colours they are stored in."""

    def __init__(self, colours: Colours, *, height: int) -> None:
        self._colours = colours
        self._matrix = _matrix(colours, height)
        self._reformatter = VideoReformatter()

    def __call__(self, picture: Picture) -> av.VideoFrame:
        """Return the frame to encode. The image's width and height must be even."""
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


def to_encode(image: Image, from_rgb: FromRgb, colours: Colours, *, ten_bits: bool = False) -> av.VideoFrame:
    """Return the frame to encode. Planes are used unchanged; with `ten_bits`, so are the source's where they are."""
    if not isinstance(image, Planes):
        frame = from_rgb(image)
        return frame.reformat(format=TEN_BITS) if ten_bits else frame
    if ten_bits:
        frame = av.VideoFrame.from_ndarray(_ten_bit(image, colours), format=TEN_BITS)
    else:
        frame = av.VideoFrame.from_ndarray(image.stored, format="yuv420p")
    tag(frame, colours)
    return frame


def is_deep(pixel_format: str, colours: Colours) -> bool:
    """Return whether a source has more than 8 bits that a copy can keep: YUV, and no HDR, which is tone-mapped."""
    found = av.VideoFormat(pixel_format, 16, 16)
    return not found.is_rgb and found.components[0].bits > 8 and not is_hdr(colours)


def _ten_bit(image: Planes, colours: Colours) -> NDArray[np.uint16]:
    """Return the planes with the source's own numbers wherever nothing was drawn."""
    wide = np.left_shift(image.stored, 2, dtype=np.uint16)
    if image.decoded is None:
        return wide
    frame, before = image.decoded
    same = _range(colours)
    deep = frame.reformat(format=TEN_BITS, src_color_range=same, dst_color_range=same).to_ndarray()
    if deep.shape != wide.shape:
        return wide
    return np.asarray(np.where(image.stored == before, deep, wide), np.uint16)


def tag(target: av.VideoFrame | av.VideoCodecContext, colours: Colours) -> None:
    """Set the colour properties of a frame or an encoder."""
    target.colorspace = colours.matrix
    target.color_range = _range(colours)
    target.color_primaries = colours.primaries
    target.color_trc = colours.transfer
