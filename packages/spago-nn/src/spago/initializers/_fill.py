"""How an array is filled: in place, row by row, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from spago.ag import Variable
from spago.mat import Array

Target = TypeVar("Target", Array, Variable)
"""An array, or a leaf of the graph such as `nn.Param`, whose value is meant."""

_BLOCK = 1 << 18
"""How many numbers are drawn at once, in float64, however large the array is."""


def fill(target: Target, draw: Callable[[int], Array]) -> Target:
    """Fill target in row-major order with the numbers that draw(n) gives, rounded to its dtype."""
    array = array_of(target)
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for start, stop in _blocks(array.size):
        flat[start:stop] = draw(stop - start)
    return target


def array_of(target: Array | Variable) -> Array:
    """Return the array that is to be filled.

    Raises:
        TypeError: When target is no array, and no leaf that holds one.
        ValueError: When the array is read-only.
    """
    array: Any = target.value if isinstance(target, Variable) else target
    if getattr(array, "dtype", None) not in (np.float32, np.float64):
        raise TypeError(f"initializers: expected an array of float32 or float64 to fill, got {type(target).__name__}")
    if not array.flags.writeable:
        raise ValueError(
            f"initializers: expected an array that can be written to, got a read-only one of {array.shape}"
        )
    filled: Array = array
    return filled


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs an output has, and how many outputs an input has.

    Weights are (out, in), kernels (out, in, k...), where each of the k... positions counts. A vector is one column.
    """
    out, into = (*shape[:2], 1, 1)[:2]
    positions = int(np.prod(shape[2:], dtype=np.int64))
    return into * positions, out * positions


def _blocks(size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + _BLOCK, size)) for start in range(0, size, _BLOCK))
