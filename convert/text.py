"""Make text from files, file names, addresses and servers safe to print."""

from __future__ import annotations

import re

# Control characters (C0 and C1), line and paragraph separators, marks that reverse the direction of text, surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

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


def printable(text: object) -> str:
    r"""Return the text on one line, with characters that could control a terminal escaped, such as `\x1b`.

    Bytes of a file name that are not UTF-8 become `\xff`. Letters, emoji and joiners of any script are kept.
    """
    return _UNSAFE.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python represents a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def without_credentials(text: str) -> str:
    """Return the text with user names, passwords and tokens removed from every address in it.

    `rtsp://me:secret@camera/1` becomes `rtsp://camera/1`; `http://camera/shot?user=me&pwd=secret` becomes
    `http://camera/shot?user=me&pwd=***`. Use it for everything that is printed, logged, exported or drawn.
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\1{_HIDDEN}", _USER_INFO.sub(r"\1", text))
