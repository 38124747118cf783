"""Sums, means and extremes over axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

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
def mean(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Unary:
    """Arithmetic mean over axes, over all of them by default; nan for no elements."""
    axes = axes_of(x, axis, "Mean")
    count = int(np.prod([x.shape[i] for i in axes], dtype=np.int64))
    with np.errstate(invalid="ignore"):
        y: Array = np.sum(x, axis=axes, keepdims=keepdims) / x.dtype.type(count)
    return y, lambda g: np.broadcast_to(restore_axes(g / x.dtype.type(count), axes, keepdims=keepdims), x.shape)
