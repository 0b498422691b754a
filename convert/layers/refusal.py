"""Saying no: keys that change what a layer computes in a way that is not built here."""

from __future__ import annotations

from collections.abc import Mapping

from convert.cfg import Section


def refuse(section: Section, meanings: Mapping[str, str]) -> None:
    """Raise `CfgError` when one of these keys is set to anything but 0; ignoring it would give wrong boxes."""
    for key, meaning in meanings.items():
        if section.integer(key, 0):
            raise section.error(f"{key}={section.text(key)} ({meaning}) is not supported", key)
