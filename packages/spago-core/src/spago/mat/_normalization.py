"""Rows brought to one scale, and the gradient of that: what layer, root-mean-square and length normalization share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spago.mat._errors import ShapeError
from spago.mat._types import Array

_PIECE = 1 << 15
"""Elements of the rows that are done at a time: they and two arrays of their size fit the second-level cache."""


@dataclass(frozen=True, slots=True)
class RowScaling:
    """Which normalization is meant.

        d = x - μ  (centred)  or  x
        s² = Σ d² / D  (averaged)  or  Σ d²
        x̂ = d / √(s² + eps)  or  d / (s + eps)  (eps_outside)

    Attributes:
        eps: Keeps the divisor from 0.
        centred: Whether the mean μ of the row is taken off first.
        averaged: Whether the squares are averaged, else summed.
        eps_outside: Whether eps is added to the root, else under it.
    """

    eps: float
    centred: bool = True
    averaged: bool = True
    eps_outside: bool = False


@dataclass(frozen=True, slots=True)
class RowScales:
    """What `scale_rows` leaves for the way back, one number a row, shape (N, 1).

    Attributes:
        mean: μ, or None where rows are not centred.
        scale: x̂ / d.
        slope: What x̂ Σ g x̂ is multiplied by in the gradient.
    """

    mean: Array | None
    scale: Array
    slope: Array


@np.errstate(all="ignore")
def scale_rows(x: Array, weight: Array | None, bias: Array | None, kind: RowScaling) -> tuple[Array, RowScales]:
    """Normalized rows x̂ ⊙ weight + bias; see `RowScaling`.

    Two passes, the mean first, as in `layer_statistics`; a piece of rows at a time, so that each is read from memory
    once. Sums are those of BLAS: their relative error is at most (4 + D/8) eps.

    Args:
        x: Shape (N, D).
        weight: Shape (D,), or None for 1.
        bias: Shape (D,), or None for 0.
        kind: The normalization.

    Returns:
        Shape (N, D), in the dtype that the arrays promote to; and what `scale_rows_backward` needs.

    Raises:
        ShapeError: Rows have no elements, D = 0.
    """
    (n, size), dtype = x.shape, _dtype(x, weight, bias)
    if not size:
        raise ShapeError(f"scale_rows: expected rows of at least one element, got shape {x.shape}")
    count = size if kind.averaged else 1
    y = np.empty((n, size), dtype)
    mean = np.empty((n, 1), dtype) if kind.centred else None
    scale, slope = np.empty((n, 1), dtype), np.empty((n, 1), dtype)
    averager = np.full(size, 1 / size, dtype)
    for rows in _pieces(n, size):
        d, out = x[rows], y[rows]
        if mean is not None:
            np.matmul(d, averager, out=mean[rows, 0])
            d = np.subtract(d, mean[rows], out=out)
        square = np.vecdot(d, d)[:, None].astype(dtype, copy=False)
        square /= count
        if kind.eps_outside:
            root = np.sqrt(square)
            r = 1 / (root + kind.eps)
            # The derivative of the root at 0 counts as 0.
            slope[rows] = np.where(root > 0, 1 / (count * root), 0)
        else:
            r = 1 / np.sqrt(square + kind.eps)
            slope[rows] = r / count
        scale[rows] = r
        np.multiply(d, r, out=out)
        if weight is not None:
            out *= weight
        if bias is not None:
            out += bias
    return y, RowScales(mean, scale, slope)


@np.errstate(all="ignore")
def scale_rows_backward(
    g: Array, x: Array, weight: Array | None, scales: RowScales, needs: tuple[bool, bool, bool] = (True, True, True)
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of what `scale_rows` was given.

        g_x = scale (h - mean(h)) - slope x̂ Σ h x̂,  h = g ⊙ weight    (without mean(h) where rows are not centred)
        g_weight = Σ_n g ⊙ x̂,  g_bias = Σ_n g

    Args:
        g: The gradient that arrives, shape (N, D).
        x: As given to `scale_rows`.
        weight: As given to `scale_rows`.
        scales: What `scale_rows` returned.
        needs: Which of the three gradients are asked for.

    Returns:
        Those of x, (N, D), weight and bias, (D,); None for what is not asked for.
    """
    (n, size), dtype = x.shape, scales.scale.dtype
    g_x = np.empty((n, size), dtype) if needs[0] else None
    g_weight = np.zeros(size, dtype) if needs[1] and weight is not None else None
    g_bias = np.zeros(size, dtype) if needs[2] else None
    factor = np.ones(size, dtype) if weight is None else weight.astype(dtype, copy=False)
    averager = factor / size
    pieces = _pieces(n, size)
    normal, product = (np.empty((pieces[0].stop if pieces else 0, size), dtype) for _ in range(2))
    for rows in pieces:
        h = g[rows]
        ones = np.ones(len(h), dtype)
        if g_bias is not None:
            g_bias += ones @ h
        if g_x is None and g_weight is None:
            continue
        d, scale = x[rows], scales.scale[rows]
        x_hat, p = normal[: len(h)], product[: len(h)]
        if scales.mean is not None:
            d = np.subtract(d, scales.mean[rows], out=x_hat)
        np.multiply(d, scale, out=x_hat)
        np.multiply(h, x_hat, out=p)
        if g_weight is not None:
            g_weight += ones @ p
        if g_x is not None:
            inner = (p @ factor)[:, None]
            out = g_x[rows]
            if scales.mean is not None:
                mean = (h @ averager)[:, None]
                h = h if weight is None else np.multiply(h, factor, out=out)
                h = np.subtract(h, mean, out=out)
            elif weight is not None:
                h = np.multiply(h, factor, out=out)
            np.multiply(h, scale, out=out)
            inner *= scales.slope[rows]
            x_hat *= inner
            out -= x_hat
    return g_x, g_weight, g_bias


def _pieces(n: int, size: int) -> list[slice]:
    step = max(1, _PIECE // size)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _dtype(*arrays: Array | None) -> np.dtype[np.floating]:
    dtype: np.dtype[np.floating] = np.result_type(*(a for a in arrays if a is not None))
    return dtype
