"""Divide work among processes that share nothing but the output folder."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from detector.errors import SettingsError

_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Shard:
    """One of `count` equal shares of the work; `index` counts from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse `i/n`; i counts from 0 or from 1, since n stands for the same share as 0. Raise `SettingsError`."""
        match = _SHARD.fullmatch(text.strip())
        index, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not count >= 1 or index > count:
            raise SettingsError(
                f"shard {text!r} is not a share of the work; expected i/n, such as 0/4 to 3/4, or 1/4 to 4/4"
            )
        return cls(index % count, count)

    def owns(self, key: str) -> bool:
        """Return whether the work with this key belongs to this share; the same on every machine and in every run."""
        digest = hashlib.sha256(key.encode()).digest()
        return int.from_bytes(digest[:8]) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
