"""Decimal numbers in text, many at a time.

The last eight characters of a number are one integer of 64 bits, and so are the eight before them. A few operations on
such integers, over thousands of numbers at once, take the point out, see whether all else is digits, and multiply the
digits together: several times as fast as float(), and with the same result, since an integer below 2^53 divided by a
power of ten up to 10^22 is rounded once.

Sources: D. Lemire (2018), "Quickly parsing eight digits", lemire.me/blog; W. D. Clinger (1990), "How to read floating
point numbers accurately", section 3.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from spago.mat import Array

Places: TypeAlias = npt.NDArray[np.intp]
Bytes: TypeAlias = npt.NDArray[np.uint8]
_Eights: TypeAlias = npt.NDArray[np.uint64]

MARGIN = 16
"""Bytes that must stand before the first number of a text: sixteen characters are looked at, however short it is."""

_SLICE = 8192  # numbers that are worked on at once: their arrays stay in the caches of one processor
_EXACT = 1 << 53


def _bytes(value: int) -> np.uint64:
    """Return eight times the same byte."""
    return np.uint64(value * 0x0101010101010101)


# A digit xor "0" is its value, and a point is this.
_ZEROS, _POINTS = _bytes(ord("0")), _bytes(ord("0") ^ ord("."))
_ONES, _TOP_BITS, _NINES_TO_TOP = _bytes(1), _bytes(0x80), _bytes(0x80 - 10)
_POWERS = np.array([1.0] * 128 + [10.0**places for places in reversed(range(8))])
"""By 128 + k, where byte k of eight is the point: the power of ten that the digits behind it stand for."""


def parse(text: Bytes, starts: Places, stops: Places) -> Array:
    """Return the numbers that are written in text, as float() reads them.

    Args:
        text: Bytes.
        starts: Where each number begins, at least MARGIN, shape (N,).
        stops: Where it ends, shape (N,).

    Returns:
        float64, shape (N,); nan for what is no number.

    Examples:
        >>> text = np.frombuffer(b" " * MARGIN + b"-0.25 x", np.uint8)
        >>> parse(text, np.array([16, 22]), np.array([21, 23]))
        array([-0.25,   nan])
    """
    # Item i is the eight bytes from i on, the first one lowest.
    eights: _Eights = np.ndarray((max(len(text) - 7, 0),), "<u8", text, strides=(1,))
    values: Array = np.empty(len(starts))
    for i in range(0, len(starts), _SLICE):
        part = slice(i, i + _SLICE)
        values[part] = _numbers(text, eights, starts[part], stops[part])
    return values


def _numbers(text: Bytes, eights: _Eights, starts: Places, stops: Places) -> Array:
    negative = text.take(starts) == ord("-")
    length = stops - starts
    length -= negative
    short = length.max() <= 8
    values, good = (_of_eight if short else _of_sixteen)(eights, stops, length)
    values *= 1.0 - 2.0 * negative
    if not good.all():
        for i in np.flatnonzero(~good).tolist():
            values[i] = _parse_one(text[starts[i] : stops[i]].tobytes())
    return values


def _of_eight(eights: _Eights, stops: Places, length: Places) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return numbers of at most eight characters without sign, and which of them are digits with at most one point."""
    text = _last(eights[stops - 8], length)
    point = _point(text)
    digits, good = _value(_without(point, text))
    if length.min() <= 1:
        good &= length > (point != 0)
    return digits / _power(point), good


def _of_sixteen(eights: _Eights, stops: Places, length: Places) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Do the same with numbers of up to sixteen characters; longer ones are not good."""
    low = _last(eights[stops - 8], np.minimum(length, 8))
    high = _last(eights[stops - 16], np.clip(length - 8, 0, 8))
    point, early_point = _point(low), _point(high)
    late = point != 0
    taken_over = np.where(late, high >> np.uint64(56), 0)
    low_digits, good = _value(_without(point, low) | taken_over)
    high_digits, also_good = _value(np.where(late, high << np.uint64(8), _without(early_point, high)))
    digits = high_digits * np.uint64(100_000_000) + low_digits
    powers = np.where(early_point != 0, 1e8, 1.0) * _power(early_point) * _power(point)
    good &= also_good & (digits < _EXACT) & (length <= 16) & (length > (late | (early_point != 0)))
    return digits / powers, good


def _last(text: _Eights, count: Places) -> _Eights:
    """Return the last 0 to 8 of eight characters, less "0" each; zeros before them."""
    empty = (64 - 8 * count).view(np.uint64)
    return ((text ^ _ZEROS) >> empty) << empty


def _point(text: _Eights) -> _Eights:
    """Return the top bit of the byte that is the point; 0 where there is none.

    With several points it is more than one bit, or the wrong one, and what is left of them is no digit.
    """
    different = text ^ _POINTS
    return (different - _ONES) & ~different & _TOP_BITS


def _without(point: _Eights, text: _Eights) -> _Eights:
    """Return the characters with those before the point moved on to its place."""
    before = (point >> np.uint64(7)) - np.uint64(1)
    digits: _Eights = (text & -(point << np.uint64(1))) | ((text & before) << np.uint64(8))
    if not point.all():
        digits = np.where(point == 0, text, digits)
    return digits


def _value(digits: _Eights) -> tuple[_Eights, npt.NDArray[np.bool_]]:
    """Return the numbers that eight digits each make, and which of them are digits all."""
    good = ((digits + _NINES_TO_TOP) | digits) & _TOP_BITS == 0
    pairs = (digits * np.uint64(1 + (10 << 8))) >> np.uint64(8) & np.uint64(0x00FF00FF00FF00FF)
    fours = (pairs * np.uint64(1 + (100 << 16))) >> np.uint64(16) & np.uint64(0x0000FFFF0000FFFF)
    return (fours * np.uint64(1 + (10_000 << 32))) >> np.uint64(32), good


def _power(point: _Eights) -> Array:
    """Return the power of ten to divide by: 1 where there is no point."""
    exponent = point.astype(np.float64).view(np.int64) >> 55  # of two, and of that the eighth
    return _POWERS.take(exponent)


def _parse_one(number: bytes) -> float:
    try:
        return float("nan") if b"_" in number else float(number)
    except ValueError:
        return float("nan")
