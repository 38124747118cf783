"""Decimal numbers in text, many at a time.

For each byte of a text it is worked out once, with a few NumPy operations on bytes, what the one, two and four digits
that begin there spell. Numbers of one length then share a few look-ups each: several times as fast as float(), and with
the same result, since an integer below 2^53 divided by a power of ten up to 10^22 is rounded once.

Source: W. D. Clinger (1990), "How to read floating point numbers accurately", section 3.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.mat import Array

Places: TypeAlias = npt.NDArray[np.intp]
Bytes: TypeAlias = npt.NDArray[np.uint8]

MARGIN = 20
"""Bytes that must stand before the first number of a text: digits are looked up from before its beginning."""

_LONGEST = 16  # characters of a number without sign that is not left to float(): 15 digits and a point
_WHOLE_DIGITS = 3  # digits before the point, likewise
_SLICE = 4096  # numbers that are worked on at once: larger arrays would be fetched from the system each time


def parse(text: Bytes, starts: Places, stops: Places) -> Array:
    """Return the numbers that are written in text, as float() reads them.

    Args:
        text: Bytes.
        starts: Where each number begins, at least MARGIN, in rising order, shape (N,).
        stops: Where it ends, shape (N,).

    Returns:
        float64, shape (N,); nan for what is no number.

    Examples:
        >>> text = np.frombuffer(b" " * MARGIN + b"-0.25 x", np.uint8)
        >>> parse(text, np.array([20, 26]), np.array([25, 27]))
        array([-0.25,   nan])
    """
    values: Array = np.empty(len(starts))
    for i in range(0, len(starts), _SLICE):
        first, last = starts[i : i + _SLICE], stops[i : i + _SLICE]
        begin, end = int(first[0]) - MARGIN, int(last[-1])
        values[i : i + _SLICE] = _Digits(text[begin:end]).numbers(first - begin, last - begin)
    return values


class _Digits:
    """What the digits of a text spell. Positions are those behind the last digit."""

    def __init__(self, text: Bytes) -> None:
        self._text = text
        # Item i is about the digits that end before byte i + 1, i + 2, i + 4.
        self._one: Bytes = text - ord("0")
        self._two: Bytes = self._one[:-1] * np.uint8(10) + self._one[1:]
        self._four = self._two[:-2] * np.uint16(100) + self._two[2:]
        self._odd_one = self._one > 9
        self._odd_two = self._odd_one[:-1] | self._odd_one[1:]
        self._odd_four = self._odd_two[:-2] | self._odd_two[2:]

    def numbers(self, starts: Places, stops: Places) -> Array:
        """Return the numbers from starts to stops."""
        first = self._text.take(starts)
        negative = first == ord("-")
        length = stops - starts
        length -= negative
        length -= first == ord("+")
        shortest = int(length.min())
        if shortest == length.max():
            values = self._of_length(stops, shortest)
        else:
            values = np.empty(len(starts))
            for n in np.flatnonzero(np.bincount(length)).tolist():
                places = np.flatnonzero(length == n)
                values[places] = self._of_length(stops[places], n)
        values *= 1.0 - 2.0 * negative
        if np.isnan(np.dot(values, np.zeros_like(values))):
            for i in np.flatnonzero(np.isnan(values)).tolist():
                values[i] = _parse_one(self._text[starts[i] : stops[i]].tobytes())
        return values

    def _of_length(self, stops: Places, length: int) -> Array:
        """Return the numbers of that many characters, such as 0.1234; nan for those of another form."""
        values: Array = np.full(len(stops), np.nan)
        rest = np.arange(len(stops))
        for whole in range(1, min(length - 1, _WHOLE_DIGITS + 1)) if length <= _LONGEST else ():
            places = length - 1 - whole
            here = self._text.take(stops[rest] - (places + 1)) == ord(".")
            if len(rest) == len(stops) and here.all():  # nearly always
                return self._with_point(stops, whole, places)
            found = rest[here]
            values[found] = self._with_point(stops[found], whole, places)
            rest = rest[~here]
        return values

    def _with_point(self, stops: Places, whole: int, places: int) -> Array:
        """Return the numbers with so many digits before and after the point; nan where one is no digit."""
        fraction, odd = self._spelled(stops, places)
        integer, also_odd = self._spelled(stops - (places + 1), whole)
        values: Array = (integer * 10**places + fraction) / 10.0**places
        odd |= also_odd
        if odd.any():
            values[odd] = np.nan
        return values

    def _spelled(self, stops: Places, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the integers of so many digits that end at stops, and where one is no digit."""
        total: Any = 0
        odd: Any = False
        done = 0
        while done < count:
            size = 4 if count - done >= 4 else 2 if count - done >= 2 else 1
            spelled, are_odd = {
                4: (self._four, self._odd_four),
                2: (self._two, self._odd_two),
                1: (self._one, self._odd_one),
            }[size]
            begin = stops - (done + size)
            total = total + spelled.take(begin) * np.int64(10**done)
            odd = are_odd.take(begin) | odd
            done += size
        return total, odd


def _parse_one(number: bytes) -> float:
    try:
        return float("nan") if b"_" in number else float(number)
    except ValueError:
        return float("nan")
