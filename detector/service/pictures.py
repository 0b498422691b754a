"""Uploaded pictures: checked before they are decoded, and results drawn onto them."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detector.errors import PictureError
from detector.images.reading import picture_formats, read_picture
from detector.images.signatures import describe_start
from detector.service.request_errors import PICTURE, too_large

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF")
"""What is decoded, in Pillow's names."""

_MOST_SCANS = 100
"""Of a progressive JPEG. A scan of a few bytes goes over all pixels: a small file could take hours."""

Kind = Literal["JPEG", "PNG"]


def decode(data: bytes, *, most_pixels: int) -> NDArray[np.uint8]:
    """An uploaded picture as RGB. Raises `PictureError`, or `RequestError` where it has more pixels than that.

    Of an animation the first picture is taken. The size is known before anything is decoded.
    """
    if not data:
        raise PictureError(f"{PICTURE}: the file is empty; choose another")
    known = [kind for kind in FORMATS if kind in picture_formats()]
    try:
        with Image.open(io.BytesIO(data), formats=known) as image:
            width, height = image.size
            kind = image.format
    except Image.DecompressionBombError:
        raise too_large(f"{PICTURE} has more than {most_pixels:,} pixels, the most that is taken") from None
    except Exception:  # noqa: BLE001 - decoders fail in as many ways as files can be broken
        raise PictureError(f"{PICTURE}: {describe_start(data[:64])}") from None
    if width * height > most_pixels:
        raise too_large(f"{PICTURE} is {width}x{height}: more than {most_pixels:,} pixels, the most that is taken")
    if kind == "JPEG" and data.count(b"\xff\xda") > _MOST_SCANS:
        raise PictureError(f"{PICTURE}: a JPEG of more than {_MOST_SCANS} scans, refused as dangerous; save it anew")
    return read_picture(data, name=PICTURE)


def encode(rgb: NDArray[np.uint8], kind: Kind) -> bytes:
    """A picture as a file."""
    encoded = io.BytesIO()
    options = {"quality": 92, "subsampling": 0} if kind == "JPEG" else {"compress_level": 3}
    try:
        Image.fromarray(rgb).save(encoded, kind, **options)
    except (OSError, ValueError):
        raise PictureError(f"{PICTURE}: does not fit into {kind}; ask for image/png") from None
    return encoded.getvalue()


def wanted_kind(accept: str) -> Kind | None:
    """The kind of picture that an `Accept` header prefers to JSON; None where it does not."""
    best: tuple[float, Kind | None] = (0.0, None)
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        kinds: dict[str, Kind | None] = {"image/jpeg": "JPEG", "image/png": "PNG"}
        if media in (*kinds, "application/json", "*/*", "application/*") and quality > best[0]:
            best = quality, kinds.get(media)
    return best[1]
