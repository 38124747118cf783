"""Gradients that are not plain arrays: zero outside one selection, or one part of several."""

from __future__ import annotations

from typing import Any

import numpy as np

from spago.mat import Array


class Scatter:
    """A gradient that is zero outside one selection of an array, as that of a slice or of a look-up of rows.

    The engine adds it in place to the gradient that it belongs to: a loop over the T steps of a sequence costs one
    array of the sequence's size, not T of them.
    """

    __slots__ = ("index", "repeats", "values")

    def __init__(self, index: Any, values: Array, *, repeats: bool) -> None:
        self.index: tuple[Any, ...] = index if isinstance(index, tuple) else (index,)
        self.values = values
        self.repeats = repeats

    def add_to(self, total: Array) -> None:
        """Add this gradient to total, in place; what an index selects twice is added twice."""
        if not self.repeats:
            total[self.index] += self.values
        elif len(self.index) == 1 and total.ndim > 1 and total.flags.c_contiguous:
            # Rows of one array: NumPy adds single elements 3 times faster than rows.
            size = total[:1].size
            starts: Any = np.asarray(self.index[0]).reshape(-1, 1) % len(total) * size
            np.add.at(total.reshape(-1), (starts + np.arange(size)).reshape(-1), self.values.reshape(-1))
        else:
            np.add.at(total, self.index, self.values)


class Parts:
    """The gradients of an operator's several results, as far as any have arrived."""

    __slots__ = ("gradients",)

    def __init__(self, index: int, count: int, gradient: Any) -> None:
        self.gradients: list[Any] = [None] * count
        self.gradients[index] = gradient

    def merged(self, other: Parts) -> Parts:
        """Return the parts of both; each result's gradient arrives once."""
        for i, gradient in enumerate(other.gradients):
            if gradient is not None:
                self.gradients[i] = gradient
        return self


def sum_to_shape(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which an operand of the given shape was broadcast."""
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)
    total: Array = np.add.reduce(g, axis=axes, keepdims=True) if axes else g
    return total.reshape(shape)
