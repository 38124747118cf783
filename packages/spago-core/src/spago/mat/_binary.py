"""The binary layout of matrices, that of Go Spago. All numbers are little-endian.

    dense      dtype (1 byte: 0 float32, 1 float64), rows (uint64), columns (uint64), data (row-major, IEEE 754)
    matrix     kind (1 byte: 0 nothing, 1 float32, 2 float64), then, unless nothing, length (uint64), dense

A matrix has two axes: a number is stored as 1 x 1, an array of one axis as a column.
"""

import struct
import sys
from typing import Any

import numpy as np

from spago.mat._errors import FormatError, ShapeError
from spago.mat._types import Array

Bytes = bytes | bytearray | memoryview

_DENSE = struct.Struct("<BQQ")
_TAG = struct.Struct("<BQ")
_DTYPES: tuple[np.dtype[np.floating[Any]], ...] = (np.dtype("<f4"), np.dtype("<f8"))


def marshal(x: Array) -> bytes:
    """Bytes of an array in the dense layout.

    Args:
        x: float32 or float64, of at most two axes: (), (n,) or (rows, columns), stored as 1 x 1, n x 1, rows x columns.

    Raises:
        ShapeError: There are more axes.
        TypeError: The dtype is another one.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.marshal(np.array([[1, -2]], np.float32)).hex(" ", -4)
        '00010000 00000000 00020000 00000000 00000080 3f000000 c0'
    """
    dtype = x.dtype.newbyteorder("<")
    if dtype not in _DTYPES:
        raise TypeError(f"marshal: expected float32 or float64, got {x.dtype}; convert with astype")
    if x.ndim > 2:
        raise ShapeError(f"marshal: expected at most two axes, got shape {x.shape}; reshape it to (rows, columns)")
    rows, columns = (x.shape[0] if x.ndim else 1), (x.shape[1] if x.ndim == 2 else 1)
    return _DENSE.pack(_DTYPES.index(dtype), rows, columns) + x.astype(dtype, copy=False).tobytes()


def unmarshal(data: Bytes) -> Array:
    """Array from bytes in the dense layout.

    Sizes are checked against the bytes that are there before anything is allocated.

    Args:
        data: All bytes of the array, and no others.

    Returns:
        A new array, shape (rows, columns).

    Raises:
        FormatError: The bytes are truncated, too many, or of an unknown kind.
    """
    view = memoryview(data).cast("B")
    if len(view) < _DENSE.size:
        raise FormatError(f"unmarshal: expected a header of {_DENSE.size} bytes, got {len(view)}; is it truncated?")
    header: tuple[int, int, int] = _DENSE.unpack_from(view)
    kind, rows, columns = header
    if kind >= len(_DTYPES):
        raise FormatError(f"unmarshal: expected 0 (float32) or 1 (float64) as first byte, got {kind}; is it a matrix?")
    dtype = _DTYPES[kind]
    expected = _DENSE.size + rows * columns * dtype.itemsize
    if len(view) != expected:
        raise FormatError(
            f"unmarshal: expected {expected} bytes for {rows} x {columns} {dtype.name}, got {len(view)}; "
            "is it truncated, or is something behind it?"
        )
    if max(rows, columns) > sys.maxsize // dtype.itemsize:
        raise FormatError(f"unmarshal: expected sizes that an array can have, got {rows} x {columns}")
    values = np.frombuffer(view, dtype, offset=_DENSE.size).reshape(rows, columns)
    return values.astype(dtype.newbyteorder("="))


def marshal_matrix(x: Array | None) -> bytes:
    """Bytes of an array, or of nothing, in the matrix layout.

    Raises:
        ShapeError: There are more than two axes.
        TypeError: The dtype is neither float32 nor float64.
    """
    if x is None:
        return b"\0"
    dense = marshal(x)
    return _TAG.pack(dense[0] + 1, len(dense)) + dense


def unmarshal_matrix(data: Bytes) -> Array | None:
    """Array, or None, from bytes in the matrix layout.

    Args:
        data: All bytes of the array, and no others.

    Returns:
        A new array, shape (rows, columns), or None where nothing was stored.

    Raises:
        FormatError: The bytes are truncated, too many, of an unknown kind, or at odds with each other.
    """
    x, rest = read_matrix(data)
    if len(rest):
        raise FormatError(f"unmarshal_matrix: expected the end of the matrix, got {len(rest)} bytes more")
    return x


def read_matrix(data: Bytes) -> tuple[Array | None, memoryview]:
    """First array, or None, of bytes where matrices follow each other, and the bytes behind it.

    Raises:
        FormatError: The bytes are truncated, of an unknown kind, or at odds with each other.
    """
    view = memoryview(data).cast("B")
    kind = view[0] if len(view) else None
    if kind == 0:
        return None, view[1:]
    if kind not in (1, 2):
        raise FormatError(f"read_matrix: expected 0, 1 or 2 as first byte, got {kind}; is it a matrix?")
    if len(view) < _TAG.size:
        raise FormatError(f"read_matrix: expected a header of {_TAG.size} bytes, got {len(view)}; is it truncated?")
    _, length = _TAG.unpack_from(view)
    end = _TAG.size + length
    if end > len(view):
        raise FormatError(f"read_matrix: expected {end} bytes, got {len(view)}; is it truncated?")
    x = unmarshal(view[_TAG.size : end])
    if x.dtype != _DTYPES[kind - 1]:
        raise FormatError(f"read_matrix: expected {_DTYPES[kind - 1].name}, as its first byte says, got {x.dtype}")
    return x, view[end:]
