"""Bodies: counted as they arrive, in one place or another, however they are broken."""

import socket
import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.service.request_errors import RequestError
from detector.service.settings import Limits
from detector.service.uploads import FormReader, Memory

pytestmark = pytest.mark.real_time

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nc\xc3\xb6\r\n'
    b'--b\r\nContent-Disposition: form-data; name="picture"; filename="x"\r\nContent-Type: a/b\r\n\r\n'
    b"\x00\r\n--\xff\r\n"
    b"--b--\r\n"
)


def reader(received, limit=100):
    return FormReader("multipart/form-data; boundary=b", file_field="picture", limit=limit, on_file=received.append)


@given(st.lists(st.integers(1, len(FORM)), max_size=8))
def test_a_form_is_the_same_in_any_pieces(cuts):
    received = []
    form = reader(received)
    places = sorted({0, *cuts, len(FORM)})
    for begin, end in pairwise(places):
        form.write(FORM[begin:end])
    form.close()
    assert (form.fields, b"".join(received)) == ({"model": "cö"}, b"\x00\r\n--\xff")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.integers(0, len(FORM)))
def test_a_broken_form_is_refused_or_read(noise, place):
    form = reader([])
    try:
        form.write(FORM[:place] + noise + FORM[place:])
        form.close()
    except RequestError as refusal:
        assert refusal.status in (400, 413)


def test_large_uploads_share_a_limit():
    memory = Memory(5 << 20)
    with memory.share() as one, memory.share() as other:
        one(4 << 20)
        other(1 << 20)  # what is small is let in
        with pytest.raises(RequestError, match="at once"):
            other(2 << 20)
        assert memory.taken == 4 << 20
    assert memory.taken == 0


def test_a_body_is_counted_while_it_arrives(serve):
    service = serve(limits=Limits(picture_bytes=100_000))
    pieces = (bytes(1000) for _ in range(10_000))
    announced = service.client.post("/v1/detect", content=bytes(200_000), headers={"Content-Type": "image/png"})
    streamed = service.client.post("/v1/detect", content=pieces, headers={"Content-Type": "image/png"})

    assert announced.status_code == streamed.status_code == 413
    assert "100,000 bytes" in announced.json()["error"]["message"]


def test_a_refusal_is_seen_by_a_client_that_is_still_sending(serve):
    service = serve(limits=Limits(picture_bytes=100_000))
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sending:
        sending.sendall(
            f"POST /v1/detect HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: image/png\r\n"
            "Content-Length: 30000000\r\n\r\n".encode()
        )
        sending.sendall(bytes(30_000_000))
        answer = sending.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "begun", [b"", b"GET /healthz HTTP/1.1\r\nHo", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"]
)
def test_a_head_that_does_not_come_ends_the_connection(serve, begun):
    host, port = serve(limits=Limits(header_seconds=0.3)).url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as silent:
        silent.sendall(begun)
        received = b""
        while piece := silent.recv(1000):
            received += piece
    assert received == b"" or received.startswith(b"HTTP/1.1 200")


def test_a_body_that_drips_is_given_up(serve):
    service = serve(limits=Limits(body_seconds=0.3))
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(
            f"POST /v1/detect HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: image/png\r\n"
            "Content-Length: 1000\r\n\r\n1".encode()
        )
        begun = time.monotonic()
        answer = slow.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"x", "text/plain", 415),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=b", 400),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 422),
        (FORM.replace(b"model", b"picture"), "multipart/form-data; boundary=b", 400),
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "application/json", 422),
        (b'{"url": "https://example.org/a.jpg"}', "application/json", 403),
        (b"", "image/png", 422),
    ],
)
def test_bodies_that_are_refused(service, content, kind, status):
    answer = service.client.post("/v1/detect", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
