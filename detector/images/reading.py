"""Pictures: anything a user calls one in, an RGB array as displayed out; and back to a file."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from detector.errors import OutputError, PictureError, WriteError
from detector.images.darknet_jpeg import decode_jpeg
from detector.images.finding import PICTURE_SIGNATURE, fetch_picture, is_url, without_password

PictureSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]

MAX_PIXELS = 178_956_970
"""The largest picture that is opened, 512 MiB as RGB; Pillow, too, refuses more."""

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

# Pillow knows forty kinds, some of which start other programs (EPS runs Ghostscript). These are pictures.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
_EXPECTED = "expected JPEG, PNG, WEBP, BMP, GIF or TIFF"
_NOT_PICTURES = (
    (rb"\s*<(!doctype\s+html|html)", "a web page, not a picture; give the address of the picture itself"),
    (rb"\s*<(\?xml|svg)", "SVG or XML, which holds no pixels; save it as PNG"),
    (rb"....ftyp(hei|hev|mif|msf)", "HEIC, which is not read; save it as JPEG"),
    (rb"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3|\0\0\x01\xba", "a video, not a picture; use `yolo3 video`"),
    (rb"%PDF", "a PDF document; save its page as PNG"),
    (rb"version https://git-lfs", "a git-lfs pointer, not the picture itself; run `git lfs pull`"),
)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def read_picture(source: PictureSource, *, name: str | None = None, as_darknet: bool = False) -> NDArray[np.uint8]:
    """Read a picture as RGB (height, width, 3), as displayed: rotation applied, on white where transparent.

    Takes a path, an http(s) address, a file's bytes, a Pillow image, or an array. Arrays are uint8: RGB
    (height, width, 3) comes back as it is, uncopied; grey (height, width) and RGBA (height, width, 4) are
    converted. 16-bit grey keeps its whole range (65535 is white). 32-bit and float grey have no range of
    their own: white is 1 (float only), 255, 65535 or the brightest pixel, whichever is the first that no
    pixel exceeds; with values below 0, darkest to brightest. Of an animation, the first frame. `name`
    stands for the picture in messages. `as_darknet` decodes JPEG files to Darknet's pixels (see
    `detector.images.darknet_jpeg`), which takes some times longer. Raises `PictureError`.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "the array")
    if isinstance(source, Image.Image):
        return _decode(source, name or getattr(source, "filename", "") or "the Pillow image")
    if isinstance(source, str) and is_url(source):
        return read_picture(fetch_picture(source), name=name or without_password(source), as_darknet=as_darknet)
    if isinstance(source, bytes):
        return _from_file(io.BytesIO(source), name or "the picture in memory", as_darknet)
    path = os.fspath(source)
    name = name or " ".join(path.split())
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a str may hold what Path refuses
            return _from_file(file, name, as_darknet)
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file; check the name") from None
    except IsADirectoryError:
        raise PictureError(f"{name}: a folder, not a picture; name a picture in it") from None
    except (OSError, ValueError) as error:
        raise PictureError(f"{name}: cannot be read ({_reason(error)})") from error


def write_picture(path: str | os.PathLike[str], rgb: NDArray[np.uint8]) -> None:
    """Write RGB (height, width, 3) as JPEG, PNG or WEBP, as the suffix says; make its folder if need be.

    The file gets its name when it is whole. Raises `OutputError` where nothing can be written to that
    path, and `WriteError` where writing broke off, as on a full disk.
    """
    path = Path(path)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}.get(path.suffix.lower())
    if kind is None:
        raise OutputError(
            f"{path}: pictures are written as .jpg, .png or .webp, not {path.suffix or 'without a suffix'}"
        )
    encoded = io.BytesIO()
    try:
        # No chroma subsampling: it would smear the thin coloured lines that are drawn onto results.
        Image.fromarray(rgb).save(encoded, kind, quality=92, subsampling=0)
    except (OSError, ValueError) as error:
        height, width = rgb.shape[:2]
        raise OutputError(
            f"{path}: {width}x{height} pixels do not fit into {kind} ({error}); choose another suffix"
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, encoded.getbuffer())
    except OSError as error:
        if error.errno in _FULL:
            raise WriteError(f"{path}: writing broke off ({_reason(error)}); make room and run again") from error
        blocked = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a file stands where a folder is needed" if blocked else _reason(error)
        raise OutputError(f"{path}: cannot be written to ({reason}); choose another place") from error


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


def _from_file(file: BinaryIO, name: str, as_darknet: bool) -> NDArray[np.uint8]:
    if not file.seekable():
        file = io.BytesIO(file.read())
    start = file.read(64)
    if not start:
        raise PictureError(f"{name}: the file is empty; save or fetch it again")
    file.seek(0)
    try:
        with _quiet():
            # Pillow releases differ in the kinds they were built with, and stop at a name they do not know.
            Image.init()
            image = Image.open(file, formats=[kind for kind in _FORMATS if kind in Image.OPEN])
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except UnidentifiedImageError:
        raise PictureError(f"{name}: {_what_it_is(start)}") from None
    except Exception as error:
        raise _damaged(name, error) from error

    def reopened() -> Image.Image:
        file.seek(0)
        return Image.open(file, formats=["JPEG"])

    return _decode(image, name, reopened if as_darknet and image.format == "JPEG" else None)


def _decode(image: Image.Image, name: str, reopened: Callable[[], Image.Image] | None = None) -> NDArray[np.uint8]:
    if image.width * image.height > MAX_PIXELS:
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
        # Decoders fail in as many ways as files can be broken: OSError, SyntaxError, struct.error, KeyError …
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


def _what_it_is(start: bytes) -> str:
    for pattern, words in _NOT_PICTURES:
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return words
    if PICTURE_SIGNATURE.match(start):
        return "begins like a picture but its header is damaged; save or fetch it again"
    return f"not a picture: it begins with {start[:12]!r}; {_EXPECTED}"


def _damaged(name: str, error: Exception, which: str = "") -> PictureError:
    return PictureError(f"{name}: the picture{which} is cut off or damaged: {_reason(error)}; save or fetch it again")


def _too_large(name: str) -> PictureError:
    return PictureError(
        f"{name}: more than {MAX_PIXELS // 10**6} million pixels, refused as dangerous; scale it down first"
    )


def _reason(error: Exception) -> str:
    words = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return " ".join(words.split())


class _Quiet:
    """Hide Pillow's warnings while any thread decodes: `catch_warnings` alone is for one thread at a time."""

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


def _write_whole(path: Path, data: memoryview) -> None:
    if path.exists() and not path.is_file():
        # A device or a pipe is written to, never replaced. (A folder is refused by open.)
        path.write_bytes(data)
        return
    beside = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
