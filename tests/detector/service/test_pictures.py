"""Pictures that are refused before they are decoded."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from detector.errors import PictureError
from detector.service.pictures import decode, wanted_kind
from detector.service.request_errors import RequestError


def png_of(width, height):
    """A PNG that says it is so large, and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(40_000, 40_000), (100_000, 100_000), (2**31 - 1, 1), (6000, 6000)])
def test_the_size_is_known_before_a_picture_is_decoded(size):
    with pytest.raises(RequestError, match="more than 32,000,000 pixels") as refusal:
        decode(png_of(*size), most_pixels=32_000_000)
    assert refusal.value.status == 413


@pytest.mark.parametrize("kind", ["TIFF", "PPM", "PDF", "EPS", "ICO", "TGA", "JPEG2000"])
def test_other_formats_are_not_opened(kind):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    with pytest.raises(PictureError, match="the picture: "):
        decode(file.getvalue(), most_pixels=1000)


def test_a_jpeg_of_many_scans_is_refused():
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    assert decode(data, most_pixels=10_000).shape == (64, 64, 3)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(PictureError, match="more than 100 scans"):
        decode(data[:-2] + 200 * scan + data[-2:], most_pixels=10_000)


def test_broken_pictures_of_every_kind_are_refused(service, shared):
    for path in sorted((shared / "assets" / "images_odd").iterdir()):
        answer = service.post("/v1/detect", path.read_bytes())
        assert answer.status_code in (200, 422), path.name
        assert "passwd" not in answer.text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", None),
        ("*/*", None),
        ("application/json", None),
        ("image/png", "PNG"),
        ("image/jpeg;q=0.5, image/png;q=0.9", "PNG"),
        ("application/json, image/png;q=0.9", None),
        ("text/html, image/avif, */*;q=0.8", None),
        ("image/png;q=x", None),
    ],
)
def test_the_kind_that_is_accepted(accept, kind):
    assert wanted_kind(accept) == kind


def test_animations_give_their_first_picture():
    file = io.BytesIO()
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (10, 200)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert decode(file.getvalue(), most_pixels=100).max() == 10
