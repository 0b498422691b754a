"""Recognise addresses of images and streams, and hide the credentials in them."""

from __future__ import annotations

from convert.text import without_credentials as without_credentials


def is_url(source: str) -> bool:
    """Return whether this is an http(s) address to fetch rather than a file to open."""
    return source[:8].lower().startswith(("http://", "https://"))
