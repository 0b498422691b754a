"""Make text from files, file names and servers safe to print."""

from __future__ import annotations

import re

# Control characters (C0 and C1), line and paragraph separators, marks that reverse the direction of text, surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


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
