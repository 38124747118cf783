"""The binary layout: what is written is read again, and nothing else is."""

import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spago import mat

matrices = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5),
    elements=st.floats(width=32),
)
SAMPLE = np.array([[1, -2]], np.float32)
DENSE = bytes.fromhex("00 0100000000000000 0200000000000000 0000803f 000000c0")


def test_the_sample_of_the_specification_is_written() -> None:
    assert mat.marshal(SAMPLE) == DENSE
    assert mat.marshal_matrix(SAMPLE) == bytes.fromhex("01 1900000000000000") + DENSE
    assert mat.marshal_matrix(None) == b"\0"


@given(x=matrices)
def test_what_is_written_is_read_bit_for_bit(x: mat.Array) -> None:
    for y in (mat.unmarshal(mat.marshal(x)), mat.unmarshal_matrix(mat.marshal_matrix(x))):
        assert y is not None
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert y.tobytes() == x.tobytes()
    assert mat.unmarshal_matrix(mat.marshal_matrix(None)) is None


@pytest.mark.parametrize(("shape", "stored"), [((), (1, 1)), ((3,), (3, 1)), ((0,), (0, 1)), ((2, 3), (2, 3))])
def test_fewer_axes_are_stored_as_columns(shape: tuple[int, ...], stored: tuple[int, int]) -> None:
    x = np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape)

    np.testing.assert_array_equal(mat.unmarshal(mat.marshal(x)), x.reshape(stored), strict=True)


def test_any_memory_layout_and_byte_order_is_written_row_by_row() -> None:
    x = np.arange(6.0).reshape(2, 3)

    for arranged in (np.asfortranarray(x), x[::-1, ::-1].copy()[::-1, ::-1], x.astype(">f8")):
        assert mat.marshal(arranged) == mat.marshal(x)


def test_what_is_read_is_new_and_can_be_written_to() -> None:
    data = bytearray(DENSE)

    for source in (data, bytes(data), memoryview(data)):
        x = mat.unmarshal(source)
        x += 1
    assert data == DENSE


def test_matrices_that_follow_each_other_are_read_one_by_one() -> None:
    data = mat.marshal_matrix(SAMPLE) + mat.marshal_matrix(None) + mat.marshal_matrix(SAMPLE.astype(np.float64))

    first, rest = mat.read_matrix(data)
    second, rest = mat.read_matrix(rest)
    third, rest = mat.read_matrix(rest)

    assert second is None
    assert not len(rest)
    for x, dtype in ((first, np.float32), (third, np.float64)):
        np.testing.assert_array_equal(x, SAMPLE.astype(dtype), strict=True)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((1, 2, 3)), mat.ShapeError, r"at most two axes, got shape \(1, 2, 3\); reshape"),
        (np.zeros(2, np.int64), TypeError, "expected float32 or float64, got int64; convert with astype"),
        (np.zeros(2, np.float16), TypeError, "expected float32 or float64, got float16"),
    ],
)
def test_what_has_no_layout_is_refused(x: Any, error: type[Exception], message: str) -> None:
    for function in (mat.marshal, mat.marshal_matrix):
        with pytest.raises(error, match=message):
            function(x)


def dense(kind: int, rows: int, columns: int, data: bytes = b"") -> bytes:
    return struct.pack("<BQQ", kind, rows, columns) + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a header of 17 bytes, got 0; is it truncated"),
        (DENSE[:16], "expected a header of 17 bytes, got 16"),
        (DENSE[:-1], "expected 25 bytes for 1 x 2 float32, got 24; is it truncated"),
        (DENSE + b"\0", "expected 25 bytes for 1 x 2 float32, got 26"),
        (b"\2" + DENSE[1:], r"expected 0 \(float32\) or 1 \(float64\) as first byte, got 2"),
        (b"\1" + DENSE[1:], "expected 33 bytes for 1 x 2 float64, got 25"),
        (dense(0, 2**64 - 1, 2**64 - 1), "expected 1361129467683753853705924477137396432917 bytes"),
        (dense(1, 2**32, 2**32, b"\0" * 8), "expected 147573952589676412945 bytes"),
        (dense(0, 2**62, 1), "expected 18446744073709551633 bytes"),
        (dense(0, 2**64 - 1, 0), "sizes that an array can have, got 18446744073709551615 x 0"),
        (dense(1, 0, 2**61), "sizes that an array can have, got 0 x 2305843009213693952"),
    ],
)
def test_damaged_bytes_are_refused_before_anything_is_allocated(data: bytes, message: str) -> None:
    tracemalloc.start()
    with pytest.raises(mat.FormatError, match=message):
        mat.unmarshal(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected 0, 1 or 2 as first byte, got None"),
        (b"\3", "expected 0, 1 or 2 as first byte, got 3"),
        (b"\0\0", "expected the end of the matrix, got 1 bytes more"),
        (b"\1" + b"\0" * 7, "expected a header of 9 bytes, got 8"),
        (b"\1" + b"\xff" * 8 + DENSE, "expected 18446744073709551624 bytes, got 34"),
        (b"\1" + struct.pack("<Q", 24) + DENSE, "expected 25 bytes for 1 x 2 float32, got 24"),
        (b"\1" + struct.pack("<Q", 0) + DENSE, "expected a header of 17 bytes, got 0"),
        (b"\2" + struct.pack("<Q", 25) + DENSE, "expected float64, as its first byte says, got float32"),
        (b"\1" + struct.pack("<Q", 25) + DENSE + b"?", "expected the end of the matrix, got 1 bytes more"),
    ],
)
def test_a_damaged_matrix_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(mat.FormatError, match=message):
        mat.unmarshal_matrix(data)


@given(data=st.binary(max_size=60))
@example(data=DENSE)
def test_whatever_is_read_is_what_would_be_written(data: bytes) -> None:
    layouts: list[tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = [
        (mat.unmarshal, mat.marshal),
        (mat.unmarshal_matrix, mat.marshal_matrix),
    ]
    for read, write in layouts:
        try:
            x = read(data)
        except mat.FormatError:
            continue
        assert write(x) == data


@given(x=matrices, place=st.integers(0, 24), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_changes_a_value(x: mat.Array, place: int, byte: int) -> None:
    data = bytearray(mat.marshal_matrix(x))
    place %= len(data)
    data[place] = byte

    try:
        y = mat.unmarshal_matrix(data)
    except mat.FormatError:
        return
    assert mat.marshal_matrix(y) == data
