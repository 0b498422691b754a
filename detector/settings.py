"""How to detect: one frozen dataclass, which the command line is built from too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from detector.errors import SettingsError
from detector.images.modes import Interpolation, Resize, Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convert.model_file import Description

EngineName = Literal["auto", "keras", "litert", "onnxruntime", "openvino"]


_FEW_NAMES = 20

LARGEST_INPUT_PIXELS = 4096 * 4096
"""What a network may be run at; beyond it memory runs out."""


@dataclass(frozen=True)
class Settings:
    """Choices that change what is found or how fast; each field's `help` says what it does.

    Raises `SettingsError` for a value out of range.
    """

    confidence: float = field(
        default=0.25, metadata={"help": "leave out boxes of less confidence (objectness x class probability)"}
    )
    nms: float = field(
        default=0.45, metadata={"help": "of two boxes of one class that overlap more than this, keep the better"}
    )
    size: str | None = field(
        default=None, metadata={"help": "network input in pixels, 416 or 608x352; default is the network's own"}
    )
    resize: Resize | None = field(
        default=None, metadata={"help": "how a picture is fitted in; default is how the network was trained"}
    )
    shape: Shape = field(
        default="square",
        metadata={"help": "square as Darknet, rect without the letterbox's grey, fit near the picture's own shape"},
    )
    interpolation: Interpolation = field(
        default="linear", metadata={"help": "darknet reproduces Darknet's boxes, linear is faster"}
    )
    classes: str | None = field(default=None, metadata={"help": "look for these classes only, such as person,car"})
    engine: EngineName = field(default="auto", metadata={"help": "what runs the network"})
    threads: int | None = field(default=None, metadata={"help": "CPU threads for the network; default is all cores"})

    def __post_init__(self) -> None:
        for name in ("confidence", "nms"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise SettingsError(f"{name} {value} is out of range; expected 0 to 1")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"threads {self.threads} is out of range; expected 1 or more")
        if self.classes is not None and not isinstance(self.classes, str):
            raise SettingsError(f"classes {self.classes!r} is no text; expected names in one, such as 'person,car'")
        for name, hint in get_type_hints(Settings).items():
            words = [word for word in _literals(hint) if word]
            if words and getattr(self, name) is not None and getattr(self, name) not in words:
                raise SettingsError(f"{name} {getattr(self, name)!r} is not known; expected one of {', '.join(words)}")

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready object, as the frame log holds it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def input_size(self, description: Description) -> tuple[int, int]:
        """Width and height to run the network at; `SettingsError` when it cannot run at them."""
        own = description.width, description.height
        if self.size is None:
            wanted = own
        else:
            match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", str(self.size))
            if match is None:
                raise SettingsError(f"size {self.size!r} is not a size; expected pixels, such as 416 or 608x352")
            wanted = int(match[1]), int(match[2] or match[1])
            if wanted[0] * wanted[1] > LARGEST_INPUT_PIXELS:
                raise SettingsError(f"size {self.size} is too large; expected at most 4096x4096 pixels in all")
        if description.fixed_size and (wanted != own or self.shape != "square"):
            raise SettingsError(
                f"this network takes pictures of {own[0]}x{own[1]} only ({description.fixed_size}); "
                "leave size and shape as they are"
            )
        stride = description.stride
        if wanted != own and (min(wanted) < stride or wanted[0] % stride or wanted[1] % stride):
            near = max(stride, round(wanted[0] / stride) * stride)
            raise SettingsError(
                f"size {self.size} does not fit; expected multiples of the network's stride {stride}, such as {near}"
            )
        return wanted

    def class_ids(self, description: Description) -> NDArray[np.intp] | None:
        """The ids of the classes to look for, None for all; `SettingsError` for a name the network does not know."""
        import numpy as np

        if self.classes is None:
            return None
        wanted = [name.strip() for name in self.classes.split(",") if name.strip()]
        if not wanted:
            raise SettingsError("classes is empty; expected class names, such as person,car")
        ids = {name: number for number, name in reversed(list(enumerate(description.names)))}
        unknown = [name for name in wanted if name not in ids]
        if unknown:
            raise SettingsError(
                f"class {unknown[0]!r} is not one of this network's {known(unknown[0], description.names)}"
            )
        return np.array(sorted({ids[name] for name in wanted}), np.intp)


def known(name: str, names: Sequence[str]) -> str:
    """How many names there are, and those nearest to one that is not among them; all when they are few."""
    if len(names) <= _FEW_NAMES:
        return f"{len(names)}: {', '.join(names)}"
    lower = {other.lower(): other for other in names}
    wanted = name.lower()
    near = [lower[other] for other in lower if wanted in other.split()]
    near += [lower[other] for other in get_close_matches(wanted, lower) if lower[other] not in near]
    if near:
        return f"{len(names)}; did you mean {' or '.join(near[:3])}?"
    return f"{len(names)}, such as {', '.join(names[:5])}"


def _literals(hint: Any) -> list[Any]:
    """The words that a Literal, or a union with one, allows; empty for other types."""
    return [word for part in (hint, *get_args(hint)) for word in get_args(part) if isinstance(word, str)]
