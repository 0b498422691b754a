"""Options that several verbs share, and options made from a settings dataclass.

An option made from a dataclass has the name, default and help of its field, so that the command and Python agree.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from detector.errors import SettingsError

DEFAULT_MODEL = Path("model_data/yolov3.h5")

SETTINGS_FILE = Path("yolo3.toml")
"""Of the current folder; its `model` is the model that is used where none is named."""


def find_model(model: Path) -> Path:
    """The model file that an option means: itself, `model_data/NAME.h5` for NAME, or the one in `yolo3.toml`.

    Raises `SettingsError` with the commands to type for a published network that was not converted yet.
    """
    if model == DEFAULT_MODEL and SETTINGS_FILE.is_file():
        model = _model_of(SETTINGS_FILE) or model
    if os.path.exists(model):  # noqa: PTH110 - False, too, for names that a file system does not take
        return model
    bare = not model.suffix and len(model.parts) == 1
    converted = DEFAULT_MODEL.with_name(f"{model.name}.h5")
    if bare and converted.is_file():
        return converted
    if bare or model.parent == DEFAULT_MODEL.parent:
        from convert.published import NETWORKS

        name = model.name if bare else model.stem
        if name in NETWORKS:
            raise SettingsError(f"{model}: no such model; type: yolo3 download {name}, then the command that it prints")
    return model


def _model_of(file: Path) -> Path | None:
    import tomllib

    try:
        model = tomllib.loads(file.read_text("utf-8")).get("model")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: cannot be read ({error})") from None
    if model is not None and not isinstance(model, str):
        raise SettingsError(f'{file}: model = {model!r} is not a name; expected model = "FILE.h5"')
    return Path(model) if model else None


Model = Annotated[
    Path,
    typer.Option(
        envvar="YOLO3_MODEL",
        callback=find_model,
        help="model file made by yolo3 convert, also set in yolo3.toml",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="print no progress and no notes")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace existing outputs")]

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
