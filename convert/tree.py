"""Read Darknet's .tree files: the class hierarchy of YOLO9000 and darknet9000."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section

LARGEST_BYTES = 1 << 24
"""Maximum size of a .tree file in bytes. The largest in use, of ImageNet's 21,000 classes, has half a megabyte."""


@dataclass(frozen=True)
class Tree:
    """Each class's parent; siblings are consecutive and share a softmax (`read_tree`, tree.c)."""

    parents: tuple[int, ...]
    """The parent of each class, -1 for none."""

    @property
    def group(self) -> NDArray[np.intp]:
        """(classes,): the number of each class's group of siblings, in the order of the file."""
        parents = np.array(self.parents, np.intp)
        return np.concatenate([[0], np.cumsum(parents[1:] != parents[:-1])]).astype(np.intp)

    @property
    def groups(self) -> int:
        """Number of groups of siblings."""
        return int(self.group[-1]) + 1

    def __len__(self) -> int:
        return len(self.parents)


def find_tree(section: Section) -> Tree | None:
    """Read the tree that a section's `tree=` names: at its path, beside the cfg, or by its file name beside the cfg."""
    named = Path(section.text("tree"))
    folder = Path(section.path).parent
    for path in (named, folder / named, folder.parent / named, folder / named.name):
        try:
            if path.is_file():
                return read_tree(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise section.error(f"tree={named}: {path} cannot be read ({reason})", "tree") from None
    return None


def read_tree(path: Path) -> Tree:
    """Parse lines of a name and its parent's number; raise `ValueError` for any other line."""
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"more than {LARGEST_BYTES} bytes")
    parents: list[int] = []
    for number, line in enumerate(path.read_text("utf-8", errors="replace").split("\n"), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            parent = int(fields[1])
        except (IndexError, ValueError):
            raise ValueError(f"line {number}: expected a name and its parent's number") from None
        if not -1 <= parent < len(parents):
            raise ValueError(f"line {number}: parent {parent} is not one of the classes before it")
        parents.append(parent)
    if not parents:
        raise ValueError("it is empty")
    return Tree(tuple(parents))
