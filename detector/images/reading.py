"""Read images of any supported kind as RGB arrays, and write arrays to image files."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from convert.files import check_output, write_whole
from detector.errors import OutputError, PictureError
from detector.images.addresses import is_url, without_credentials
from detector.images.darknet_jpeg import decode_jpeg
from detector.images.signatures import describe_start

PictureSource: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[Any]

MAX_PIXELS = 178_956_970
"""Maximum pixels of an image, 512 MiB as RGB; Pillow has a limit too."""

MAX_SIDE = 1 << 18
"""Maximum side in pixels. Pillow keeps pointers for each row: an image one pixel wide would take ten times its pixels'
memory."""

_MAX_EXIF_BYTES = 4 << 20
"""Maximum bytes of EXIF. Pillow joins the EXIF segments of a JPEG one by one, which takes minutes for a thousand."""

_MAX_PIPE_BYTES = 1 << 30
"""Maximum bytes read from a pipe or an open file of unknown size; the rest of a larger image is lost."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow supports forty formats, some of which start other programs (EPS runs Ghostscript). These are only images.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
_ANIMATED = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")


def read_picture(
    source: PictureSource,
    *,
    name: str | None = None,
    as_darknet: bool = False,
    on_note: Callable[[str], object] | None = None,
) -> NDArray[np.uint8]:
    """Read an image as RGB (height, width, 3), as displayed: rotation applied, on white where transparent.

    `source` is a path, an http(s) address, a file's bytes, an open binary file, a Pillow image, or an array. Arrays are
    uint8: RGB (height, width, 3) is returned as is, without a copy; grey (height, width) and RGBA (height, width, 4)
    are converted.

    16-bit grey keeps its whole range (65535 is white). 32-bit and float grey have no fixed range: white is the first of
    1 (float only), 255, 65535 and the brightest pixel that no pixel exceeds; if there are negative values, the range is
    darkest to brightest. Of an animation or a file of several pages, the first is read, and `on_note` gets a line that
    says so.

    `name` identifies the image in messages. `as_darknet` decodes JPEG files to Darknet's pixels (see
    `detector.images.darknet_jpeg`), which takes several times as long. Raise `PictureError`.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "the array")
    if isinstance(source, Image.Image):
        return _decode(source, name or _file_name(source) or "the Pillow image")
    if isinstance(source, str) and is_url(source):
        name = name or without_credentials(source)
        from detector.images.fetching import fetch_picture  # http and ssl take 27 ms to import

        return _from_file(io.BytesIO(fetch_picture(source)), name, as_darknet, on_note)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(source), name or "the picture in memory", as_darknet, on_note)
    if not isinstance(source, str | os.PathLike):
        return _from_open_file(source, name, as_darknet, on_note)
    path = os.fspath(source)
    name = name or " ".join(path.split())
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a str may hold what Path refuses
            return _from_file(file, name, as_darknet, on_note)
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file; check the name") from None
    except IsADirectoryError:
        raise PictureError(f"{name}: a folder, not a picture; name a picture in it") from None
    except (OSError, ValueError) as error:
        raise PictureError(f"{name}: cannot be read ({_reason(error)})") from error


def picture_formats() -> list[str]:
    """Return Pillow's names of the formats that are opened, if this Pillow was built with them."""
    Image.init()
    return [kind for kind in _FORMATS if kind in Image.OPEN]


def write_picture(path: str | os.PathLike[str], rgb: NDArray[np.uint8]) -> None:
    """Write RGB (height, width, 3) as JPEG, PNG or WEBP, according to the suffix; make its folder if needed.

    The file appears under its name when it is complete. Raise `OutputError` if nothing can be written to that path, and
    `WriteError` if writing failed, as on a full disk.
    """
    path = Path(path)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}.get(path.suffix.lower())
    if kind is None:
        raise OutputError(
            f"{path}: pictures are written as .jpg, .png or .webp, not {path.suffix or 'without a suffix'}"
        )
    check_output(path, overwrite=True)
    encoded = io.BytesIO()
    try:
        # No chroma subsampling: it would blur the thin coloured lines drawn on results.
        Image.fromarray(rgb).save(encoded, kind, quality=92, subsampling=0)
    except (OSError, ValueError) as error:
        height, width = rgb.shape[:2]
        raise OutputError(
            f"{path}: {width}x{height} pixels do not fit into {kind} ({error}); choose another suffix"
        ) from error
    write_whole(path, encoded.getvalue())


def _from_array(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    shape = array.shape
    if (
        array.dtype != np.uint8
        or array.size == 0
        or not (array.ndim == 2 or (array.ndim == 3 and shape[2] in (1, 3, 4)))
    ):
        raise PictureError(
            f"{name}: found {array.dtype} of shape {shape}; expected uint8 RGB of shape (height, width, 3), "
            f"or grey (height, width), or RGBA (height, width, 4)"
        )
    if shape[2:] == (3,):
        return array
    if shape[2:] == (4,):
        return np.array(_on_white(Image.fromarray(array)))
    return np.repeat(array.reshape(*shape[:2], 1), 3, axis=2)


def _from_open_file(
    file: BinaryIO, name: str | None, as_darknet: bool, on_note: Callable[[str], object] | None
) -> NDArray[np.uint8]:
    try:
        data = file.read(_MAX_PIPE_BYTES)
    except AttributeError:
        raise PictureError(
            f"{type(file).__name__} is not a picture; expected a path, an address, bytes, an open binary file, "
            "a Pillow image or a uint8 array"
        ) from None
    name = name or _file_name(file) or "the open file"
    if not isinstance(data, bytes):
        raise PictureError(f"{name}: is open as text; open it in binary mode ('rb')")
    return _from_file(io.BytesIO(data), name, as_darknet, on_note)


def _from_file(
    file: BinaryIO, name: str, as_darknet: bool, on_note: Callable[[str], object] | None
) -> NDArray[np.uint8]:
    if not file.seekable():
        file = io.BytesIO(file.read(_MAX_PIPE_BYTES))
    start = file.read(64)
    if not start:
        raise PictureError(f"{name}: the file is empty; save or fetch it again")
    if start[:2] == b"\xff\xd8" and _exif_bytes(file) > _MAX_EXIF_BYTES:
        raise PictureError(
            f"{name}: more than {_MAX_EXIF_BYTES >> 20} MB of EXIF data, refused as dangerous; save it without EXIF"
        )
    file.seek(0)
    try:
        with _quiet():
            image = Image.open(file, formats=picture_formats())
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except UnidentifiedImageError:
        raise PictureError(f"{name}: {describe_start(start)}") from None
    except Exception as error:
        raise _damaged(name, error) from error

    def reopened() -> Image.Image:
        file.seek(0)
        return Image.open(file, formats=["JPEG"])

    picture = _decode(image, name, reopened if as_darknet and image.format == "JPEG" else None)
    if on_note is not None and (frames := _frame_count(image)) > 1:
        on_note(f"{name}: holds {frames} {'pages' if image.format == 'TIFF' else 'frames'}; the first is used")
    return picture


def _exif_bytes(file: BinaryIO) -> int:
    """Return the number of bytes in the EXIF segments of a JPEG."""
    total, place = 0, 2
    while True:
        file.seek(place)
        head = file.read(10)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):
            return total
        if head[1] == 0xFF:  # a fill byte
            place += 1
            continue
        (length,) = struct.unpack(">H", head[2:4])
        total += length if head[1] == 0xE1 and head[4:8] == b"Exif" else 0
        place += 2 + max(length, 2)


def _frame_count(image: Image.Image) -> int:
    try:
        return int(image.n_frames) if image.format in _ANIMATED else 1  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - what is damaged behind the first frame is not used
        return 1


def _file_name(opened: Any) -> str:
    """Return the name of the file behind a Pillow image or an open file, if it is known."""
    try:
        name = opened.filename if isinstance(opened, ImageFile) else opened.name
    except AttributeError:
        return ""
    return name if isinstance(name, str) else ""


def _decode(image: Image.Image, name: str, reopened: Callable[[], Image.Image] | None = None) -> NDArray[np.uint8]:
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise _too_large(name)
    try:
        with _quiet():
            exact = decode_jpeg(reopened) if reopened else None
            if exact is not None:
                rgb = Image.fromarray(exact)
            else:
                image.load()
                rgb = _to_rgb(image)
            upright = _UPRIGHT.get(_orientation(image))
            return np.array(rgb if upright is None else rgb.transpose(upright))
    except MemoryError:
        raise PictureError(f"{name}: {image.width}x{image.height} pixels do not fit into memory") from None
    except Exception as error:
        # Decoders raise many kinds of errors for broken files: OSError, SyntaxError, struct.error, KeyError …
        raise _damaged(name, error, f" ({image.format or 'Pillow'} {image.width}x{image.height})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey(image, white=65535)
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return _grey(image, white=65535)
    if image.mode in ("I", "F"):
        return _grey(image, white=None)
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _grey(image: Image.Image, *, white: float | None) -> Image.Image:
    stored = np.asarray(image)
    values: NDArray[np.floating[Any]]
    with np.errstate(invalid="ignore"):
        values = stored.astype(np.float32 if image.mode.startswith("I;16") else np.float64)
    values[~np.isfinite(values)] = 0
    black, brightest = min(0.0, float(values.min())), float(values.max())
    if white is None:
        usual = () if black < 0 else (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        white = next((level for level in usual if brightest <= level), brightest)
    pixels = np.rint((values - black) * (255 / ((white - black) or 1))).clip(0, 255).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[stored == transparent] = 255
    return Image.fromarray(pixels).convert("RGB")


def _on_white(rgba: Image.Image) -> Image.Image:
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - a damaged EXIF block must not cost the picture
        return 1


def _damaged(name: str, error: Exception, which: str = "") -> PictureError:
    return PictureError(f"{name}: the picture{which} is truncated or damaged: {_reason(error)}; save or fetch it again")


def _too_large(name: str) -> PictureError:
    return PictureError(
        f"{name}: more than {MAX_PIXELS // 10**6} million pixels, or {MAX_SIDE:,} on one side, "
        "refused as dangerous; scale it down first"
    )


def _reason(error: Exception) -> str:
    words = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return " ".join(words.split())


class _Quiet:
    """Hide Pillow's warnings while any thread decodes: `catch_warnings` alone is not thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = warnings.catch_warnings()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._before.__exit__(None, None, None)


_quiet = _Quiet()
