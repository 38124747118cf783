"""Sums, products, means, extremes and statistics over axes; running sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from spago.ag._quiet import quiet
from spago.ag._rules import Unary, unary
from spago.mat import Array, ShapeError

Axis: TypeAlias = int | Sequence[int] | None
"""One axis, several, or all of them (None)."""


def axes_of(x: Array, axis: Axis, name: str) -> tuple[int, ...]:
    """Return axis as a tuple of numbers from 0.

    Raises:
        ShapeError: When x has no such axis, or one is named twice.
    """
    if axis is None:
        return tuple(range(x.ndim))
    try:
        return normalize_axis_tuple(axis, x.ndim)
    except ValueError as error:
        raise ShapeError(f"{name}: expected axes of an array of shape {x.shape}, got {axis}") from error


def axis_of(x: Array, axis: int, name: str) -> int:
    """Return axis as a number from 0.

    Raises:
        ShapeError: When x has no such axis.
    """
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{name}: expected an axis of an array of shape {x.shape}, got {axis}")
    return axis % x.ndim


def restore_axes(g: Any, axes: tuple[int, ...], *, keepdims: bool) -> Any:
    """Put axes of size 1 where a reduction took axes away."""
    return g if keepdims or not axes else np.expand_dims(g, axes)


@unary
def sum(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Unary:
    """Sum over axes, over all of them by default; 0 for no elements."""
    axes = axes_of(x, axis, "Sum")
    y: Array = np.sum(x, axis=axes, keepdims=keepdims)
    return y, lambda g: np.broadcast_to(restore_axes(g, axes, keepdims=keepdims), x.shape)


@unary
@quiet
def prod(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Unary:
    """Product over axes, over all of them by default; 1 for no elements.

    The derivative by an element is the product of the others, also where elements are 0.
    """
    axes = axes_of(x, axis, "Prod")
    rows, restore = _as_rows(x, axes)

    @quiet
    def pullback(g: Array) -> Array:
        before, after = np.ones_like(rows), np.ones_like(rows)
        np.cumprod(rows[..., :-1], -1, out=before[..., 1:])
        np.cumprod(rows[..., :0:-1], -1, out=after[..., -2::-1])
        return restore(np.reshape(g, (*rows.shape[:-1], 1)) * before * after)

    return np.prod(x, axis=axes, keepdims=keepdims), pullback


@unary
@quiet
def mean(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Unary:
    """Arithmetic mean over axes, over all of them by default; nan for no elements."""
    axes = axes_of(x, axis, "Mean")
    count = x.dtype.type(_count(x, axes))
    y: Array = np.sum(x, axis=axes, keepdims=keepdims) / count
    return y, lambda g: np.broadcast_to(restore_axes(g / count, axes, keepdims=keepdims), x.shape)


@unary
@quiet
def variance(x: Array, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Unary:
    """Variance over axes, over all of them by default: Σ (x_i - mean)² / (n - ddof), by two passes.

    Args:
        x: Any shape.
        axis: What to average over.
        ddof: 0 for the variance of a population, 1 for the estimate from a sample of it.
        keepdims: Whether the reduced axes stay, with size 1.

    Returns:
        The shape of x without the reduced axes; nan or inf where n ≤ ddof.
    """
    axes = axes_of(x, axis, "Variance")
    centred, y = _moments(x, axes, ddof)
    scale = 2 / _degrees(x, axes, ddof)

    @quiet
    def pullback(g: Array) -> Array:
        d: Array = centred * (scale * restore_axes(g, axes, keepdims=keepdims))
        return d

    return (y if keepdims else np.squeeze(y, axes)), pullback


@unary
@quiet
def std(x: Array, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Unary:
    """Standard deviation over axes, over all of them by default: the square root of `variance`.

    The derivative is 0 where the standard deviation is 0.
    """
    axes = axes_of(x, axis, "Std")
    centred, squared = _moments(x, axes, ddof)
    y: Array = np.sqrt(squared)
    count = _degrees(x, axes, ddof)

    @quiet
    def pullback(g: Array) -> Array:
        slope = np.where(y == 0, 0, 1 / (count * y))
        d: Array = centred * (slope * restore_axes(g, axes, keepdims=keepdims))
        return d

    return (y if keepdims else np.squeeze(y, axes)), pullback


@unary
@quiet
def norm(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Unary:
    """Euclidean norm over axes, over all of them by default: √(Σ x_i²). The derivative is 0 where the norm is 0."""
    axes = axes_of(x, axis, "Norm")
    y: Array = np.sqrt(np.sum(x * x, axis=axes, keepdims=True))

    @quiet
    def pullback(g: Array) -> Array:
        d: Array = x * (np.where(y == 0, 0, 1 / y) * restore_axes(g, axes, keepdims=keepdims))
        return d

    return (y if keepdims else np.squeeze(y, axes)), pullback


@unary
def max(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Unary:
    """Largest element over axes, by default over all; nan if there is one. Of equals the first has the gradient.

    Raises:
        ShapeError: When there is no element to choose from.
    """
    return _extreme(x, axis, keepdims, np.argmax, "Max")


@unary
def min(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Unary:
    """Smallest element over axes, by default over all; nan if there is one. Of equals the first has the gradient.

    Raises:
        ShapeError: When there is no element to choose from.
    """
    return _extreme(x, axis, keepdims, np.argmin, "Min")


@unary
def cumsum(x: Array, axis: int = -1) -> Unary:
    """Running sum along an axis: y_i = x_0 + … + x_i.

    Raises:
        ShapeError: When x has no such axis.
    """
    axis = axis_of(x, axis, "Cumsum")
    return np.cumsum(x, axis), lambda g: np.flip(np.cumsum(np.flip(g, axis), axis), axis)


def _count(x: Array, axes: tuple[int, ...]) -> int:
    """Return how many elements go into each element of the result."""
    return math.prod(x.shape[i] for i in axes)


def _degrees(x: Array, axes: tuple[int, ...], ddof: int) -> Any:
    """Return the divisor of a variance; 0 where there are too few elements for one."""
    n = _count(x, axes) - ddof
    return x.dtype.type(n if n > 0 else 0)


def _moments(x: Array, axes: tuple[int, ...], ddof: int) -> tuple[Array, Array]:
    """Return x minus its mean, and its variance with the reduced axes kept."""
    count = _count(x, axes)
    centred: Array = x - np.sum(x, axis=axes, keepdims=True) / x.dtype.type(count)
    squares: Array = np.sum(centred * centred, axis=axes, keepdims=True)
    return centred, squares / _degrees(x, axes, ddof)


def _extreme(x: Array, axis: Axis, keepdims: bool, arg: Callable[..., Any], name: str) -> Unary:
    """Return the elements that arg (argmax or argmin) finds over axes."""
    axes = axes_of(x, axis, name)
    if not _count(x, axes):
        raise ShapeError(f"{name}: expected at least one element over axes {axes}, got shape {x.shape}")
    rows, restore = _as_rows(x, axes)
    winners = arg(rows, axis=-1, keepdims=True)
    y: Array = np.take_along_axis(rows, winners, -1)[..., 0]

    def pullback(g: Array) -> Array:
        d = np.zeros(rows.shape, x.dtype)
        np.put_along_axis(d, winners, np.reshape(g, y.shape)[..., None], -1)
        return restore(d)

    return restore_axes(y, axes, keepdims=False) if keepdims else y, pullback


def _as_rows(x: Array, axes: tuple[int, ...]) -> tuple[Array, Callable[[Array], Array]]:
    """Return x with the given axes as one, the last, and what turns such an array into one of the shape of x."""
    last = tuple(range(x.ndim - len(axes), x.ndim))
    ordered = np.moveaxis(x, axes, last)
    rows = ordered.reshape(*ordered.shape[: x.ndim - len(axes)], _count(x, axes))
    return rows, lambda d: np.moveaxis(d.reshape(ordered.shape), last, axes)
