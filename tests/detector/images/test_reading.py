import io
import os
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detector.errors import OutputError, PictureError, WriteError
from detector.images.reading import MAX_PIXELS, read_picture, write_picture

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *, transparent: bytes = b"") -> bytes:
    """A PNG made by hand, for what Pillow reads and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", transparent) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def two_pixels(mode: str, left: object, right: object) -> Image.Image:
    image = Image.new(mode, (2, 1), left)
    image.putpixel((1, 0), right)
    return image


def palette(*, transparency: object = None) -> Image.Image:
    image = two_pixels("P", 0, 1)
    image.putpalette([*RED, *GREEN])
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def grey_float(left: float, right: float) -> Image.Image:
    return Image.fromarray(np.array([[left, right]], np.float32))


def grey_16(left: int, right: int) -> Image.Image:
    return Image.fromarray(np.array([[left, right]], np.uint16))


def grey_32(left: int, right: int) -> Image.Image:
    return Image.fromarray(np.array([[left, right]], np.int32))


@pytest.mark.parametrize(
    ("image", "left", "right"),
    [
        pytest.param(two_pixels("1", 0, 1), BLACK, WHITE, id="1 bit"),
        pytest.param(two_pixels("L", 7, 200), (7, 7, 7), (200, 200, 200), id="grey"),
        pytest.param(two_pixels("LA", (7, 255), (7, 0)), (7, 7, 7), WHITE, id="grey and alpha"),
        pytest.param(two_pixels("LA", (0, 51), (0, 204)), (204, 204, 204), (51, 51, 51), id="half through"),
        pytest.param(palette(), RED, GREEN, id="palette"),
        pytest.param(palette(transparency=1), RED, WHITE, id="palette with a transparent colour"),
        pytest.param(palette(transparency=bytes([0, 255])), WHITE, GREEN, id="palette with alphas"),
        pytest.param(two_pixels("RGB", RED, BLUE), RED, BLUE, id="RGB"),
        pytest.param(two_pixels("RGBA", (*RED, 255), (*BLUE, 0)), RED, WHITE, id="RGBA"),
        pytest.param(two_pixels("RGBa", (255, 0, 0, 255), (0, 0, 0, 0)), RED, WHITE, id="RGBA premultiplied"),
        pytest.param(two_pixels("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), RED, BLACK, id="CMYK"),
        pytest.param(two_pixels("YCbCr", (0, 128, 128), (255, 128, 128)), BLACK, WHITE, id="YCbCr"),
        pytest.param(two_pixels("HSV", (0, 255, 255), (0, 0, 255)), RED, WHITE, id="HSV"),
        pytest.param(grey_16(257, 65535), (1, 1, 1), WHITE, id="16 bits"),
        pytest.param(grey_16(0, 700), BLACK, (3, 3, 3), id="16 bits, dark: no stretching"),
        pytest.param(grey_32(0, 200), BLACK, (200, 200, 200), id="32 bits holding 8"),
        pytest.param(grey_32(257, 65535), (1, 1, 1), WHITE, id="32 bits holding 16"),
        pytest.param(grey_32(0, 10**9), BLACK, WHITE, id="32 bits, bright"),
        pytest.param(grey_32(-100, 155), BLACK, WHITE, id="32 bits, negative"),
        pytest.param(grey_32(0, 0), BLACK, BLACK, id="32 bits, black"),
        pytest.param(grey_32(-5, -5), BLACK, BLACK, id="32 bits, all one negative value"),
        pytest.param(grey_float(0.2, 1.0), (51, 51, 51), WHITE, id="float to 1"),
        pytest.param(grey_float(1.5, 200), (2, 2, 2), (200, 200, 200), id="float to 255"),
        pytest.param(grey_float(-3e38, 3e38), BLACK, WHITE, id="float, wide"),
        pytest.param(grey_float(np.nan, np.inf), BLACK, BLACK, id="float, not finite"),
        pytest.param(
            Image.fromarray(np.array([[0x7F800001, 0x3F800000]], np.uint32).view(np.float32)),
            BLACK,
            WHITE,
            id="float, signalling NaN",
        ),
    ],
)
def test_pillow_modes(image: Image.Image, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    rgb = read_picture(image)
    assert rgb.dtype == np.uint8
    assert rgb.tolist() == [[list(left), list(right)]]
    assert rgb.flags.writeable
    assert rgb.flags.c_contiguous


@pytest.mark.parametrize(
    ("data", "left", "right"),
    [
        pytest.param(encoded(two_pixels("RGB", RED, BLUE), "PNG"), RED, BLUE, id="PNG"),
        pytest.param(encoded(two_pixels("RGB", RED, BLUE), "BMP"), RED, BLUE, id="BMP"),
        pytest.param(encoded(two_pixels("RGB", RED, BLUE), "WEBP", lossless=True), RED, BLUE, id="WEBP"),
        pytest.param(
            encoded(two_pixels("RGBA", (*RED, 255), (0, 0, 0, 0)), "WEBP", lossless=True),
            RED,
            WHITE,
            id="WEBP alpha",
        ),
        pytest.param(encoded(two_pixels("RGB", RED, BLUE), "TIFF"), RED, BLUE, id="TIFF"),
        pytest.param(
            encoded(two_pixels("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "TIFF"), RED, BLACK, id="TIFF, CMYK"
        ),
        pytest.param(encoded(grey_16(257, 65535), "TIFF"), (1, 1, 1), WHITE, id="TIFF, 16 bits"),
        pytest.param(encoded(grey_16(257, 65535), "PNG"), (1, 1, 1), WHITE, id="PNG, 16 bits"),
        pytest.param(encoded(grey_16(0, 200), "PNG"), BLACK, (1, 1, 1), id="PNG, 16 bits, dark"),
        pytest.param(b"P5 2 1 65535\n" + struct.pack(">2H", 0, 200), BLACK, (1, 1, 1), id="PGM, 16 bits, dark"),
        pytest.param(png(2, 1, 16, 0, struct.pack(">x2H", 257, 900)), (1, 1, 1), (4, 4, 4), id="16 bits by hand"),
        pytest.param(
            png(2, 1, 16, 0, struct.pack(">x2H", 257, 900), transparent=struct.pack(">H", 900)),
            (1, 1, 1),
            WHITE,
            id="16 bits with a transparent value",
        ),
        pytest.param(
            png(2, 1, 8, 0, bytes([0, 9, 8]), transparent=b"\0\x08"),
            (9, 9, 9),
            WHITE,
            id="grey, transparent value",
        ),
        pytest.param(
            png(2, 1, 8, 2, bytes([0, *RED, *BLUE]), transparent=struct.pack(">3H", *BLUE)),
            RED,
            WHITE,
            id="RGB with a transparent colour",
        ),
        pytest.param(png(2, 1, 16, 2, struct.pack(">x6H", 65535, 0, 0, 0, 0, 65535)), RED, BLUE, id="RGB of 16 bits"),
        pytest.param(
            png(2, 1, 16, 6, struct.pack(">x8H", 65535, 0, 0, 65535, 0, 0, 0, 0)),
            RED,
            WHITE,
            id="RGBA of 16 bits",
        ),
        pytest.param(
            encoded(two_pixels("RGB", RED, BLUE), "GIF", save_all=True, append_images=[Image.new("RGB", (2, 1))]),
            RED,
            BLUE,
            id="GIF, the first frame",
        ),
        pytest.param(
            encoded(two_pixels("RGB", RED, BLUE), "PNG", save_all=True, append_images=[Image.new("RGB", (2, 1))]),
            RED,
            BLUE,
            id="animated PNG, the first frame",
        ),
    ],
)
def test_file_kinds(data: bytes, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    assert read_picture(data).tolist() == [[list(left), list(right)]]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg(mode: str) -> None:
    colour = (190, 190, 190)
    rgb = read_picture(encoded(Image.new("RGB", (20, 10), colour).convert(mode), "JPEG"))
    assert rgb.shape == (10, 20, 3)
    assert np.abs(rgb.astype(int) - colour).max() <= 2


def test_one_pixel() -> None:
    assert read_picture(encoded(Image.new("RGB", (1, 1), RED), "PNG")).tolist() == [[[255, 0, 0]]]


# What the four corners of the stored picture must be for it to be displayed as red green / blue white.
STORED_CORNERS = {
    1: (RED, GREEN, BLUE, WHITE),
    2: (GREEN, RED, WHITE, BLUE),
    3: (WHITE, BLUE, GREEN, RED),
    4: (BLUE, WHITE, RED, GREEN),
    5: (RED, BLUE, GREEN, WHITE),
    6: (GREEN, WHITE, RED, BLUE),
    7: (WHITE, GREEN, BLUE, RED),
    8: (BLUE, RED, WHITE, GREEN),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize(("orientation", "corners"), STORED_CORNERS.items())
def test_exif_orientation(orientation: int, corners: tuple[tuple[int, int, int], ...], kind: str) -> None:
    width, height = (32, 48) if orientation >= 5 else (48, 32)
    stored = Image.new("RGB", (width, height))
    for colour, (x, y) in zip(corners, [(0, 0), (1, 0), (0, 1), (1, 1)], strict=True):
        stored.paste(colour, (x * width // 2, y * height // 2, (x + 1) * width // 2, (y + 1) * height // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    rgb = read_picture(encoded(stored, kind, exif=exif, **options))
    assert rgb.shape == (32, 48, 3)
    assert rgb.flags.c_contiguous
    found = [rgb[y, x].astype(int) for y in (2, -3) for x in (2, -3)]
    assert np.abs(np.array(found) - [RED, GREEN, BLUE, WHITE]).max() <= 4


def test_a_pillow_image_is_turned_like_its_file_and_left_as_it_was() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (6, 4), RED), "PNG", exif=exif)
    image = Image.open(io.BytesIO(data))
    assert read_picture(image).shape == read_picture(data).shape == (6, 4, 3)
    assert image.size == (6, 4)
    assert image.getexif()[0x0112] == 6


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x09"]
)
def test_damaged_exif_is_ignored_without_a_warning(exif: bytes) -> None:
    data = encoded(Image.new("RGB", (6, 4), WHITE), "JPEG", exif=exif)
    assert read_picture(data).shape == (4, 6, 3)


def test_arrays() -> None:
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert read_picture(rgb) is rgb
    assert read_picture(rgb[..., 0])[1, 2].tolist() == [18, 18, 18]
    assert read_picture(rgb[..., :1])[1, 2].tolist() == [18, 18, 18]
    rgba = np.dstack([rgb, np.array([[255, 0, 255, 0]] * 2, np.uint8)])
    assert read_picture(rgba)[0, :2].tolist() == [[0, 1, 2], [255, 255, 255]]


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((4, 5, 3), np.float32), "float32 of shape (4, 5, 3)"),
        (np.zeros((4, 5), bool), "bool of shape (4, 5)"),
        (np.zeros((3, 4, 5), np.uint8), "uint8 of shape (3, 4, 5)"),
        (np.zeros((1, 4, 5, 3), np.uint8), "uint8 of shape (1, 4, 5, 3)"),
        (np.zeros(5, np.uint8), "uint8 of shape (5,)"),
        (np.zeros((0, 5, 3), np.uint8), "uint8 of shape (0, 5, 3)"),
    ],
)
def test_arrays_that_are_not_pictures(array: np.ndarray, found: str) -> None:
    with pytest.raises(PictureError) as caught:
        read_picture(array, name="frame 7")
    assert str(caught.value).startswith(f"frame 7: found {found}; expected uint8 RGB")


PICTURE = Image.effect_noise((64, 64), 80).convert("RGB")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello there, I am text", "begins with b'hello there,'"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "yolo3 video"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n", "header is damaged"),
        *[(encoded(PICTURE, kind)[:1500], "damaged") for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")],
        (png(30_000, 30_000, 8, 2, b""), "more than 178 million pixels"),
        (png(13_000, 13_000, 8, 2, b""), "truncated or damaged"),
        (png(1, 178_000_000, 8, 2, b""), "262,144 on one side"),
        (png(400_000, 1, 8, 2, b""), "262,144 on one side"),
    ],
)
def test_broken_files(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "dog.jpg"
    path.write_bytes(data)
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_damaged_bytes_end_in_a_picture_or_a_picture_error(kind: str) -> None:
    whole = encoded(PICTURE, kind)
    rng = np.random.default_rng(5)
    outcomes = set()
    for _ in range(150):
        data = np.frombuffer(whole[: rng.integers(1, len(whole) + 1)], np.uint8).copy()
        for place in rng.integers(0, min(len(data), 400), 4):
            data[place] = rng.integers(256)
        try:
            outcomes.add(read_picture(data.tobytes()).ndim)
        except PictureError as error:
            outcomes.add(type(error))
    assert PictureError in outcomes


def test_a_jpeg_of_a_thousand_exif_segments_is_refused() -> None:
    whole = encoded(PICTURE, "JPEG")
    content = b"Exif\0\0" + b"II*\0\x08\0\0\0" + bytes(60_000)
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    started = time.monotonic()
    with pytest.raises(PictureError, match="MB of EXIF data"):
        read_picture(whole[:2] + 1000 * segment + whole[2:])
    assert time.monotonic() - started < 5
    assert read_picture(whole[:2] + 9 * segment + whole[2:]).shape == read_picture(whole).shape


def test_open_files(tmp_path: Path) -> None:
    path = tmp_path / "dog.png"
    path.write_bytes(encoded(PICTURE, "PNG"))
    with path.open("rb") as file:
        assert (read_picture(file) == PICTURE).all()
    assert (read_picture(io.BytesIO(path.read_bytes())) == PICTURE).all()
    assert (read_picture(memoryview(path.read_bytes())) == PICTURE).all()
    with path.open(encoding="latin-1") as file, pytest.raises(PictureError, match=r"dog\.png: is open as text"):
        read_picture(file)
    with pytest.raises(PictureError, match="the open file: the file is empty"):
        read_picture(io.BytesIO())
    with pytest.raises(PictureError, match="int is not a picture"):
        read_picture(3)


def test_of_several_frames_or_pages_the_first_is_used_and_named() -> None:
    pages = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for kind, words in (("GIF", "2 frames"), ("TIFF", "2 pages"), ("PNG", "2 frames"), ("WEBP", "2 frames")):
        file = io.BytesIO()
        pages[0].save(file, kind, save_all=True, append_images=pages[1:])
        notes: list[str] = []
        assert read_picture(file.getvalue(), name="a.gif", on_note=notes.append)[0, 0, 0] > 200
        assert notes == [f"a.gif: holds {words}; the first is used"]
    notes = []
    read_picture(encoded(PICTURE, "PNG"), on_note=notes.append)
    assert notes == []


def test_large_pillow_image_is_refused() -> None:
    class Huge(Image.Image):
        size = width, height = (MAX_PIXELS, 2)

    with pytest.raises(PictureError, match="the Pillow image: more than 178 million"):
        read_picture(Huge())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.jpg", "no such file"),
        ("", "a folder"),
        ("a\0b.jpg", "cannot be read"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_paths_that_do_not_open(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        read_picture(f"{tmp_path}/{name}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "dog.png"
    path.write_bytes(encoded(PICTURE, "PNG"))
    path.chmod(0)
    with pytest.raises(PictureError, match="Permission denied"):
        read_picture(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(encoded(Image.new("RGB", (3, 2), RED), "PNG")))
    writer.start()
    assert read_picture(pipe).shape == (2, 3, 3)
    writer.join()


def test_name_identifies_the_picture_in_messages() -> None:
    with pytest.raises(PictureError, match=r"^upload 3: "):
        read_picture(b"text", name="upload 3")


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    before = list(warnings.filters)
    data = encoded(Image.new("RGB", (6, 4)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with ThreadPoolExecutor(8) as pool:
        assert {picture.shape for picture in pool.map(read_picture, [data] * 200)} == {(4, 6, 3)}
    assert warnings.filters == before


def test_reading_a_picture_loads_no_tensorflow() -> None:
    script = "import sys, detector.images.reading; sys.exit('tensorflow' in sys.modules or 'cv2' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


RGB = np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "JPEG"), (".JPEG", "JPEG"), (".png", "PNG"), (".webp", "WEBP")])
def test_written_pictures_are_of_the_kind_their_suffix_says(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / "new" / "folder" / f"dog{suffix}"
    write_picture(path, RGB)
    with Image.open(path) as image:
        assert (image.format, image.size) == (kind, (30, 20))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_png_keeps_every_pixel(tmp_path: Path) -> None:
    write_picture(tmp_path / "dog.png", RGB[:, ::-1])
    assert (read_picture(tmp_path / "dog.png") == RGB[:, ::-1]).all()


def test_a_picture_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "dog.png"
    path.write_text("old")
    write_picture(path, RGB)
    assert (read_picture(path) == RGB).all()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dog.gif", "written as .jpg, .png or .webp, not .gif"),
        ("dog", "not without a suffix"),
        ("file/dog.jpg", "is not a folder"),
        ("file/deeper/dog.jpg", "is not a folder"),
        ("folder.jpg", "is a folder"),
        ("x" * 300 + ".jpg", "name too long"),
    ],
)
def test_paths_that_cannot_be_written_to(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").write_text("I am a file")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(OutputError, match=words):
        write_picture(tmp_path / name, RGB)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.jpg"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write_picture(tmp_path / "dog.jpg", RGB)


def test_more_pixels_than_the_kind_holds(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="70000x1 pixels do not fit into JPEG"):
        write_picture(tmp_path / "line.jpg", np.zeros((1, 70_000, 3), np.uint8))


def test_writing_that_breaks_off_leaves_the_old_picture(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are a Unix thing")
    path = tmp_path / "dog.png"
    write_picture(path, RGB[:2, :2])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(WriteError, match=r"dog\.png: could not be written"):
            write_picture(path, RGB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (read_picture(path) == RGB[:2, :2]).all()
    assert [entry.name for entry in tmp_path.iterdir()] == ["dog.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_and_a_device_that_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "dog.png"
    path.symlink_to("/dev/full")
    with pytest.raises(WriteError, match="No space left"):
        write_picture(path, RGB)
    assert path.is_symlink()


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("exif_landscape_3.jpg", (450, 600, 3)),
        ("exif_landscape_6.jpg", (450, 600, 3)),
        ("flower.webp", (360, 480, 3)),
        ("hopper_gray.jpg", (128, 128, 3)),
        ("iss634.gif", (245, 245, 3)),
        ("16bit.cropped.tif", (64, 64, 3)),
    ],
)
def test_unusual_real_pictures(shared: Path, name: str, shape: tuple[int, ...]) -> None:
    assert read_picture(shared / "assets" / "images_odd" / name).shape == shape


@pytest.mark.parametrize(
    ("name", "place", "colour"),
    [
        ("pil_sample_cmyk.jpg", (1, 1), (255, 14, 23)),  # Adobe stores CMYK inverted; unnoticed, this is cyan
        ("pil_sample_cmyk.jpg", (90, 90), (0, 0, 0)),
        ("mode_palette_alpha.png", (9, 9), (255, 0, 0)),
    ],
)
def test_colours_of_real_pictures(shared: Path, name: str, place: tuple[int, int], colour: tuple[int, ...]) -> None:
    rgb = read_picture(shared / "assets" / "images_odd" / name)
    assert np.abs(rgb[place].astype(int) - colour).max() <= 12


@pytest.mark.parametrize("name", ["basn0g16.png", "16bit.cropped.tif"])
def test_16_bits_as_opencv_reads_them(shared: Path, name: str) -> None:
    path = shared / "assets" / "images_odd" / name
    expected = np.rint(cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 257)
    assert (read_picture(path) == expected[..., None]).all()


@pytest.mark.parametrize("name", ["broken.png", "truncated_dog.jpg", "truncated_jpeg.jpg"])
def test_broken_real_pictures(shared: Path, name: str) -> None:
    with pytest.raises(PictureError, match="damaged"):
        read_picture(shared / "assets" / "images_odd" / name)
