"""Addresses are shown without the credentials in them."""

import pytest

from detector.images.addresses import is_url, without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://me:secret@camera/1", "rtsp://camera/1"),
        ("rtsp://me:secret@camera:554/1", "rtsp://camera:554/1"),
        ("http://me@host/dog.jpg", "http://host/dog.jpg"),
        ("HTTP://me:se@cret@host/dog.jpg", "HTTP://host/dog.jpg"),
        ("rtsp://me:se/cret@camera/1", "rtsp://camera/1"),
        ("rtsp+tls://me:secret@camera", "rtsp+tls://camera"),
        ("http://cam/shot?user=me&pwd=secret&x=1", "http://cam/shot?user=me&pwd=***&x=1"),
        ("rtsp://cam/user=me&password=secret&channel=1", "rtsp://cam/user=me&password=***&channel=1"),
        ("https://cdn/a.m3u8?token=abc#t", "https://cdn/a.m3u8?token=***#t"),
        ("http://host:8080/a@2x.jpg", "http://host:8080/a@2x.jpg"),
        ("http://host/a@2x.jpg", "http://host/a@2x.jpg"),
        ("http://host/?q=me@example.org", "http://host/?q=me@example.org"),
        ("https://host/monkey=1?turkey=2", "https://host/monkey=1?turkey=2"),
        ("error: rtsp://a:b@one and rtsp://c:d@two/x", "error: rtsp://one and rtsp://two/x"),
        ("photos/me@home.jpg", "photos/me@home.jpg"),
        ("", ""),
    ],
)
def test_without_credentials(text, shown):
    assert without_credentials(text) == shown
    assert without_credentials(shown) == shown


@pytest.mark.parametrize(
    ("source", "expected"),
    [("http://x", True), ("HTTPS://x", True), ("rtsp://x", False), ("http:/x", False), ("dog.jpg", False), ("", False)],
)
def test_is_url(source, expected):
    assert is_url(source) is expected
