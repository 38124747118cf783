"""The bytes of a record: a vector, the state an optimizer keeps with it, and a checksum.

    offset  bytes
    0       1    version of the format, 1
    1       1    dtype: 0 float32, 1 float64
    2       2    A, the number of state arrays
    4       4    D, the size of the vector
    8       4    L, the length of the text, a multiple of 4
    12      L    label of the state and names of its arrays in UTF-8, separated by NUL, padded with NUL
    12+L    …    the vector, then the A arrays, D numbers each
    end-4   4    CRC-32 of the key followed by all bytes before

All numbers are little-endian. The key takes part in the checksum, so a record that turns up under another key is
noticed too. All records of one layout have one length: a batch is one array of shape (N, length), encoded and decoded
with a few NumPy calls.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import repeat
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from spago.embeddings._store import DamagedRecordError
from spago.mat import Array, FormatError, ShapeError

FORMAT = 1
_HEAD = struct.Struct("<BBHII")
_CRC_BYTES = 4
# The CRC-32 of any bytes followed by their own CRC-32: checking a record is one call, without slicing it.
RESIDUE = 0x2144DF1C
_DTYPES = (np.dtype("<f4"), np.dtype("<f8"))


class _LayoutFields(NamedTuple):
    dtype: np.dtype[Any]
    size: int
    label: str
    names: tuple[str, ...]


class Layout(_LayoutFields):
    """What equal records have in common.

    Attributes:
        dtype: Little-endian float32 or float64.
        size: D.
        label: The optimizer that the state belongs to; empty when there is no state.
        names: The names of the state arrays.
    """

    @cached_property
    def header(self) -> bytes:
        """The bytes before the vector."""
        text = "\0".join((self.label, *self.names)).encode()
        text += bytes(-len(text) % 4)
        return _HEAD.pack(FORMAT, _DTYPES.index(self.dtype), len(self.names), self.size, len(text)) + text

    @property
    def array_bytes(self) -> int:
        """The length of the vector, and of each state array."""
        return self.size * self.dtype.itemsize

    @property
    def record_bytes(self) -> int:
        """The length of the whole record."""
        return len(self.header) + self.array_bytes * (1 + len(self.names)) + _CRC_BYTES


class Group(NamedTuple):
    """Decoded records of one layout.

    Attributes:
        layout: What they have in common.
        positions: Which of the records they are, shape (n,).
        values: Vectors, shape (n, D).
        arrays: State arrays by name, shape (n, D) each.
    """

    layout: Layout
    positions: npt.NDArray[np.intp]
    values: Array
    arrays: dict[str, Array]


def encode(
    keys: Sequence[bytes], values: Array, label: str = "", arrays: Mapping[str, Array] | None = None
) -> list[bytes]:
    """Return the records of the keys.

    Args:
        keys: N keys.
        values: Vectors of float32 or float64, shape (N, D).
        label: The optimizer that the state belongs to; empty for none.
        arrays: Its arrays, of the shape and dtype of values.

    Raises:
        ShapeError: When values is not (N, D), or an array has another shape.
        TypeError: When values is not float32 or float64, or an array has another dtype.
    """
    arrays = arrays or {}
    layout = _layout_of(keys, values, label, arrays)
    rows = np.empty((len(keys), layout.record_bytes), np.uint8)
    start = len(layout.header)
    rows[:, :start] = np.frombuffer(layout.header, np.uint8)
    for array in (values, *arrays.values()):
        raw: Any = np.ascontiguousarray(array, layout.dtype)
        rows[:, start : start + layout.array_bytes] = raw.view(np.uint8)
        start += layout.array_bytes
    _seal(rows, keys)
    flat = rows.reshape(-1).data
    length = layout.record_bytes
    return [flat[i : i + length].tobytes() for i in range(0, len(flat), length)]


def _layout_of(keys: Sequence[bytes], values: Array, label: str, arrays: Mapping[str, Array]) -> Layout:
    if values.ndim != 2 or len(values) != len(keys):
        raise ShapeError(f"record: expected values of shape ({len(keys)}, D), one row a key, got {values.shape}")
    dtype = values.dtype.newbyteorder("<")
    if dtype not in _DTYPES:
        raise TypeError(f"record: expected values of float32 or float64, got {values.dtype}; convert them with astype")
    for name, array in arrays.items():
        if array.shape != values.shape:
            raise ShapeError(f"record: expected state {name!r} of shape {values.shape}, got {array.shape}")
        if array.dtype != values.dtype:
            raise TypeError(f"record: expected state {name!r} of {values.dtype}, got {array.dtype}; convert it")
    if (arrays and not label) or any("\0" in text for text in (label, *arrays)):
        raise ValueError(f"record: expected a label and names without NUL for state, got {label!r}, {list(arrays)}")
    return Layout(dtype, values.shape[1], label, tuple(arrays))


def _seal(rows: npt.NDArray[np.uint8], keys: Sequence[bytes]) -> None:
    """Write the checksums into the last columns."""
    length = rows.shape[1]
    body = length - _CRC_BYTES
    flat = rows.reshape(-1).data
    starts = range(0, len(keys) * length, length)
    checksums = [crc32(flat[i : i + body], crc32(key)) for i, key in zip(starts, keys, strict=True)]
    rows[:, body:] = np.array(checksums, "<u4").view(np.uint8).reshape(-1, _CRC_BYTES)


def decode(keys: Sequence[bytes], records: Sequence[bytes], where: str = "store") -> list[Group]:
    """Return what the records of the keys hold, those of one layout together.

    Args:
        keys: N keys.
        records: Their N records.
        where: What messages call the store.

    Raises:
        DamagedRecordError: Names the first key whose record is damaged.
        FormatError: When a record has a version of the format that this code does not know.
    """
    checksums = np.fromiter(map(crc32, records, map(crc32, keys)), np.uint32, len(records))
    damaged: list[int] = np.flatnonzero(checksums != RESIDUE).tolist()
    if damaged:
        raise damaged_record(where, keys[damaged[0]], "a record whose checksum is right, got a wrong one")
    groups = _group(records)
    for header, positions in groups.items():
        length = _parse(header).record_bytes
        for i in positions:
            if len(records[i]) != length:
                raise damaged_record(where, keys[i], f"a record of {length} bytes, got {len(records[i])}")
    return [_decode_group(_parse(header), records, positions) for header, positions in groups.items()]


def damaged_record(where: str, key: bytes, fault: str) -> DamagedRecordError:
    """Return the error for a record with that fault."""
    return DamagedRecordError(f"{where}: key {key!r}: expected {fault}; write it again, or repair the store", key)


def _group(records: Sequence[bytes]) -> dict[bytes, Sequence[int]]:
    """Return which records begin with which header."""
    if not records:
        return {}
    first = _header(records[0])
    if all(map(bytes.startswith, records, repeat(first))):  # nearly always: one layout in the batch
        return {first: range(len(records))}
    groups: dict[bytes, list[int]] = {}
    for i, record in enumerate(records):
        groups.setdefault(_header(record), []).append(i)
    return dict(groups)


def _header(record: bytes) -> bytes:
    return record[: _HEAD.size + int.from_bytes(record[8:12], "little")]


@lru_cache(maxsize=64)
def _parse(header: bytes) -> Layout:
    """Return the layout that a header describes; its checksum is known to be right, but anyone can make that."""
    if len(header) < _HEAD.size:
        raise FormatError(f"record: expected at least {_HEAD.size} bytes, got {len(header)}; is it of another program?")
    version, dtype, count, size, text_bytes = _HEAD.unpack_from(header)
    if version != FORMAT or dtype >= len(_DTYPES):
        raise FormatError(
            f"record: expected format {FORMAT} and dtype 0 or 1, got {version} and {dtype}; "
            "was it written by a newer release?"
        )
    if len(header) != _HEAD.size + text_bytes:
        raise FormatError(f"record: expected a header of {_HEAD.size + text_bytes} bytes, got {len(header)}")
    try:
        label, *names = header[_HEAD.size :].decode().split("\0")
    except UnicodeDecodeError as error:
        raise FormatError(f"record: expected text in UTF-8, got {header[_HEAD.size :]!r}") from error
    if len(set(names[:count])) != count:
        raise FormatError(f"record: expected a label and {count} names, got {label!r} and {names}")
    return Layout(_DTYPES[dtype], size, label, tuple(names[:count]))


def _decode_group(layout: Layout, records: Sequence[bytes], positions: Sequence[int]) -> Group:
    rows = np.frombuffer(b"".join(map(records.__getitem__, positions)), np.uint8).reshape(len(positions), -1)
    start, length = len(layout.header), layout.array_bytes
    values, *arrays = (
        (_column(rows[:, i : i + length], layout.dtype) for i in range(start, rows.shape[1] - _CRC_BYTES, length))
        if length
        else (np.empty((len(positions), 0), layout.dtype) for _ in range(1 + len(layout.names)))
    )
    return Group(layout, np.asarray(positions, np.intp), values, dict(zip(layout.names, arrays, strict=True)))


def _column(rows: npt.NDArray[np.uint8], dtype: np.dtype[Any]) -> Array:
    return np.array(rows.view(dtype), dtype.newbyteorder("="))
