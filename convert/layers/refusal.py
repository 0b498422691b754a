"""Refuse keys and sections that are known to Darknet but not supported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from convert.cfg import Section


def refuse(section: Section, meanings: Mapping[str, str]) -> None:
    """Raise `CfgError` if one of these keys is set to anything but 0; ignoring it would give wrong boxes."""
    for key, meaning in meanings.items():
        if section.integer(key, 0):
            raise section.error(f"{key}={section.text(key)} ({meaning}) is not supported", key)


def refused(meaning: str) -> Callable[[Section, object], NoReturn]:
    """Return a function that refuses a known, unsupported section kind."""

    def refuse_section(section: Section, before: object) -> NoReturn:
        raise section.error(f"({meaning}) is not supported")

    return refuse_section


REFUSED = {
    "contrastive": "a training loss",
    "conv_lstm": "recurrent: depends on earlier images",
    "crnn": "recurrent: depends on earlier images",
    "deconvolutional": "a transposed convolution",
    "gru": "recurrent: depends on earlier inputs",
    "history": "recurrent: depends on earlier images",
    "iseg": "instance segmentation",
    "l2norm": "normalisation to unit length",
    "lstm": "recurrent: depends on earlier inputs",
    "normalization": "local response normalisation",
    "rnn": "recurrent: depends on earlier inputs",
}
"""Section kinds of the three Darknets that are not for images or not supported here, and what they are."""
