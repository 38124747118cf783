"""Gradients that are not plain arrays.

Zero outside one selection (`Scatter`) or but for some rows (`RowGradient`); products yet to be taken (`Outer`);
one part of several (`Parts`); and what collects them at a leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from spago.mat import Array

Rows = npt.NDArray[np.intp]


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
        elif total.ndim > 1 and (rows := self.rows(total.shape)) is not None:
            RowGradient.total([(rows, self.values)], total.shape).add_to(total)
        else:
            np.add.at(total, self.index, self.values)

    def rows(self, shape: tuple[int, ...]) -> Rows | None:
        """Return which rows of an array of that shape are selected, each as a whole; None for any other selection."""
        if len(self.index) != 1 or not shape:
            return None
        index = self.index[0]
        if isinstance(index, slice):
            rows: Rows = np.arange(*index.indices(shape[0]), dtype=np.intp)
        elif index is None or index is Ellipsis:
            return None
        elif (where := np.asarray(index)).dtype.kind != "b":
            rows = where.reshape(-1).astype(np.intp) % shape[0]
        elif where.shape == shape[:1]:
            rows = np.flatnonzero(where)
        else:
            return None
        return rows if self.values.size == rows.size * prod(shape[1:]) else None


class RowGradient:
    """A gradient that is zero but for some rows: that of a table of which rows were looked up.

    Attributes:
        rows: Which rows, in ascending order, each once.
        values: Their gradients, shape (n, ...) for n rows.
        shape: That of the table.
    """

    __slots__ = ("rows", "shape", "values")

    def __init__(self, rows: Rows, values: Array, shape: tuple[int, ...]) -> None:
        self.rows = rows
        self.values = values
        self.shape = shape

    @classmethod
    def total(cls, selections: Sequence[tuple[Rows, Array]], shape: tuple[int, ...]) -> RowGradient:
        """Return the sum of the gradients of several selections of rows, each of which may have a row several times.

        Args:
            selections: Row numbers, and gradients of that many rows in any shape; at least one.
            shape: That of the table.
        """
        rows = np.concatenate([some for some, _ in selections])
        values = np.concatenate([part.reshape(len(some), *shape[1:]) for some, part in selections])
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        # Summing runs of equal rows takes a tenth of the time of adding one row after the other with np.add.at.
        sums: Array = np.add.reduceat(values[order], starts, axis=0) if len(starts) else values
        return cls(rows[starts], sums, shape)

    def __add__(self, other: RowGradient) -> RowGradient:
        return RowGradient.total([(self.rows, self.values), (other.rows, other.values)], self.shape)

    def __repr__(self) -> str:
        return f"<RowGradient {self.values.dtype}{self.shape}: {len(self.rows)} rows>"

    def add_to(self, total: Array) -> None:
        """Add this gradient to an array of the table's shape, in place."""
        total[self.rows] += self.values

    def dense(self) -> Array:
        """Return the gradient as an array of the table's shape."""
        dense = np.zeros(self.shape, self.values.dtype)
        dense[self.rows] = self.values
        return dense


class RowSelections:
    """What has arrived at a leaf in one pass, as long as these are rows of it; summed when all have.

    Attributes:
        parts: Row numbers, in which one may occur several times, and gradients of that many rows.
    """

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[tuple[Rows, Array]] = []


class Outer:
    """The gradient gᵀ · x of a weight that maps rows x to rows whose gradient is g.

    At a leaf such products are collected, and taken many at once: a weight that is used step by step, or node by node
    in a tree, then costs one product of matrices, not many small ones with sums of their results.

    Attributes:
        g: (n, out).
        x: (n, in).
    """

    __slots__ = ("g", "x")

    def __init__(self, g: Array, x: Array) -> None:
        self.g = g
        self.x = x

    @property
    def values(self) -> Array:
        """The product, (out, in)."""
        product: Array = self.g[0][:, None] * self.x[0] if len(self.g) == 1 else self.g.T @ self.x
        return product


class OuterSum:
    """What has arrived at a leaf in one pass, as long as these are products; see `Outer`.

    Products are taken when there are `LIMIT` rows of them, so that little more than the sum is ever held.
    """

    LIMIT = 256

    __slots__ = ("n_rows", "parts", "sum")

    def __init__(self) -> None:
        self.parts: list[Outer] = []
        self.n_rows = 0
        self.sum: Array | None = None

    def add(self, product: Outer) -> None:
        """Note a product."""
        self.parts.append(product)
        self.n_rows += len(product.g)
        if self.n_rows >= self.LIMIT:
            self.sum = self.dense()
            self.parts, self.n_rows = [], 0

    def dense(self) -> Array:
        """Return the sum of all products so far, which no one else holds."""
        if not self.parts:
            assert self.sum is not None
            return self.sum
        if len(self.parts) == 1:
            product = self.parts[0].values
        else:
            g, x = (np.concatenate([getattr(part, name) for part in self.parts]) for name in ("g", "x"))
            product = g.T @ x
        if self.sum is not None:
            product += self.sum
        return product


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
