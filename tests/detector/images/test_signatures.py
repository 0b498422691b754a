"""Files recognised by their first bytes."""

import io

import pytest
from PIL import Image

from detector.images.signatures import PICTURE_SIGNATURE, describe_start


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF"])
def test_every_supported_format_has_a_signature(kind):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)

    assert PICTURE_SIGNATURE.match(file.getvalue()[:16])


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"<html>", "web page"),
        (b"RIFF\0\0\0\0AVI LIST", "yolo3 video"),
        (b"\x89PNG\r\n", "header is damaged"),
        (b"plain text", "begins with b'plain text'"),
    ],
)
def test_files_are_recognised(start, words):
    assert words in describe_start(start)
