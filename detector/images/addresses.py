"""Recognise addresses of images and streams, and hide the credentials in them."""

from __future__ import annotations

import re

_USER_INFO = re.compile(
    r"""(\b[a-z][a-z0-9+.-]*://)   # the scheme
    (?: [^/?\#\s]*@                # user:password@
      | [^/?\#\s:@]+:(?!\d+(?:[/?\#\s]|$))[^\s]*@   # a password that holds a slash: what follows the colon is no port
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_PARAMETER = re.compile(
    r"""([?&;/\#](?:password|passwd|pass|pwd|pw|psw|token|access_token|auth|api_?key|key|secret|sig|signature
        |x-amz-signature|x-amz-credential|x-amz-security-token)=)[^&;\#\s'"<>]+""",
    re.IGNORECASE | re.VERBOSE,
)
_HIDDEN = "***"


def is_url(source: str) -> bool:
    """Return whether this is an http(s) address to fetch rather than a file to open."""
    return source[:8].lower().startswith(("http://", "https://"))


def without_credentials(text: str) -> str:
    """Return the text with user names, passwords and tokens removed from every address in it.

    `rtsp://me:secret@camera/1` becomes `rtsp://camera/1`; `http://camera/shot?user=me&pwd=secret` becomes
    `http://camera/shot?user=me&pwd=***`. Use it for everything that is printed, logged, exported or drawn.
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\1{_HIDDEN}", _USER_INFO.sub(r"\1", text))
