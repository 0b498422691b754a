"""Options that several verbs share, and options made from a settings dataclass.

An option made from a dataclass has the name, default and help of its field, so that the command and Python agree.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import Field, fields
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

    A field's metadata holds its `help`, and `option`, the type that the command line reads, where it differs from the
    field's own type. A boolean that is off by default becomes a flag without its `--no-`.
    """
    options = [_option(field, hint) for field, hint in zip(fields(kind), _hints(kind), strict=True)]

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


def _hints(kind: type[Any]) -> list[Any]:
    hints = get_type_hints(kind)
    return [hints[field.name] for field in fields(kind)]


def _option(field: Field[Any], hint: Any) -> inspect.Parameter:
    names = (f"--{field.name.replace('_', '-')}",) if field.default is False else ()
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[field.metadata.get("option", hint), typer.Option(*names, help=field.metadata["help"])],
    )
