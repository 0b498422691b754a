"""Saying no: keys and sections that compute something that is not built here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from convert.cfg import Section


def refuse(section: Section, meanings: Mapping[str, str]) -> None:
    """Raise `CfgError` when one of these keys is set to anything but 0; ignoring it would give wrong boxes."""
    for key, meaning in meanings.items():
        if section.integer(key, 0):
            raise section.error(f"{key}={section.text(key)} ({meaning}) is not supported", key)


def refused(meaning: str) -> Callable[[Section, object], NoReturn]:
    """A section kind that is known and not supported."""

    def refuse_section(section: Section, before: object) -> NoReturn:
        raise section.error(f"({meaning}) is not supported")

    return refuse_section


REFUSED = {
    "contrastive": "a training loss",
    "conv_lstm": "recurrent, it remembers earlier pictures",
    "crnn": "recurrent, it remembers earlier pictures",
    "deconvolutional": "a transposed convolution",
    "gru": "recurrent, it remembers earlier inputs",
    "history": "recurrent, it remembers earlier pictures",
    "iseg": "instance segmentation",
    "l2norm": "normalisation to unit length",
    "lstm": "recurrent, it remembers earlier inputs",
    "normalization": "local response normalisation",
    "rnn": "recurrent, it remembers earlier inputs",
}
"""Section kinds of the three Darknets that are not for pictures or not built here, and what they are."""
