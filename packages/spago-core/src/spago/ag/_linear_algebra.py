"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from spago.ag._rules import Binary, Joint, binary, operator
from spago.mat import Array, ShapeError


@binary
def matmul(a: Array, b: Array) -> Binary:
    """Matrix product a · b over the last two axes; axes before them are batch and broadcast.

    As in NumPy, an operand of shape (D,) is a row on the left and a column on the right.

    Args:
        a: Shape (..., N, D) or (D,).
        b: Shape (..., D, M) or (D,).

    Returns:
        Shape (..., N, M), without the axis of an operand that is a vector.

    Raises:
        ShapeError: When the inner sizes differ, and for operands of shape ().
    """
    if not np.ndim(a) or not np.ndim(b):
        raise ShapeError(f"Matmul: expected arrays of at least one axis, got {np.shape(a)} and {np.shape(b)}; use *")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ShapeError(f"Matmul: expected inner sizes that agree, got {a.shape} and {b.shape}")

    def pullback_a(g: Array) -> Array:
        if b.ndim == 1:
            return np.multiply.outer(g, b) if a.ndim > 1 else g * b
        if a.ndim == 1:
            return g @ b.swapaxes(-1, -2) if b.ndim == 2 else (b @ g[..., None])[..., 0]
        return g @ b.swapaxes(-1, -2)

    def pullback_b(g: Array) -> Array:
        if a.ndim == 1:
            return np.multiply.outer(a, g) if b.ndim == 2 else g * a if b.ndim == 1 else a[:, None] * g[..., None, :]
        if b.ndim == 1:
            return a.reshape(-1, a.shape[-1]).T @ g.reshape(-1)
        if b.ndim == 2:
            # One product over all batches, instead of one a batch and their sum.
            return a.reshape(-1, a.shape[-1]).T @ g.reshape(-1, g.shape[-1])
        return a.swapaxes(-1, -2) @ g

    return np.matmul(a, b), pullback_a, pullback_b


@operator
def linear(x: Array, weight: Array, bias: Array | None = None) -> Joint:
    """Affine map of the last axis: y = x · weightᵀ + bias.

    Args:
        x: Shape (..., in).
        weight: Shape (out, in).
        bias: Shape (out,), or None.

    Returns:
        Shape (..., out).

    Raises:
        ShapeError: When the sizes do not agree.
    """
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"Linear: expected x (..., in) and weight (out, in), got {x.shape} and {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"Linear: expected bias of shape {weight.shape[:1]}, got {bias.shape}")
    rows = x.reshape(-1, x.shape[-1])
    y: Array = rows @ weight.T
    if bias is not None:
        y += bias

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        g_rows = g.reshape(-1, g.shape[-1])
        gradients = (
            (g_rows @ weight).reshape(x.shape) if needs[0] else None,
            g_rows.T @ rows if needs[1] else None,
        )
        return gradients if bias is None else (*gradients, g_rows.sum(axis=0) if needs[2] else None)

    return y.reshape(*x.shape[:-1], weight.shape[0]), pullback
