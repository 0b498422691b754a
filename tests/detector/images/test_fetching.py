import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from detector.errors import PictureError
from detector.images.fetching import fetch_picture
from detector.images.reading import read_picture

pytestmark = pytest.mark.real_time


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

    def moved_slowly(self) -> None:
        with contextlib.suppress(OSError):
            time.sleep(0.2)
            self.answer(b"", status=302, Location=f"/moved_slowly?{time.monotonic_ns()}")

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
        ("announced_large", "larger than the limit of 70,000 bytes"),
        ("endless", "larger than the limit of 70,000 bytes"),
        ("cut_off", f"broke off after {len(PICTURE)} of {len(PICTURE) + 100} bytes; try again"),
        ("silent", "took too long"),
        ("dripping", "took too long"),
        ("moved_to_file", "302"),
        ("moved_to_ftp", "unknown url type: ftp"),
        ("moved_round", "302"),
    ],
)
def test_fetching_something_other_than_a_picture(site: str, page: str, words: str) -> None:
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
        ("http://🐕.invalid/🐕.jpg", "cannot be fetched"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("ftp://127.0.0.1/dog.jpg", "only http:// and https://"),
    ],
)
def test_unreachable_addresses(monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(PictureError) as caught:
        fetch_picture(url, timeout_seconds=2)
    assert words in str(caught.value)


def drip(server: socket.socket, start: bytes, more: bytes, ended: threading.Event) -> None:
    connection, _ = server.accept()
    with connection, contextlib.suppress(OSError):
        connection.settimeout(5)
        connection.recv(4096)
        connection.sendall(start)
        while not ended.wait(0.05):
            connection.sendall(more)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        pytest.param(b"", b"H", id="status line"),
        pytest.param(b"HTTP/1.1 ", b" ", id="status"),
        pytest.param(OK + b"X: ", b"x", id="header"),
        pytest.param(OK, b"X: y\r\n", id="headers"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="continue"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0", id="chunk size"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n\x89\r\n", id="chunks"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\n\x89PNG\r\n0\r\n", b"X: y\r\n", id="trailers"),
    ],
)
def test_a_slow_server_is_abandoned_at_the_deadline(monkeypatch: pytest.MonkeyPatch, start: bytes, more: bytes) -> None:
    monkeypatch.setenv("no_proxy", "*")
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server, start, more, ended))
        thread.start()
        try:
            started = time.monotonic()
            with pytest.raises(PictureError, match="took too long"):
                fetch_picture(f"http://127.0.0.1:{server.getsockname()[1]}/dog.jpg", timeout_seconds=0.5)
            assert time.monotonic() - started < 3
        finally:
            ended.set()
            thread.join()
    # The thread that was reading ends too.
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(other.name == "fetch" for other in threading.enumerate()):
        time.sleep(0.01)
    assert not [other for other in threading.enumerate() if other.name == "fetch"]


def test_redirects_do_not_restart_the_deadline(site: str) -> None:
    started = time.monotonic()
    with pytest.raises(PictureError):
        fetch_picture(f"{site}/moved_slowly", timeout_seconds=0.5)
    assert time.monotonic() - started < 1.5
