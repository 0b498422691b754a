import contextlib
import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from detector.errors import PictureError
from detector.images.finding import fetch_picture, find_pictures, output_name
from detector.images.reading import read_picture


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        *("photos/img10.jpg", "photos/img2.JPG", "photos/Img1.png", "photos/notes.txt", "photos/._img2.jpg"),
        *("photos/deeper/cat.webp", "photos/deeper/more/bird.tiff", "photos/deeper.png/inside.txt"),
        *("cat[1].jpg", "cat1.jpg", "texts/a.txt", "noextension"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["cat1.jpg"], ["cat1.jpg"], id="a file"),
        pytest.param(["noextension"], ["noextension"], id="any file that is named"),
        pytest.param(["missing.jpg", "cat1.jpg"], ["missing.jpg", "cat1.jpg"], id="a missing file stays"),
        pytest.param(
            ["photos"],
            ["photos/Img1.png", "photos/img2.JPG", "photos/img10.jpg"],
            id="a folder, in natural order",
        ),
        pytest.param(["photos/*g"], ["photos/Img1.png", "photos/img10.jpg"], id="a glob"),
        pytest.param(["photos/*/*"], ["photos/deeper/cat.webp"], id="a glob over folders"),
        pytest.param(
            ["photos/deep*/**"],
            ["photos/deeper/cat.webp", "photos/deeper/more/bird.tiff"],
            id="a glob all the way down",
        ),
        pytest.param(["cat[1].jpg"], ["cat[1].jpg"], id="a file named like a glob"),
        pytest.param(["[c]at1.jpg"], ["cat1.jpg"], id="a glob with brackets"),
        pytest.param(["cat1.jpg", "./cat1.jpg", "cat?.jpg"], ["cat1.jpg"], id="no duplicates"),
        pytest.param(["HTTPS://x.org/*.jpg?a=[1]"], ["HTTPS://x.org/*.jpg?a=[1]"], id="an address is no glob"),
        pytest.param(["http://x.org/a", "http://x.org/a"], ["http://x.org/a"], id="an address once"),
        pytest.param([Path("photos/deeper")], ["photos/deeper/cat.webp"], id="a Path"),
        pytest.param(["x" * 5000, "a\0b"], ["x" * 5000, "a\0b"], id="what no file system takes"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_find_pictures(folder: Path, arguments: list[str], expected: list[str]) -> None:
    assert [path.replace("\\", "/") for path in find_pictures(arguments)] == expected


def test_find_pictures_in_an_absolute_folder(folder: Path) -> None:
    assert find_pictures([folder / "photos" / "deeper"]) == [str(folder / "photos" / "deeper" / "cat.webp")]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("empty", "empty: the folder holds no pictures; pictures end in .jpg"),
        ("texts", "texts: the folder holds no pictures (only 1 other)"),
        ("*.webp", "*.webp: no file of this name, and no picture matches it as a pattern; "),
        ("texts/*", "texts/*: no file of this name, and no picture matches it as a pattern (only 1 other); "),
        ("dog[2].jpg", "dog[2].jpg: no file of this name, and no picture matches"),
    ],
)
def test_no_pictures_where_some_were_named(folder: Path, argument: str, message: str) -> None:
    with pytest.raises(PictureError) as caught:
        find_pictures(["cat1.jpg", argument])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("source", "taken", "name"),
    [
        ("dog.jpg", [], "dog.jpg"),
        ("photos/dog.jpg", [], "dog.jpg"),
        (Path("photos/DOG.JPEG"), [], "DOG.JPEG"),
        ("dog.png", [], "dog.png"),
        ("dog.webp", [], "dog.png"),
        ("dog.gif", [], "dog.png"),
        ("a.b.tiff", [], "a.b.png"),
        ("noextension", [], "noextension.png"),
        ("https://x.org/photos/dog.jpg?size=9#top", [], "dog.jpg"),
        ("https://x.org/photos/my%20dog.PNG", [], "my dog.PNG"),
        ("https://x.org/photos/dog.webp", [], "dog.png"),
        ("https://x.org/photo.php?id=5", [], "photo.jpg"),
        ("https://x.org/200", [], "200.jpg"),
        ("https://x.org/", [], "picture.jpg"),
        ("https://x.org", [], "picture.jpg"),
        ("https://x.org?a=/b.jpg", [], "picture.jpg"),
        ("http://[::1/dog.png", [], "dog.png"),
        ("https://x.org/a/..%2f..%2fetc%2fpasswd", [], "passwd.jpg"),
        ("https://x.org/a/..%5C..%5Cdog.png", [], "dog.png"),
        ("https://x.org/a/%2e%2e", [], "picture.jpg"),
        ("https://x.org/a%00b%3Ac%0A.png", [], "a_b_c_.png"),
        ("https://x.org/" + "x" * 999 + ".png", [], "x" * 96 + ".png"),
        ("b/dog.jpg", ["dog.jpg"], "dog-2.jpg"),
        ("b/Dog.jpg", ["dog.jpg", "DOG-2.jpg"], "Dog-3.jpg"),
        ("dog.webp", {"dog.jpg", "dog.png"}, "dog-2.png"),
    ],
)
def test_output_name(source: str | Path, taken: list[str], name: str) -> None:
    assert output_name(source, taken=taken) == name


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (255, 0, 0)).save(file, "PNG")
    return file.getvalue()


PICTURE = picture()


class Pages(BaseHTTPRequestHandler):
    """One method per path of the test server."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        getattr(self, self.path.partition("?")[0].strip("/").replace(".", "_"), self.missing)()

    def answer(self, body: bytes, *, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content_Type": "image/png", **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def missing(self) -> None:
        self.answer(b"<html>no</html>", status=404, Content_Type="text/html")

    def dog_png(self) -> None:
        self.answer(PICTURE)

    def mislabelled(self) -> None:
        self.answer(PICTURE, Content_Type="text/plain")

    def page(self) -> None:
        self.answer(b"<html>a picture!</html>", Content_Type="text/html; charset=utf-8")

    def empty(self) -> None:
        self.answer(b"")

    def forbidden(self) -> None:
        self.answer(b"", status=403)

    def announced_large(self) -> None:
        self.answer(PICTURE, length=10**12)

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):  # until the reader has had enough
            while True:
                self.wfile.write(PICTURE)

    def cut_off(self) -> None:
        self.answer(PICTURE, length=len(PICTURE) + 100)

    def silent(self) -> None:
        time.sleep(20)

    def dripping(self) -> None:
        self.answer(PICTURE[:10], length=10_000)
        with contextlib.suppress(OSError):
            for _ in range(400):
                self.wfile.write(b"\0")
                time.sleep(0.05)

    def moved(self) -> None:
        self.answer(b"", status=302, Location="/dog.png")

    def moved_to_file(self) -> None:
        self.answer(b"", status=302, Location="file:///etc/passwd")

    def moved_to_ftp(self) -> None:
        self.answer(b"", status=302, Location="ftp://127.0.0.1/dog.png")

    def moved_round(self) -> None:
        self.answer(b"", status=302, Location="/moved_round")

    def private(self) -> None:
        allowed = self.headers["Authorization"] == "Basic bWU6c2UlY3JldA=="  # me:se%cret
        self.answer(PICTURE, status=200 if allowed else 401)

    def spaces(self) -> None:
        self.answer(PICTURE if self.path == "/spaces?q=a%20%C3%A9" else b"")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        patch.setenv("no_proxy", "*")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("page", ["dog.png", "mislabelled", "moved", "spaces?q=a é"])
def test_fetch_picture(site: str, page: str) -> None:
    assert fetch_picture(f"{site}/{page}") == PICTURE


def test_read_picture_from_an_address(site: str) -> None:
    assert read_picture(f"{site}/dog.png").shape == (20, 30, 3)


def test_a_password_is_sent_and_not_shown(site: str) -> None:
    private = site.replace("//", "//me:se%25cret@")
    assert fetch_picture(f"{private}/private") == PICTURE
    for refused in (f"{private}/nothing", f"{site.replace('//', '//me:wrong@')}/private"):
        with pytest.raises(PictureError) as caught:
            read_picture(refused)
        assert "cret" not in str(caught.value)
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("nothing.jpg", "the server answered 404 Not Found; check the address"),
        ("forbidden", "the server answered 403 Forbidden; open it in a browser to see why"),
        ("page", "the server sent text/html, not a picture; give the address of the picture itself"),
        ("announced_large", "larger than 70,000 bytes"),
        ("endless", "larger than 70,000 bytes"),
        ("cut_off", f"broke off after {len(PICTURE)} of {len(PICTURE) + 100} bytes; try again"),
        ("silent", "took too long"),
        ("dripping", "took too long"),
        ("moved_to_file", "302"),
        ("moved_to_ftp", "unknown url type: ftp"),
        ("moved_round", "302"),
    ],
)
def test_fetching_what_is_no_picture(site: str, page: str, words: str) -> None:
    started = time.monotonic()
    with pytest.raises(PictureError) as caught:
        fetch_picture(f"{site}/{page}", timeout_seconds=0.3, max_bytes=70_000)
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert message.startswith(f"{site}/{page}: ")
    assert words in message
    assert "\n" not in message


def test_an_empty_answer(site: str) -> None:
    with pytest.raises(PictureError, match="empty: the file is empty"):
        read_picture(f"{site}/empty")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/dog.jpg", "refused"),
        ("http://127.0.0.1:99999/dog.jpg", "cannot be fetched"),
        ("http://127.0.0.1:port/dog.jpg", "cannot be fetched"),
        ("http://", "names no host"),
        ("http://[::1/dog.jpg", "cannot be fetched"),
        ("http://a..b.example/dog.jpg", "cannot be fetched"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("ftp://127.0.0.1/dog.jpg", "only http:// and https://"),
    ],
)
def test_addresses_that_lead_nowhere(monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(PictureError) as caught:
        fetch_picture(url, timeout_seconds=2)
    assert words in str(caught.value)
