"""The .weights byte stream, read and written; the bytes of the examples are assembled by hand."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import WeightsError
from convert.files import file_sha256
from convert.weights import Entry, Header, WeightsReader, unreadable, write_weights

LONG = struct.pack("<iiiQ", 0, 2, 5, 32_013_312)
SHORT = struct.pack("<iiiI", 0, 1, 0, 640)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tmp_path / "my.weights"


@pytest.mark.parametrize(
    ("version", "size", "transposed"),
    [
        pytest.param((0, 1, 0), 16, False, id="before 0.2"),
        pytest.param((0, 2, 0), 20, False, id="from 0.2 on"),
        pytest.param((0, 2, 5), 20, False, id="today's"),
        pytest.param((1, 0, 0), 20, False, id="1.0"),
        pytest.param((0, 999, 0), 20, False, id="last minor"),
        pytest.param((0, 1000, 0), 16, False, id="minor at the limit"),
        pytest.param((0, 1001, 0), 16, True, id="transposed by minor"),
        pytest.param((1000, 2, 0), 16, False, id="major at the limit"),
        pytest.param((1001, 2, 0), 16, True, id="transposed by major"),
    ],
)
def test_the_version_determines_the_headers_size(version: tuple[int, int, int], size: int, transposed: bool) -> None:
    header = Header(*version, seen=77)
    assert (header.size_bytes, header.transposed) == (size, transposed)
    data = struct.pack("<iii", *version) + (77).to_bytes(size - 12, "little")
    assert header.pack() == data
    assert Header.unpack(data + b"\x01") == header
    with pytest.raises(WeightsError):
        Header.unpack(data[:-1])


def test_seen_may_be_larger_than_four_bytes() -> None:
    assert Header.unpack(Header(seen=2**40).pack()).seen == 2**40


@pytest.mark.parametrize("header", [pytest.param(LONG, id="20 bytes"), pytest.param(SHORT, id="16 bytes")])
def test_floats_are_read_in_order_with_a_ledger(header: bytes, weights: Path) -> None:
    weights.write_bytes(header + floats(1, 2, 3, 4, 5, 6, 7, 8))
    with WeightsReader.open(weights) as reader:
        assert (reader.total, reader.odd_bytes, reader.taken) == (8, 0, 0)
        biases = reader.take("layer 0", "biases", (2,))
        kernel = reader.take("layer 0", "weights", (1, 2, 1, 2))
        assert reader.taken == 6
    assert biases.dtype == kernel.dtype == np.float32
    assert biases.tolist() == [1, 2]
    assert kernel.tolist() == [[[[3, 4]], [[5, 6]]]]
    start = len(header)
    assert reader.ledger == [Entry("layer 0", "biases", start, 2), Entry("layer 0", "weights", start + 8, 4)]
    assert reader.header.pack() == header


def test_the_file_is_closed_at_the_end_and_after_an_error(weights: Path) -> None:
    weights.write_bytes(LONG + floats(1))
    with WeightsReader.open(weights) as reader:
        pass
    with pytest.raises(ValueError, match="closed file"):
        reader.take("layer 0", "biases", (1,))
    with pytest.raises(RuntimeError, match="mine"), WeightsReader.open(weights) as reader:
        raise RuntimeError("mine")
    with pytest.raises(ValueError, match="closed file"):
        reader.take("layer 0", "biases", (1,))


def test_a_short_file_gives_the_layer_and_what_is_missing(weights: Path) -> None:
    weights.write_bytes(LONG + floats(1, 2, 3))
    with WeightsReader.open(weights) as reader:
        reader.take("layer 0", "biases", (2,))
        with pytest.raises(WeightsError, match=r"offset 28: layer 1 needs 6 floats for its weights, 1 are left"):
            reader.take("layer 1", "weights", (3, 2))
        assert reader.taken == 2
        assert reader.take("layer 1", "biases", (1,)).tolist() == [3]


def test_a_file_that_shrinks_while_it_is_read_is_noticed(weights: Path) -> None:
    weights.write_bytes(LONG + floats(*range(5000)))
    with WeightsReader.open(weights) as reader:
        os.truncate(weights, 24)
        with pytest.raises(WeightsError, match="became shorter while it was read"):
            reader.take("layer 0", "weights", (5000,))


@pytest.mark.parametrize("odd", [1, 2, 3])
def test_odd_bytes_at_the_end_are_counted(odd: int, weights: Path) -> None:
    weights.write_bytes(LONG + floats(1, 2) + b"\0" * odd)
    with WeightsReader.open(weights) as reader:
        assert (reader.total, reader.odd_bytes) == (2, odd)


@pytest.mark.parametrize("size", [0, 11, 12, 15, 19])
def test_a_file_shorter_than_its_header_is_reported(size: int, weights: Path) -> None:
    weights.write_bytes(LONG[:size])
    with pytest.raises(WeightsError, match=rf"my\.weights: {size} bytes; expected a header of 16 or 20 bytes"):
        WeightsReader.open(weights)


def test_a_missing_file_is_reported_with_a_way_to_get_it(weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"my\.weights: no such file; .*scripts/download_weights"):
        WeightsReader.open(weights)


def test_a_folder_is_not_a_weights_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot be read \(Is a directory\); expected Darknet weights"):
        WeightsReader.open(tmp_path)


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="needs /dev/fd to name a pipe")
def test_a_pipe_is_not_a_weights_file() -> None:
    read, write = os.pipe()
    try:
        os.write(write, LONG + floats(1))
        with pytest.raises(WeightsError, match=rf"/dev/fd/{read}: cannot be read \(a device or pipe.*\)"):
            WeightsReader.open(f"/dev/fd/{read}")
    finally:
        os.close(read)
        os.close(write)


def test_an_unreadable_file_is_reported_in_the_systems_words() -> None:
    error = unreadable(Path("my.weights"), PermissionError(13, "Permission denied"))
    assert str(error) == "my.weights: cannot be read (Permission denied); expected Darknet weights"


@pytest.mark.parametrize(
    ("array", "data"),
    [
        pytest.param(np.array([1, 2], np.float32), floats(1, 2), id="plain"),
        pytest.param(np.array([[1, 2], [3, 4]], np.float32).T, floats(1, 3, 2, 4), id="transposed view"),
        pytest.param(np.array([1.5, 2.5], ">f4"), floats(1.5, 2.5), id="big endian"),
        pytest.param(np.array([0.1], np.float64), floats(0.1), id="double"),
    ],
)
def test_arrays_are_written_row_by_row_in_little_endian(array: np.ndarray, data: bytes) -> None:
    file = io.BytesIO()
    assert write_weights(file, [array]) == array.size
    assert file.getvalue() == struct.pack("<iiiQ", 0, 2, 5, 0) + data


ARRAYS = st.lists(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4).map(lambda row: np.array(row, np.float32)),
    max_size=4,
)
HEADERS = st.builds(
    Header,
    st.integers(0, 1100),
    st.integers(0, 1100),
    st.integers(0, 9),
    seen=st.integers(0, 2**32 - 1),
)


@given(header=HEADERS, arrays=ARRAYS)
def test_what_is_written_is_read_back(
    header: Header, arrays: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.weights"
    with path.open("wb") as file:
        count = write_weights(file, arrays, header)
    with WeightsReader.open(path) as reader:
        assert (reader.header, reader.total, reader.odd_bytes) == (header, count, 0)
        for array in arrays:
            np.testing.assert_array_equal(reader.take("layer 0", "weights", array.shape), array)
        assert reader.taken == count


@given(data=st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_weights_error(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.weights"
    path.write_bytes(data)
    try:
        reader = WeightsReader.open(path)
    except WeightsError:
        assert len(data) < 20
        return
    with reader:
        body = data[reader.header.size_bytes :]
        assert (reader.total, reader.odd_bytes) == divmod(len(body), 4)
        assert reader.take("layer 0", "all", (reader.total,)).tobytes() == body[: 4 * reader.total]
        with pytest.raises(WeightsError):
            reader.take("layer 0", "more", (1,))


def test_sha256_is_the_files(weights: Path) -> None:
    weights.write_bytes(LONG)
    assert file_sha256(weights) == hashlib.sha256(LONG).hexdigest()
