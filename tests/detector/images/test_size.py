"""Sizes as people write them."""

import pytest

from detector.errors import SettingsError
from detector.images.size import Size, parse_size


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("416", Size(416, 416)),
        (416, Size(416, 416)),
        ("608x352", Size(608, 352)),
        ((608, 352), Size(608, 352)),
        ([608, 352], Size(608, 352)),
    ],
)
def test_a_size_is_read(given, size):
    assert parse_size(given) == size


@pytest.mark.parametrize(
    "given",
    [
        "",
        "0",
        "0x416",
        "-416",
        "416x",
        "x416",
        "416x416x3",
        "4 16",
        "１２",
        "1e3",
        0,
        -1,
        10**6,
        (),
        (1, 2, 3),
        (1.5, 2),
    ],
)
def test_an_invalid_size_is_refused(given):
    with pytest.raises(SettingsError, match="not a size"):
        parse_size(given)


def test_a_size_is_printed_as_it_is_written():
    assert str(Size(608, 352)) == "608x352"
    assert Size(608, 352).pixels == 214016
