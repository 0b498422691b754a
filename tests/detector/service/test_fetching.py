"""Pictures by address: public hosts only, however the address is written or redirected."""

import http.server
import socket
import threading

import pytest

from detector.errors import PictureError
from detector.images.fetching import fetch_picture
from detector.service.fetching import MAX_REDIRECTS, NotPublicError, connect_public, is_public


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "not an address"),
    ],
)
def test_other_addresses(address):
    assert not is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "::1", "::ffff:127.0.0.1"])
def test_a_host_of_this_machine_is_not_connected_to(host):
    with pytest.raises(OSError, match=r"public internet|not known|Name or service|No address"):
        connect_public((host, 80), 1.0)


class Redirects(http.server.BaseHTTPRequestHandler):
    """Answers /N with a redirect to /N-1, /0 with a picture, and /inside with a redirect to this machine."""

    def do_GET(self):
        place = self.path.strip("/")
        if place == "0":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"\x89PNG\r\n\x1a\n" + bytes(100))
            return
        host = f"127.0.0.1:{self.server.server_port}" if place == "inside" else "public.example"
        scheme = "file" if place == "file" else "http"
        self.send_response(302)
        self.send_header("Location", f"{scheme}://{host}/{int(place) - 1 if place.isdecimal() else 0}")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def fetch():
    """Fetch from `public.example`, a server that is taken for public; all other hosts are checked."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirects)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def connect(address, timeout=None, source_address=None, **options):
        if address[0] == "public.example":
            return socket.create_connection(("127.0.0.1", server.server_port), 5)
        return connect_public(address, timeout)

    yield lambda path: fetch_picture(
        f"http://public.example/{path}", connect=connect, max_redirects=MAX_REDIRECTS, timeout_seconds=5
    )
    server.shutdown()
    thread.join()
    server.server_close()


def test_redirects_are_followed_three_times_and_checked_each_time(fetch):
    assert fetch("3").startswith(b"\x89PNG")
    with pytest.raises(PictureError, match="redirect"):
        fetch("4")
    with pytest.raises(PictureError) as refused:
        fetch("inside")
    assert isinstance(refused.value.__cause__.reason, NotPublicError)
    with pytest.raises(PictureError):
        fetch("file")


def test_over_http_it_is_off_unless_allowed_and_then_for_public_hosts(service, serve):
    url = {"url": f"{service.url}/v1/models"}
    assert service.client.post("/v1/detect", json=url).status_code == 403
    allowed = serve(allow_urls=True).client
    answer = allowed.post("/v1/detect", json=url)
    assert answer.status_code == 403
    assert answer.json()["error"]["kind"] == "not_public"
    for wrong in ("file:///etc/passwd", "ftp://example.org/a", "gopher://x", "//x", "http://"):
        assert allowed.post("/v1/detect", json={"url": wrong}).status_code == 422
