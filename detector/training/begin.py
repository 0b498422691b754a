"""Which cfg a training is of."""

from __future__ import annotations

from pathlib import Path

from convert.cfg import Cfg, parse_cfg, read_cfg
from convert.model_file import read_description
from detector.errors import SettingsError


def read_cfg_for(cfg: Path | None, start: Path | None) -> tuple[Cfg, tuple[str, ...]]:
    """The cfg that is given, or else that of the .h5 to start from; and the class names of that .h5, if it is one."""
    names: tuple[str, ...] = ()
    own = None
    if start is not None and start.suffix == ".h5":
        description = read_description(start)
        own, names = parse_cfg(description.cfg, str(start)), description.names
    if cfg is not None:
        return read_cfg(cfg), names
    if own is None:
        raise SettingsError("no network to train; give --cfg, or an .h5 with --start")
    return own, names
