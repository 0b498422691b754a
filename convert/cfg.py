"""Parse a Darknet .cfg into typed sections that remember their lines, so that every error can name one.

The rules are Darknet's own (`parser.c`, `option_list.c`, `utils.c`): white space is dropped everywhere, a line that
begins with `#` or `;` is a comment, the first of two equal keys wins, and numbers are read as C's atoi and atof read
them, which accept a numeric prefix (`filters=255 # 3*(80+5)` is 255).
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from convert.errors import CfgError
from convert.recognise import read_regular

ALIASES = {
    "network": "net",
    "conv": "convolutional",
    "max": "maxpool",
    "avg": "avgpool",
    "conn": "connected",
    "soft": "softmax",
    "local_avg": "local_avgpool",
    "lrn": "normalization",
    "deconv": "deconvolutional",
    "silence": "empty",
}
"""Short section names that Darknet accepts, and their full names."""

ALEXEYAB_KEYS = frozenset(
    """
    adversarial_lr antialiasing assisted_excitation attention batch_refresh beta_nms blur cls_normalizer contrastive
    counters_per_class cutmix delta_normalizer dynamic_minibatch equidistant_point flip focal_loss gaussian_noise
    group_id input_calibration iou_loss iou_normalizer iou_thresh iou_thresh_kind label_smooth_eps max_delta
    maxpool_depth mixup mosaic mosaic_bound new_coords nms_kind obj_normalizer objectness_smooth optimized_memory
    out_channels scale_x_y stride_x stride_y track try_fix_nan uc_normalizer use_cuda_graph weights_normalization
    weights_type workspace_size_limit_MB
    """.split()
)
"""Keys that only AlexeyAB's Darknet and its successors read: a cfg with one was trained on stretched images."""

LARGEST_INTEGER = 2**31 - 1

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Option:
    """The value of one key and its line number."""

    value: str
    line: int


@dataclass
class Section:
    """One `[section]`: its kind, its options, and which of them have been read."""

    kind: str
    """The section's full name with aliases resolved: `convolutional`, never `conv`."""

    line: int
    """1-based line of the `[kind]` header."""

    path: str
    """The cfg's path, for messages."""

    options: dict[str, Option] = field(default_factory=dict)
    read_keys: set[str] = field(default_factory=set)

    def __contains__(self, key: str) -> bool:
        return key in self.options

    def error(self, message: str, key: str | None = None) -> CfgError:
        """Return an error that names the file, the line (of `key`, else of the header) and the section."""
        line = self.options[key].line if key in self.options else self.line
        return CfgError(f"{self.path}, line {line}: [{self.kind}] {message}")

    def text(self, key: str, default: str = "") -> str:
        """Return the value without white space."""
        self.read_keys.add(key)
        return self.options[key].value if key in self.options else default

    def integer(
        self, key: str, default: int, *, minimum: int = -LARGEST_INTEGER, maximum: int = LARGEST_INTEGER
    ) -> int:
        """Return the value as C's atoi reads it; raise `CfgError` if no number begins it or it is out of range."""
        if key not in self.options:
            return default
        return self._ranged(key, self._atoi(key, self.text(key)), minimum, maximum)

    def number(self, key: str, default: float) -> float:
        """Return the value as C's atof reads it; raise `CfgError` if no number begins it."""
        return self._atof(key, self.text(key)) if key in self.options else default

    def flag(self, key: str, default: bool = False) -> bool:
        """Return whether the value is an integer other than 0."""
        return self.integer(key, int(default)) != 0

    def choice(self, key: str, allowed: Iterable[str], default: str) -> str:
        """Return one of the allowed words; raise `CfgError` for any other."""
        value, allowed = self.text(key, default), sorted(allowed)
        if value not in allowed:
            raise self.error(f"{key}={value} is not known; expected one of {', '.join(allowed)}", key)
        return value

    def integers(self, key: str, *, minimum: int = -LARGEST_INTEGER) -> tuple[int, ...]:
        """Return a comma-separated list; empty when the key is absent."""
        return tuple(self._ranged(key, self._atoi(key, item), minimum, LARGEST_INTEGER) for item in self._items(key))

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return a comma-separated list; empty when the key is absent."""
        return tuple(self._atof(key, item) for item in self._items(key))

    def unread_keys(self) -> list[str]:
        """Keys that have not been read, in the order of their lines."""
        return [key for key in self.options if key not in self.read_keys]

    def _items(self, key: str) -> list[str]:
        # Darknet counts commas and stops at a '#'; a trailing comma adds nothing.
        return [item for item in self.text(key).split("#")[0].split(",") if item]

    def _ranged(self, key: str, value: int, minimum: int, maximum: int) -> int:
        if value < minimum:
            raise self.error(f"{key}={value} is too small; expected at least {minimum}", key)
        if value > maximum:
            raise self.error(f"{key}={value} is too large; expected at most {maximum}", key)
        return value

    def _atoi(self, key: str, value: str) -> int:
        match = _INTEGER.match(value)
        if match is None or len(match[0]) > 18:
            raise self.error(f"{key}={value} is not an integer", key)
        return int(match[0])

    def _atof(self, key: str, value: str) -> float:
        match = _NUMBER.match(value)
        if match is None:
            raise self.error(f"{key}={value} is not a number", key)
        number = float(match[0])
        if math.isinf(number):
            raise self.error(f"{key}={value} is too large", key)
        return number


@dataclass(frozen=True)
class Cfg:
    """A whole .cfg: the `[net]` section and the layers in order."""

    path: str
    text: str
    net: Section
    layers: tuple[Section, ...]
    sha256: str = ""
    """SHA-256 of the file's bytes in hexadecimal; empty for a text that came from no file."""

    def with_size(self, height: int, width: int) -> Cfg:
        """Return the same network for another input size."""
        net = Section(self.net.kind, self.net.line, self.path, dict(self.net.options))
        for key, value in (("height", height), ("width", width)):
            net.options[key] = Option(str(value), net.options[key].line if key in net else net.line)
        return replace(self, net=net)

    def with_classes(self, classes: int) -> Cfg:
        """Return the same network for another number of classes: heads, and the filters of the layer before each.

        This answers "which class count would these weights fit?". It explains a mismatch and is never used to convert.
        """
        layers = [Section(section.kind, section.line, section.path, dict(section.options)) for section in self.layers]
        for before, head in itertools.pairwise(layers):
            old = head.integer("classes", 20) if "classes" in head else None
            filters = before.integer("filters", 1)
            if old is None or "filters" not in before or classes == old:
                continue
            boxes = len(head.integers("mask")) or head.integer("num", 1)
            rest = filters - boxes * old
            head.options["classes"] = Option(str(classes), head.line)
            before.options["filters"] = Option(str(rest + boxes * classes), before.line)
        return Cfg(self.path, self.text, self.net, tuple(layers))


def with_classes(cfg: Cfg, classes: int) -> Cfg:
    """Return the same cfg, text included, for another number of classes: heads, and the filters before each."""
    return _with_changes(cfg, cfg.with_classes(classes), ("classes", "filters"))


def with_anchors(cfg: Cfg, anchors: Sequence[tuple[float, float]]) -> Cfg:
    """The same cfg with other anchors in every head, in its text too; `CfgError` unless there are as many as before."""
    text = ", ".join(f"{width:g},{height:g}" for width, height in anchors)
    layers = []
    for section in cfg.layers:
        options = dict(section.options)
        if "anchors" in section:
            before = len(section.numbers("anchors")) // 2
            if before != len(anchors):
                raise section.error(f"has {before} anchors; {len(anchors)} were given", "anchors")
            options["anchors"] = Option(text, section.options["anchors"].line)
        layers.append(Section(section.kind, section.line, section.path, options))
    return _with_changes(cfg, replace(cfg, layers=tuple(layers)), ("anchors",))


def _with_changes(cfg: Cfg, changed: Cfg, keys: Sequence[str]) -> Cfg:
    """A cfg whose text says what `changed` says of these keys."""
    lines = cfg.text.split("\n")
    for old, new in zip(cfg.layers, changed.layers, strict=True):
        for key in keys:
            if key in new and (key not in old or old.options[key].value != new.options[key].value):
                value = new.options[key].value
                if key in old:
                    lines[old.options[key].line - 1] = f"{key}={value}"
                else:
                    lines[old.line - 1] += f"\n{key}={value}"
    return parse_cfg("\n".join(lines), cfg.path)


def read_cfg(path: Path | str) -> Cfg:
    """Read a .cfg file; raise `CfgError` with the file and the line of what is wrong."""
    path = Path(path)
    try:
        data = read_regular(path)
    except FileNotFoundError:
        raise CfgError(f"{path}: no such file; expected a Darknet .cfg") from None
    except (OSError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not fit into memory"
        raise CfgError(f"{path}: cannot be read ({reason}); expected a Darknet .cfg") from None
    if b"\0" in data:
        raise CfgError(
            f"{path}: a binary file, not a Darknet .cfg (a zero byte at offset {data.index(0)}); are the cfg and the "
            "weights swapped?"
        )
    cfg = parse_cfg(data.decode("utf-8-sig", errors="replace"), str(path))
    return replace(cfg, sha256=hashlib.sha256(data).hexdigest())


def parse_cfg(text: str, path: str = "cfg") -> Cfg:
    """Parse the text of a .cfg; `path` is the name used in messages."""
    sections: list[Section] = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = "".join(raw.split())
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            if not line.endswith("]"):
                raise CfgError(f"{path}, line {number}: {raw.strip()!r} is not a section header; expected [name]")
            kind = line[1:-1]
            sections.append(Section(ALIASES.get(kind, kind), number, path))
            continue
        key, equals, value = line.partition("=")
        if not equals or not key:
            raise CfgError(f"{path}, line {number}: {_shortened(raw)!r} is neither [section] nor key=value")
        if not sections:
            raise CfgError(f"{path}, line {number}: {key}= stands before the first section; expected [net]")
        sections[-1].options.setdefault(key, Option(value, number))
    if not sections:
        raise CfgError(f"{path}: has no sections; expected a Darknet .cfg that begins with [net]")
    if sections[0].kind != "net":
        raise CfgError(f"{path}, line {sections[0].line}: the first section is [{sections[0].kind}]; expected [net]")
    if len(sections) == 1:
        raise CfgError(f"{path}: has no layer after its [net] section; expected at least one")
    return Cfg(path, text, sections[0], tuple(sections[1:]))


def unread_keys(cfg: Cfg) -> Mapping[str, list[int]]:
    """Return the keys that no layer read, each with its lines: what a conversion ignored (mostly training keys)."""
    found: dict[str, list[int]] = {}
    for section in (cfg.net, *cfg.layers):
        for key in section.unread_keys():
            found.setdefault(key, []).append(section.options[key].line)
    return found


def _shortened(line: str, limit: int = 60) -> str:
    line = line.strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
