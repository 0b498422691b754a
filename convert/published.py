"""List the published networks that `scripts/download_weights` fetches: files, sizes, digests and addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PublishedFile:
    """A file on the network whose content is known in advance."""

    name: str
    size_bytes: int
    sha256: str
    """SHA-256 in hexadecimal; empty for a file of which only the MD5 is published."""

    addresses: tuple[str, ...]
    """Addresses, tried in this order."""

    md5: str = ""

    @property
    def digest(self) -> str:
        """The digest that is checked."""
        return self.sha256 or self.md5

    @property
    def algorithm(self) -> str:
        """The algorithm of that digest as written in messages."""
        return "SHA-256" if self.sha256 else "MD5"

    @property
    def fingerprint(self) -> str:
        """The size and digest as written in messages."""
        return f"{self.size_bytes} bytes with {self.algorithm} {self.digest}"

    def fingerprint_of(self, path: Path) -> str:
        """Return the size and digest of a local file in the same form. Raise `OSError`."""
        return f"{path.stat().st_size} bytes with {self.algorithm} {self.digest_of(path)}"

    def digest_of(self, path: Path) -> str:
        """Return the digest of a local file by this file's algorithm, in hexadecimal. Raise `OSError`."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256" if self.sha256 else "md5").hexdigest()


def _published(folders: Sequence[str], name: str, size_bytes: int, sha256: str) -> PublishedFile:
    return PublishedFile(name, size_bytes, sha256, tuple(f"{folder}/{name}" for folder in folders))


_DARKNET = (
    "https://data.pjreddie.com/files",
    "https://github.com/hank-ai/darknet/releases/download/v2.0",
    "https://github.com/AlexeyAB/darknet/releases/download/yolov4",
)
# The branch may change; the commit is the one that added these files.
_YOLO_FASTEST = tuple(
    f"https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/{revision}/ModelZoo/yolo-fastest-1.1_coco"
    for revision in ("master", "9c62b1c50e024fb73d29a651133b1d63548e63a1")
)

Networks = Mapping[str, tuple[PublishedFile, ...]]

NETWORKS: Networks = {
    "yolov3": (
        _published(
            _DARKNET,
            "yolov3.weights",
            248_007_048,
            "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297",
        ),
    ),
    "yolov3-tiny": (
        _published(
            _DARKNET,
            "yolov3-tiny.weights",
            35_434_956,
            "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
        ),
    ),
    "yolov3-spp": (
        _published(
            _DARKNET,
            "yolov3-spp.weights",
            252_209_544,
            "87a1e8c85c763316f34e428f2295e1db9ed4abcec59dd9544f8052f50de327b4",
        ),
    ),
    "yolo-fastest-1.1-xl": (
        _published(
            _YOLO_FASTEST,
            "yolo-fastest-1.1-xl.cfg",
            9_696,
            "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3",
        ),
        _published(
            _YOLO_FASTEST,
            "yolo-fastest-1.1-xl.weights",
            3_693_964,
            "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5",
        ),
    ),
}
"""The files of each network. A network without a .cfg here has one in configs/."""
