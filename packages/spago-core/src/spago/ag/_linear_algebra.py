"""Matrix products, and what is built on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spago.ag._arithmetic import add
from spago.ag._gradients import Outer, OuterSum, sum_to_shape
from spago.ag._node import Node, Operand
from spago.ag._rules import Binary, Joint, binary, operator
from spago.ag._shaping import swapaxes
from spago.mat import Array, ShapeError

_SMALL = 1 << 10
"""Elements of a weight up to which a sum of two gradients costs less than to collect them."""


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
            return _rows(a).T @ g.reshape(-1)
        if b.ndim == 2:
            # One product over all batches, instead of one a batch and their sum.
            return _rows(a).T @ _rows(g)
        return a.swapaxes(-1, -2) @ g

    return np.matmul(a, b), pullback_a, pullback_b


def matmul_t(a: Operand, b: Operand) -> Node:
    """Matrix product aᵀ · b, where aᵀ has the last two axes of a exchanged.

    Args:
        a: Shape (..., D, N).
        b: Shape (..., D, M) or (D,).

    Raises:
        ShapeError: When a is no matrix, or the inner sizes differ.
    """
    if len(np.shape(a)) < 2 or not np.shape(b) or np.shape(a)[-2] != np.shape(b)[-2 if len(np.shape(b)) > 1 else 0]:
        raise ShapeError(f"MatmulT: expected a (..., D, N) and b (..., D, M) or (D,), got {np.shape(a)}, {np.shape(b)}")
    return matmul(swapaxes(a, -1, -2), b)


@binary
def dot(a: Array, b: Array) -> Binary:
    """Sum of the element-wise product, over all axes: Σ a ⊙ b.

    Raises:
        ShapeError: When the shapes differ.
    """
    if np.shape(a) != np.shape(b):
        raise ShapeError(f"Dot: expected two equal shapes, got {np.shape(a)} and {np.shape(b)}; see also matmul")
    y: Array = np.dot(np.ravel(a), np.ravel(b))
    return y, lambda g: g * b, lambda g: g * a


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
    if weight.ndim != 2:
        raise ShapeError(f"Linear: expected a weight of shape (out, in), got {weight.shape}")
    if not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"Linear: expected x of shape (..., {weight.shape[1]}) for weight {weight.shape}, got {x.shape}; "
            "features are the last axis"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"Linear: expected bias of shape {weight.shape[:1]}, got {bias.shape}")
    return _linear_vector(x, weight, bias) if x.ndim == 1 else _linear_rows(x, weight, bias)


def _linear_vector(x: Array, weight: Array, bias: Array | None) -> Joint:
    """Affine map of one vector, where each call of NumPy counts."""
    y = weight @ x
    if bias is not None:
        y += bias

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        gradients = (
            g @ weight if needs[0] else None,
            _of_weight(g[None], x[None]) if needs[1] else None,
            None if bias is None else g,
        )
        return gradients[: len(needs)]

    return y, pullback


def _linear_rows(x: Array, weight: Array, bias: Array | None) -> Joint:
    rows = _rows(x)
    y = _times_transposed(rows, weight)
    if bias is not None:
        y += bias

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        g_rows = _rows(g)
        gradients = (
            (g_rows @ weight).reshape(x.shape) if needs[0] else None,
            _of_weight(g_rows, rows) if needs[1] else None,
            None if bias is None or not needs[2] else g_rows.sum(axis=0),
        )
        return gradients[: len(needs)]

    return y.reshape(*x.shape[:-1], weight.shape[0]), pullback


def _of_weight(g: Array, x: Array) -> Any:
    """Return the gradient gᵀ · x of a weight: as a product to collect, where that is cheaper than many sums."""
    if len(g) < OuterSum.LIMIT // 4 and g.shape[1] * x.shape[1] > _SMALL:
        return Outer(g, x)
    return g.T * x if len(g) == 1 else g.T @ x


def affine(b: Operand, w1: Operand, x1: Operand, *more: Operand | None) -> Node:
    """Affine map of one input or several: b + w1 · x1 + w2 · x2, and so on.

    Here inputs are columns, as in equations; `linear` is for rows, as in data.

    Args:
        b: The shape of the result, or what broadcasts to it.
        w1: Shape (M, D).
        x1: Shape (D,), or (D, N) for N inputs.
        more: w2, x2, and so on, in pairs. A pair whose input is None is left out.

    Returns:
        Shape (M,) or (M, N).

    Raises:
        ShapeError: When the sizes do not agree.
        TypeError: When an input is missing.
    """
    if len(more) % 2:
        raise TypeError(f"affine: expected weights and inputs in pairs, got {len(more)} operands after the first pair")
    pairs = [(w, x) for w, x in zip(more[::2], more[1::2], strict=True) if x is not None]
    y: Node = _affine(b, w1, x1, *(operand for pair in pairs for operand in pair))
    return y


@operator
def _affine(b: Array, *pairs: Array) -> Joint:
    ws, xs = pairs[::2], pairs[1::2]
    for w, x in zip(ws, xs, strict=True):
        if w.ndim != 2 or x.ndim not in (1, 2) or w.shape[1] != x.shape[0]:
            raise ShapeError(f"Affine: expected w (M, D) and x (D,) or (D, N), got {w.shape} and {x.shape}")
    products = [w @ x for w, x in zip(ws, xs, strict=True)]
    shape = products[0].shape
    shapes = [b.shape, *(p.shape for p in products)]
    if any(p.shape != shape for p in products) or _broadcast(b.shape, shape) != shape:
        raise ShapeError(f"Affine: expected b and all w · x of one shape, got {shapes}")
    y: Array = products[0] + b
    for wx in products[1:]:
        y = y + wx

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        gradients: list[Any] = [sum_to_shape(g, b.shape) if needs[0] else None]
        for i, (w, x) in enumerate(zip(ws, xs, strict=True)):
            gradients.append((np.multiply.outer(g, x) if x.ndim == 1 else g @ x.T) if needs[2 * i + 1] else None)
            gradients.append(w.T @ g if needs[2 * i + 2] else None)
        return tuple(gradients)

    return y, pullback


@operator
def _bilinear(w: Array, x1: Array, x2: Array) -> Joint:
    if w.ndim != 2 or not x1.ndim or x1.shape[:-1] != x2.shape[:-1] or (x1.shape[-1], x2.shape[-1]) != w.shape:
        shapes = f"{w.shape}, {x1.shape} and {x2.shape}"
        raise ShapeError(f"Bilinear: expected w (D1, D2), x1 (..., D1) and x2 (..., D2), got {shapes}")
    rows: Array = x1 @ w

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        scale = np.expand_dims(g, -1)
        scaled = scale * x2
        return (
            _rows(x1).T @ _rows(scaled) if needs[0] else None,
            scaled @ w.T if needs[1] else None,
            scale * rows if needs[2] else None,
        )

    return np.einsum("...i,...i->...", rows, x2), pullback


def bilinear(w: Operand, x1: Operand, x2: Operand) -> Node:
    """Bilinear form x1ᵀ · w · x2.

    Args:
        w: Shape (D1, D2).
        x1: Shape (..., D1).
        x2: Shape (..., D2).

    Returns:
        Shape (...).

    Raises:
        ShapeError: When the sizes do not agree.
    """
    y: Node = _bilinear(w, x1, x2)
    return y


def biaffine(w: Operand, u: Operand, v: Operand, b: Operand, x1: Operand, x2: Operand) -> Node:  # noqa: PLR0917
    """Bilinear form with linear terms and a constant: x1ᵀ · w · x2 + uᵀ · x1 + vᵀ · x2 + b.

    Args:
        w: Shape (D1, D2).
        u: Shape (D1,).
        v: Shape (D2,).
        b: Shape ().
        x1: Shape (..., D1).
        x2: Shape (..., D2).

    Returns:
        Shape (...).

    Raises:
        ShapeError: When the sizes do not agree.
    """
    return add(add(add(bilinear(w, x1, x2), matmul(x1, u)), matmul(x2, v)), b)


def _times_transposed(rows: Array, weight: Array) -> Array:
    """Return rows · weightᵀ."""
    if 1 < len(rows) <= _FEW and weight.size >= _LARGE:
        # A large matrix on the left is packed by BLAS in half the time.
        y = np.empty((len(rows), len(weight)), np.result_type(rows, weight))
        y[...] = (weight @ rows.T).T
        return y
    product: Array = rows @ weight.T
    return product


_FEW, _LARGE = 48, 1 << 16
"""With so few rows, and a matrix of so many elements, the large matrix goes first."""


def _rows(x: Array) -> Array:
    """Return all axes but the last as one; -1 would not do for arrays without elements."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None
