"""Sums, products, quotients, powers; the larger, the smaller, and one or the other of two."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spago.ag._node import Node, Operand
from spago.ag._quiet import divide, multiply, quiet
from spago.ag._rules import Binary, Unary, elementwise, pairwise, unary
from spago.mat import Array, ShapeError


def _unchanged(g: Array) -> Array:
    """The pullback of sums: one function for all of them, for they are many, and it holds nothing."""
    return g


@pairwise
def add(a: Array, b: Array) -> Binary:
    """Element-wise sum a + b, with broadcasting."""
    return a + b, _unchanged, _unchanged


@pairwise
def sub(a: Array, b: Array) -> Binary:
    """Element-wise difference a - b, with broadcasting."""
    return a - b, _unchanged, np.negative


@pairwise
def mul(a: Array, b: Array) -> Binary:
    """Element-wise product a ⊙ b, with broadcasting."""
    return a * b, lambda g: g * b, lambda g: g * a


@pairwise
@quiet
def div(a: Array, b: Array) -> Binary:
    """Element-wise quotient a / b, with broadcasting; a / 0 is ±inf, 0 / 0 is nan."""
    y: Array = np.divide(a, b)
    return y, lambda g: divide(g, b), lambda g: divide(multiply(-g, y), b)


@elementwise
def neg(x: Array) -> Unary:
    """Element-wise -x."""
    return -x, lambda g: -g


@pairwise
@quiet
def pow(base: Array, exponent: Array) -> Binary:
    """Element-wise base to the power of exponent, with broadcasting.

    A negative base with a fractional exponent gives nan. The derivative by the base is 0 where the exponent is 0, that
    by the exponent is 0 where the base is 0.
    """
    y: Array = np.power(base, exponent)

    @quiet
    def pullback_base(g: Array) -> Array:
        slope = exponent * np.power(base, exponent - 1)
        # Where base and exponent are both 0, the power is inf and its product with the exponent nan.
        return g * np.where(np.equal(exponent, 0), 0, slope)

    @quiet
    def pullback_exponent(g: Array) -> Array:
        return g * np.where(np.equal(base, 0), 0, y * np.log(base))

    return y, pullback_base, pullback_exponent


@pairwise
def maximum(a: Array, b: Array) -> Binary:
    """Element-wise larger of a and b, with broadcasting; nan where either is. Of equals, b has the gradient."""
    from_a = np.greater(a, b)
    return np.maximum(a, b), lambda g: np.where(from_a, g, 0), lambda g: np.where(from_a, 0, g)


@pairwise
def minimum(a: Array, b: Array) -> Binary:
    """Element-wise smaller of a and b, with broadcasting; nan where either is. Of equals, b has the gradient."""
    from_a = np.less(a, b)
    return np.minimum(a, b), lambda g: np.where(from_a, g, 0), lambda g: np.where(from_a, 0, g)


@elementwise
def clip(x: Array, low: npt.ArrayLike | None = None, high: npt.ArrayLike | None = None) -> Unary:
    """Element-wise nearest number to x in the range from low to high; None leaves an end open.

    The derivative is 1 inside the range and at its ends, 0 outside.

    Args:
        x: Any shape.
        low: The lower end, a number or an array that broadcasts to the shape of x.
        high: The upper end, likewise.

    Raises:
        ShapeError: When an end does not broadcast to the shape of x.
    """
    low = np.asarray(-np.inf if low is None else low, x.dtype)
    high = np.asarray(np.inf if high is None else high, x.dtype)
    for end in (low, high):
        if not _broadcasts_to(end.shape, x.shape):
            raise ShapeError(f"Clip: expected ends that broadcast to {x.shape}, the shape of x, got {end.shape}")
    return np.clip(x, low, high), lambda g: np.where((x >= low) & (x <= high), g, 0)


def where(condition: npt.ArrayLike, a: Operand, b: Operand) -> Node:
    """Element-wise a where condition holds, b elsewhere, with broadcasting.

    Args:
        condition: Booleans, such as `x.value > 0`.
        a: What to take where the condition is true.
        b: What to take where it is false.

    Raises:
        TypeError: When the condition is not boolean.
        ShapeError: When the three shapes do not broadcast.

    Examples:
        >>> from spago import ag
        >>> x = ag.var([-2.0, 3.0])
        >>> ag.where(x > 0, x, 0.1 * x).value
        array([-0.2, 3. ], dtype=float32)
    """
    holds = np.asarray(condition)
    if holds.dtype != np.bool_:
        raise TypeError(f"Where: expected a condition of booleans, got {holds.dtype}; compare it with something")
    try:
        np.broadcast_shapes(holds.shape, np.shape(a), np.shape(b))
    except ValueError:
        shapes = f"{holds.shape}, {np.shape(a)} and {np.shape(b)}"
        raise ShapeError(f"Where: expected condition, a and b of shapes that broadcast, got {shapes}") from None
    return _where(a, b, holds)


@pairwise
def _where(a: Array, b: Array, condition: Any) -> Binary:
    y: Array = np.where(condition, a, b)
    return y, lambda g: np.where(condition, g, 0), lambda g: np.where(condition, 0, g)


@unary
def astype(x: Array, dtype: npt.DTypeLike) -> Unary:
    """The same numbers in another dtype, float32 or float64; the gradient comes back in that of x."""
    if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"Astype: expected dtype float32 or float64, got {np.dtype(dtype)}")
    with np.errstate(over="ignore"):
        y: Array = x.astype(dtype, copy=False)
    return y, lambda g: g


def _broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
