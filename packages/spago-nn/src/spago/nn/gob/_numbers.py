"""The numbers of gob: unsigned integers of one to nine bytes, and what is sent as such.

    uint    below 128: itself, one byte; else 256 - n, one byte, and n bytes, the most significant first
    int     2 i, and for negative ones 2 (-1 - i) + 1
    float   the bytes of the float64 in reversed order, as a uint

Single numbers are handled by Python, long runs of them by NumPy, some hundred times as fast.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from spago.mat import FormatError

Numbers = npt.NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(bool),
    "int": np.dtype(np.int64),
    "uint": np.dtype(np.uint64),
    "float": np.dtype(np.float64),
    "complex": np.dtype(np.complex128),
}
FEW = 32
"""Below this count Python is the faster one."""

_CHUNK = 1 << 15
_PLACES = np.arange(9)
_U64 = np.uint64
_MASKS = np.array([0xFF, *((1 << 8 * n) - 1 for n in range(1, 9))], np.uint64)
# How many bytes a number takes, by its first byte; 0 for a byte that begins no number.
_SIZES = np.array([1] * 128 + [0] * 120 + [257 - b for b in range(248, 256)], np.intp)
_DOUBLE_LITTLE, _UINT_BIG = struct.Struct("<d"), struct.Struct(">Q")


def float_of(u: int) -> float:
    """The float that a uint stands for."""
    value: float = _DOUBLE_LITTLE.unpack(_UINT_BIG.pack(u))[0]
    return value


def encode_uint(u: int) -> bytes:
    """Bytes of an integer from 0 to 2^64 - 1."""
    if u < 128:
        return bytes((u,))
    size = (u.bit_length() + 7) // 8
    return bytes((256 - size,)) + u.to_bytes(size, "big")


def encode_int(i: int) -> bytes:
    """Bytes of an integer from -2^63 to 2^63 - 1."""
    return encode_uint(2 * i if i >= 0 else 2 * ~i + 1)


def encode_float(x: float) -> bytes:
    """Bytes of a float."""
    return encode_uint(_UINT_BIG.unpack(_DOUBLE_LITTLE.pack(x))[0])


def decode_run(data: memoryview, kind: str, count: int) -> tuple[Numbers, int]:
    """Decode numbers that follow each other.

    Args:
        data: Bytes that begin with them, at least count.
        kind: A key of `DTYPES`.
        count: How many; a complex one counts once.

    Returns:
        The numbers, and how many bytes they took.

    Raises:
        FormatError: The bytes end too early, or one begins no number.
    """
    if kind == "complex":
        parts, used = decode_run(data, "float", 2 * count)
        return parts.view(np.complex128), used
    result = np.empty(count, DTYPES[kind])
    done, position = 0, 0
    while done < count:
        # A chunk may end inside a number, which is then the first of the next chunk.
        chunk = np.frombuffer(data[position : position + _CHUNK], np.uint8)
        if len(chunk) and chunk[: count - done].max() < 128:
            values = chunk[: count - done].astype(np.uint64)
            used = len(values)
        else:
            starts, used = _starts(chunk, count - done, last=position + len(chunk) == len(data))
            values = _values(chunk, starts)
        result[done : done + len(values)] = _meaning(values, kind)
        done += len(values)
        position += used
    return result, position


def _starts(data: npt.NDArray[np.uint8], count: int, last: bool) -> tuple[npt.NDArray[np.intp], int]:
    """Return where the numbers in data begin, up to count of them, and where the last of them ends.

    Where a number begins depends on the one before. But where the eighth after any byte would begin is found for all
    bytes at once; one number in eight is then found by walking, and the seven between them at once again.
    """
    size = len(data)
    if not size:
        raise FormatError(f"expected {count} numbers, got none before the end")
    # Beyond the end there is nothing but the end.
    after = np.arange(size + 9)
    after[:size] += _SIZES.take(data)
    two = after.take(after)
    four = two.take(two)
    eight = four.take(four)
    every_eighth: list[int] = []
    jump, position = eight.data, 0
    for _ in range((count + 7) // 8):
        if position >= size:
            break
        every_eighth.append(position)
        following = jump[position]
        if following == position:
            break
        position = following
    found = np.array(every_eighth, np.intp)[:, None]
    for step in (four, two, after):
        found = np.stack((found, step.take(found)), axis=-1).reshape(len(found), -1)
    starts = found.reshape(-1)[:count]
    ends = after.take(starts)
    whole = (ends <= size) & (starts < size) & (ends > starts)
    if not whole.all():
        number = int(np.argmin(whole))
        start = int(starts[number])
        if start < size and ends[number] == start:
            raise FormatError(f"expected a number, got a first byte of {data[start]:#x}")
        if last:
            raise FormatError(f"expected {count} numbers, got {number} before the end")
        starts, ends = starts[:number], ends[:number]
    return starts, int(ends[-1]) if len(ends) else 0


def _values(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """Return the numbers that begin at starts, as uints."""
    padded = np.empty(len(data) + 8, np.uint8)
    padded[8:] = data
    padded[:8] = 0
    sizes = np.maximum(_SIZES.take(data[starts]) - 1, 0)
    # The eight bytes before each byte of padded, as one number: a view, whose elements overlap.
    windows: npt.NDArray[np.uint64] = np.ndarray(len(data) + 1, ">u8", padded, 0, (1,))
    ends = starts + sizes + 1
    values: npt.NDArray[np.uint64] = windows[ends].astype(np.uint64)
    values &= _MASKS.take(sizes)
    return values


def _meaning(values: npt.NDArray[np.uint64], kind: str) -> Numbers:
    if kind == "float":
        return values.byteswap().view(np.float64)
    if kind == "int":
        half = values >> _U64(1)
        return (half ^ (np.uint64(0) - (values & _U64(1)))).view(np.int64)
    return values != 0 if kind == "bool" else values


def encode_run(numbers: Numbers, kind: str) -> list[bytes]:
    """Bytes of numbers that follow each other, in pieces.

    Args:
        numbers: Of the dtype of kind, one axis.
        kind: A key of `DTYPES`.
    """
    return [_encoded(numbers[start : start + _CHUNK], kind) for start in range(0, len(numbers), _CHUNK)]


def _encoded(numbers: Numbers, kind: str) -> bytes:
    values = _uints(np.ascontiguousarray(numbers, DTYPES[kind]), kind)
    if not (values >> _U64(7)).any():
        return values.astype(np.uint8).tobytes()
    sizes = np.zeros(len(values), np.uint8)
    for n in range(8):
        sizes += values >= _U64(128 if n == 0 else 1 << 8 * n)
    # In rows of nine bytes the number is at the end, with its size before it, and what precedes that falls out.
    rows = np.empty((len(values), 9), np.uint8)
    rows[:, 1:] = values.astype(">u8").view(np.uint8).reshape(-1, 8)
    firsts = 8 - sizes.astype(np.intp)
    long = np.flatnonzero(sizes)
    rows[long, firsts[long]] = -sizes[long]
    return rows[firsts[:, None] <= _PLACES].tobytes()


def _uints(numbers: Numbers, kind: str) -> npt.NDArray[np.uint64]:
    if kind in ("float", "complex"):
        return numbers.view(np.uint64).byteswap()
    if kind == "int":
        return (numbers.view(np.uint64) << _U64(1)) ^ (numbers >> 63).view(np.uint64)
    return numbers.astype(np.uint64)
