"""What the kernels of recurrent layers share: steps in runs, and products with the weights of all gates.

Small products take most of the time of a recurrent layer. They are given to OpenBLAS in the form that it is fastest in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from spago.mat._types import Array

_UNCOPIED = 10**6
"""Up to so many multiplications OpenBLAS reads matrices where they are; for more, it first copies them."""

_CUTS = (1, 2, 4, 8, 16)
"""Into how many products one may be cut, so that they are small enough."""

_TILE = 32
"""Rows that are transposed at a time: the columns of 256 rows of 1 KiB would push each other out of the cache."""


class Run(NamedTuple):
    """Consecutive steps of packed sequences, all with the same sequences.

    Attributes:
        start: The packed row of the first sequence at the first step.
        steps: How many there are.
        batch: How many sequences there are.
        previous: The packed row of the first sequence at the step before the first; None where there is none.
    """

    start: int
    steps: int
    batch: int
    previous: int | None

    @property
    def rows(self) -> slice:
        """The packed rows of the run."""
        return slice(self.start, self.start + self.steps * self.batch)

    def of(self, packed: Array) -> Array:
        """Return a view of packed rows (..., N, H), one step after the other: (steps, ..., batch, H)."""
        *lead, _, size = packed.shape
        n = len(lead)
        apart = packed[..., self.rows, :].reshape(*lead, self.steps, self.batch, size)
        return apart.transpose(n, *range(n), n + 1, n + 2)

    def before(self, outputs: Array, initial: Array) -> Array:
        """Return the states (steps, K, batch, H) before each step, from those (K, N, H) after it and the first."""
        after = self.of(outputs)
        states = np.empty(after.shape, after.dtype)
        states[1:] = after[:-1]
        first = initial if self.previous is None else outputs[:, self.previous :]
        states[0] = first[:, : self.batch]
        return states


def runs(sizes: Sequence[int], most: int | None = None) -> list[Run]:
    """Return the steps of packed sequences in runs.

    Args:
        sizes: The number of rows of each time step, descending, as in `Packing`.
        most: How many rows a run may have, if it has more than one step.

    Examples:
        >>> from spago.mat._recurrence import runs
        >>> [tuple(run) for run in runs([3, 3, 1], most=5)]
        [(0, 1, 3, None), (3, 1, 3, 0), (6, 1, 1, 3)]
    """
    found: list[Run] = []
    start, previous = 0, None
    for batch, same in groupby(sizes):
        left = len(list(same))
        longest = left if most is None else max(1, most // batch)
        while left:
            steps = min(left, longest)
            found.append(Run(start, steps, batch, previous))
            start += steps * batch
            previous = start - batch
            left -= steps
    return found


def room_for_gates(shape: tuple[int, int, int, int], dtype: np.dtype[Any], *, batch: int) -> Array:
    """Return an empty array (G, K, N, H), in which the gates of a step lie side by side where a step is one row."""
    if batch > 1:
        return np.empty(shape, dtype)
    gates, layers, rows, size = shape
    return np.empty((rows, gates, layers, size), dtype).transpose(1, 2, 0, 3)


def with_ones(x: Array) -> Array:
    """Return (N, D) with a column of ones, for products with what `with_bias` returns."""
    wide = np.empty((x.shape[0], x.shape[1] + 1), x.dtype)
    wide[:, :-1] = x
    wide[:, -1] = 1
    return wide


def with_bias(weight: Array, bias: Array) -> Array:
    """Return (G, D + 1, H), transposed weights (G, H, D) with biases (G, H) as their last rows.

    Adding the bias to the products would take a fifth of their time.
    """
    g, h, d = weight.shape
    laid = np.empty((g, d + 1, h), weight.dtype)
    _copy_columns(weight.swapaxes(1, 2), laid[:, :d])
    laid[:, d] = bias
    return laid


class HiddenToGates:
    """The products h · W_gᵀ of hidden states with the weights of G gates, for K layers side by side.

        product(left, weight, out)        with out = of(gates) for each left in lefts(hidden states)

    For one sequence of one layer that is a vector with one matrix: `np.dot` takes half the time of `np.matmul`.

    Args:
        weights: For each layer (G, H, M).
        batch: How many sequences there are at most.
    """

    def __init__(self, weights: Sequence[Array], batch: int) -> None:
        k, (g, h, m) = len(weights), weights[0].shape
        self.single = k == batch == 1
        self.cuts = 1 if self.single else _cuts(batch, m, h)
        self.product: Callable[..., Any] = np.dot if self.single else np.matmul
        if self.single:
            self.weight = weights[0].reshape(g * h, m).T
            return
        self.weight = np.empty((g, self.cuts, k, m, h // self.cuts), weights[0].dtype)
        for j, weight in enumerate(weights):
            transposed = weight.reshape(g, self.cuts, h // self.cuts, m).swapaxes(2, 3)
            _copy_columns(transposed, self.weight[:, :, j])

    def of(self, gates: Array) -> Array:
        """Return where to write the products that are to become gates (G, K, B, H)."""
        return gates.reshape(-1) if self.single else _in_pieces(gates, self.cuts)

    def lefts(self, hidden: Array) -> list[Array]:
        """Return hidden states (steps, K, B, M) as the products take them, step by step."""
        return list(hidden[:, 0, 0] if self.single else hidden)


class GatesToHidden:
    """The way back: Σ_g a_g · W_g for what arrives at G gates, for K layers side by side.

        product(left, weight, out)        with parts, out = of(hidden states) for each left in lefts(gates)
        np.add.reduce(parts, 0, out=hidden states)        where there are parts

    Args:
        weights: For each layer (G, H, M).
        batch: How many sequences there are at most.
    """

    def __init__(self, weights: Sequence[Array], batch: int) -> None:
        k, (g, h, m) = len(weights), weights[0].shape
        self.gates = g
        self.single = k == batch == 1
        self.cuts = 1 if self.single else _cuts(batch, h, m)
        self.product: Callable[..., Any] = np.dot if self.single else np.matmul
        if self.single:
            self.weight = weights[0].reshape(g * h, m)
        else:
            self.weight = np.empty((g, self.cuts, k, h, m // self.cuts), weights[0].dtype)
            for j, weight in enumerate(weights):
                self.weight[:, :, j] = weight.reshape(g, h, self.cuts, m // self.cuts).swapaxes(1, 2)

    def of(self, hidden: Array) -> tuple[Array | None, Array]:
        """Return the parts whose sum is to become hidden states (K, B, M), if there are several; and where to write."""
        if self.single:
            return None, hidden.reshape(-1)
        parts = np.empty((self.gates, *hidden.shape), hidden.dtype)
        return parts, _in_pieces(parts, self.cuts)

    def lefts(self, gates: Array) -> list[Array]:
        """Return gates (steps, G, K, B, H) as the products take them, step by step."""
        return list(gates.reshape(len(gates), -1) if self.single else gates[:, :, None])


def _copy_columns(transposed: Array, out: Array) -> None:
    """Copy an array that is transposed in memory, some columns at a time."""
    for start in range(0, out.shape[-1], _TILE):
        out[..., start : start + _TILE] = transposed[..., start : start + _TILE]


def _cuts(rows: int, inner: int, columns: int) -> int:
    """Return into how many to cut the products (rows, inner) · (inner, columns)."""
    for cuts in _CUTS:
        if columns % cuts == 0 and rows * inner * columns <= _UNCOPIED * cuts:
            return cuts
    return 1


def _in_pieces(rows: Array, cuts: int) -> Array:
    """Return a view (G, cuts, K, B, M / cuts) of rows (G, K, B, M)."""
    *lead, columns = rows.shape
    return rows.reshape(*lead, cuts, columns // cuts).transpose(0, 3, 1, 2, 4)
