"""Define the detection settings: one frozen dataclass, from which the command's options are made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from detector.errors import SettingsError
from detector.images.modes import Interpolation, Resize, Shape
from detector.images.size import Size, parse_size
from detector.images.tiles import Tiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convert.model_file import Description

EngineName = Literal["auto", "keras", "litert", "onnxruntime", "openvino"]
Precision = Literal["auto", "float", "int8", "bf16"]

LARGEST_INPUT_PIXELS = 4096 * 4096
"""Maximum sides of a network input; larger ones run out of memory."""

MOST_THREADS = 512

_CHOICES = {
    "resize": get_args(Resize),
    "shape": get_args(Shape),
    "interpolation": get_args(Interpolation),
    "engine": get_args(EngineName),
    "precision": get_args(Precision),
}
_FEW_NAMES = 20
_LOGGED_ONLY_WHEN_SET = ("precision", "calibrate", "max_detections", "agnostic", "tiles", "tile_overlap")
"""Settings that frame logs of earlier versions do not contain."""


class Options(TypedDict, total=False):
    """The fields of `Settings` as keyword arguments of other functions, such as `Detector.open`."""

    confidence: float
    nms: float
    size: int | str | tuple[int, int] | None
    resize: Resize | None
    shape: Shape
    interpolation: Interpolation
    classes: str | Sequence[str | int] | None
    engine: EngineName
    precision: Precision
    calibrate: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
    threads: int | None
    max_detections: int | None
    agnostic: bool
    tiles: str | Tiles | None
    tile_overlap: float


@dataclass(frozen=True)
class Settings:
    """Settings that affect which objects are detected, or how fast; each field's `help` describes it.

    Raise `SettingsError` for a value that is out of range.
    """

    confidence: float = field(
        default=0.25, metadata={"help": "leave out boxes with a lower confidence (objectness x class probability)"}
    )
    nms: float = field(
        default=0.45,
        metadata={"help": "when two boxes of a class overlap by more than this (IoU), keep only the better one"},
    )
    size: int | str | tuple[int, int] | None = field(
        default=None,
        metadata={
            "help": "network input in pixels, 416 or 608x352 (width x height); default: the network's own",
            "option": str | None,
        },
    )
    resize: Resize | None = field(
        default=None,
        metadata={"help": "how a picture is fitted into the input; default: the way the network was trained"},
    )
    shape: Shape = field(
        default="square",
        metadata={
            "help": "input shape: square is the network's own; rect leaves out the letterbox's grey bars; "
            "fit is close to the shape of the picture"
        },
    )
    interpolation: Interpolation = field(
        default="linear",
        metadata={"help": "how pictures are resized; darknet gives the same boxes as Darknet, linear is faster"},
    )
    classes: str | Sequence[str | int] | None = field(
        default=None,
        metadata={"help": "detect only these classes, by name or id: person,car or 0,2", "option": str | None},
    )
    engine: EngineName = field(default="auto", metadata={"help": "the runtime for the network"})
    precision: Precision = field(
        default="float",
        metadata={
            "help": "numbers of the network: int8 and bf16 are faster where the processor has them, and move boxes a "
            "little; auto compares them with float and takes the fastest that agrees"
        },
    )
    calibrate: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = field(
        default=None,
        metadata={
            "help": "with --precision: pictures to calibrate and compare on, a folder or a video; "
            "default: those at hand",
            "option": str | None,
        },
    )
    threads: int | None = field(default=None, metadata={"help": "CPU threads for the network; default: all cores"})
    max_detections: int | None = field(default=None, metadata={"help": "keep at most this many boxes, the best ones"})
    agnostic: bool = field(default=False, metadata={"help": "also suppress overlapping boxes of different classes"})
    tiles: str | Tiles | None = field(
        default=None,
        metadata={
            "help": "find smaller objects: also look at so many overlapping tiles, columns x rows such as 2x2, or auto",
            "option": str | None,
        },
    )
    tile_overlap: float = field(
        default=Tiles.overlap, metadata={"help": "part of a tile's sides that it shares with its neighbour"}
    )

    def __post_init__(self) -> None:
        for name in ("confidence", "nms"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise SettingsError(f"{name} {value} is out of range; expected 0 to 1")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise SettingsError(f"threads {self.threads} is out of range; expected 1 to {MOST_THREADS}")
        if self.max_detections is not None and self.max_detections < 1:
            raise SettingsError(f"max_detections {self.max_detections} is out of range; expected 1 or more")
        if isinstance(self.size, Sequence) and not isinstance(self.size, str):
            object.__setattr__(self, "size", str(parse_size(self.size)))
        if self.calibrate is not None and not isinstance(self.calibrate, str):
            given = [self.calibrate] if isinstance(self.calibrate, os.PathLike) else self.calibrate
            object.__setattr__(self, "calibrate", tuple(map(os.fspath, given)))
        if isinstance(self.tiles, Tiles):
            object.__setattr__(self, "tile_overlap", self.tiles.overlap)
            object.__setattr__(self, "tiles", str(self.tiles))
        Tiles.parse(str(self.tiles or "auto"), self.tile_overlap)
        self._check_classes()
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in (*choices, getattr(Settings, name)):
                raise SettingsError(f"{name} {value!r} is not known; expected one of {', '.join(choices)}")

    def _check_classes(self) -> None:
        if self.classes is None or isinstance(self.classes, str):
            return
        if not isinstance(self.classes, Sequence) or not all(isinstance(item, str | int) for item in self.classes):
            raise SettingsError(
                f"classes {self.classes!r} is not understood; "
                "expected names or ids in one text, such as 'person,car', or a list of them"
            )
        object.__setattr__(self, "classes", tuple(self.classes))

    def calibrated_on(self, sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Settings:
        """The settings with these pictures, or this video, to calibrate on, unless others are named or none needed."""
        if self.precision == "float" or self.calibrate is not None:
            return self
        return replace(self, calibrate=sources)

    @property
    def tiling(self) -> Tiles | None:
        """How images are cut into tiles; None to process only the whole image."""
        return None if self.tiles is None else Tiles.parse(str(self.tiles), self.tile_overlap)

    def as_json(self) -> dict[str, Any]:
        """Return a JSON-ready object, as stored in the frame log."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        for item in fields(self):
            if item.name in _LOGGED_ONLY_WHEN_SET and record[item.name] == item.default:
                del record[item.name]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}

    def input_size(self, description: Description) -> Size:
        """Return the size at which to run the network; raise `SettingsError` if it does not accept that size."""
        own = Size(description.width, description.height)
        wanted = own if self.size is None else parse_size(self.size)
        if self.size is not None and wanted.pixels > LARGEST_INPUT_PIXELS:
            raise SettingsError(f"size {self.size} is too large; expected at most 4096x4096 pixels in all")
        if description.fixed_size and (wanted != own or self.shape != "square"):
            raise SettingsError(
                f"this network accepts pictures of {own} only ({description.fixed_size}); leave size and shape at "
                "their defaults"
            )
        stride = description.stride
        if wanted != own and (min(wanted) < stride or wanted.width % stride or wanted.height % stride):
            near = max(stride, round(wanted.width / stride) * stride)
            raise SettingsError(
                f"size {self.size} does not fit; expected multiples of the network's stride {stride}, such as {near}"
            )
        return wanted

    def class_ids(self, description: Description) -> NDArray[np.intp] | None:
        """Return the ids of the classes to detect, sorted, or None for all.

        A number is an id, unless the network has a class with that name. Raise `SettingsError` for a class that the
        network does not have.
        """
        import numpy as np

        if self.classes is None:
            return None
        given = self.classes.split(",") if isinstance(self.classes, str) else self.classes
        wanted = [item.strip() if isinstance(item, str) else item for item in given]
        wanted = [item for item in wanted if item != ""]
        if not wanted:
            raise SettingsError("classes is empty; expected class names or ids, such as person,car or 0,2")
        names = description.names
        ids = {name: number for number, name in reversed(list(enumerate(names)))}
        return np.array(sorted({_class_id(item, ids, names) for item in wanted}), np.intp)


def _class_id(item: str | int, ids: dict[str, int], names: Sequence[str]) -> int:
    if isinstance(item, str) and item in ids:
        return ids[item]
    if isinstance(item, str) and not (item.isascii() and item.isdigit()):
        raise SettingsError(f"class {item!r} is not one of this network's {suggestions(item, names)}")
    number = int(item)
    if not 0 <= number < len(names):
        raise SettingsError(f"class id {number} is out of range; this network has the ids 0 to {len(names) - 1}")
    return number


def suggestions(name: str, names: Sequence[str]) -> str:
    """Return the number of class names, and those most similar to an unknown name; all of them when they are few."""
    if len(names) <= _FEW_NAMES:
        return f"{len(names)}: {', '.join(names)}"
    lower = {other.lower(): other for other in names}
    wanted = name.lower()
    near = [lower[other] for other in lower if wanted in other.split()]
    near += [lower[other] for other in get_close_matches(wanted, lower) if lower[other] not in near]
    if near:
        return f"{len(names)}; did you mean {' or '.join(near[:3])}?"
    return f"{len(names)}, such as {', '.join(names[:5])}"
