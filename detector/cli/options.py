"""Options that several verbs share, and options made from a settings dataclass.

An option made from a dataclass has the name, default and help of its field, so that the command and Python agree.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

DEFAULT_MODEL = Path("model_data/yolov3.h5")

Model = Annotated[Path, typer.Option(help="the model, made by yolo3 convert")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress and no notes on standard error")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace outputs that are there already")]

Verb = Callable[..., None]


def with_options(kind: type[Any]) -> Callable[[Verb], Verb]:
    """Give a verb one option per field of the dataclass `kind` in place of its parameter `settings`.

    Each field's `help` is in its metadata.
    """
    hints = get_type_hints(kind)
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[hints[field.name], typer.Option(help=field.metadata["help"])],
        )
        for field in fields(kind)
    ]

    def give(verb: Verb) -> Verb:
        own = inspect.signature(verb, eval_str=True)
        kept = [parameter for name, parameter in own.parameters.items() if name != "settings"]

        @functools.wraps(verb)
        def wrapper(**given: Any) -> None:
            settings = kind(**{option.name: given.pop(option.name) for option in options})
            verb(**given, settings=settings)

        wrapper.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
        wrapper.__annotations__ = {item.name: item.annotation for item in (*kept, *options)}
        return wrapper

    return give
