"""Shapes and the order of axes: the same elements, arranged anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spago.ag._gradients import sum_to_shape
from spago.ag._reductions import Axis, axes_of, axis_of
from spago.ag._rules import Unary, unary
from spago.mat import Array, ShapeError


@unary
def reshape(x: Array, shape: int | Sequence[int]) -> Unary:
    """The same elements in row-major order in another shape; one size may be -1.

    Raises:
        ShapeError: When the sizes do not give the number of elements of x.
    """
    try:
        y = x.reshape(shape)
    except ValueError as error:
        raise ShapeError(f"Reshape: expected a shape of {x.size} elements for {x.shape}, got {shape}") from error
    return y, lambda g: g.reshape(x.shape)


@unary
def flatten(x: Array) -> Unary:
    """All elements in row-major order, in one axis."""
    return x.reshape(-1), lambda g: g.reshape(x.shape)


@unary
def transpose(x: Array, axes: Sequence[int] | None = None) -> Unary:
    """The axes in another order, reversed by default.

    Raises:
        ShapeError: When axes are not those of x.
    """
    if axes is None:
        return x.T, np.transpose
    try:
        y = x.transpose(tuple(axes))
    except ValueError as error:
        raise ShapeError(f"Transpose: expected the axes of {x.shape} in some order, got {tuple(axes)}") from error
    back = np.argsort([axis % x.ndim for axis in axes])
    return y, lambda g: g.transpose(back)


@unary
def swapaxes(x: Array, axis1: int, axis2: int) -> Unary:
    """Two axes exchanged.

    Raises:
        ShapeError: When x has no such axis.
    """
    i, j = axis_of(x, axis1, "Swapaxes"), axis_of(x, axis2, "Swapaxes")
    return x.swapaxes(i, j), lambda g: g.swapaxes(i, j)


@unary
def expand_dims(x: Array, axis: int | Sequence[int]) -> Unary:
    """New axes of size 1 at the given places of the result.

    Raises:
        ShapeError: When the result has no such axis, or one is named twice.
    """
    try:
        y: Array = np.expand_dims(x, axis if isinstance(axis, int) else tuple(axis))
    except ValueError as error:
        raise ShapeError(f"ExpandDims: expected new axes for an array of shape {x.shape}, got {axis}") from error
    return y, lambda g: g.reshape(x.shape)


@unary
def squeeze(x: Array, axis: Axis = None) -> Unary:
    """Without the given axes, which must have size 1; by default without all such axes.

    Raises:
        ShapeError: When an axis has another size, or does not exist.
    """
    axes = axes_of(x, axis, "Squeeze")
    if axis is not None and any(x.shape[i] != 1 for i in axes):
        raise ShapeError(f"Squeeze: expected axes of size 1, got {axis} of shape {x.shape}")
    y: Array = np.squeeze(x, tuple(i for i in axes if x.shape[i] == 1))
    return y, lambda g: g.reshape(x.shape)


@unary
def broadcast_to(x: Array, shape: Sequence[int]) -> Unary:
    """The same elements repeated along new axes and along those of size 1, without a copy.

    Raises:
        ShapeError: When x does not broadcast to the shape.
    """
    try:
        y: Array = np.broadcast_to(x, tuple(shape))
    except ValueError as error:
        raise ShapeError(f"BroadcastTo: expected a shape that {x.shape} broadcasts to, got {tuple(shape)}") from error
    return y, lambda g: sum_to_shape(g, x.shape)


@unary
def roll(x: Array, shift: int, axis: int = -1) -> Unary:
    """Elements shifted along an axis towards higher indices; what leaves at the end comes back at the start.

    Examples:
        >>> from spago import ag
        >>> ag.roll(ag.var([1.0, 2.0, 3.0, 4.0]), 1).value
        array([4., 1., 2., 3.], dtype=float32)
    """
    axis = axis_of(x, axis, "Roll")
    return np.roll(x, shift, axis), lambda g: np.roll(g, -shift, axis)


@unary
def flip(x: Array, axis: Axis = None) -> Unary:
    """Elements in reversed order along axes, along all of them by default."""
    axes = axes_of(x, axis, "Flip")
    return np.flip(x, axes), lambda g: np.flip(g, axes)


@unary
def pad(x: Array, widths: int | Sequence[int] | Sequence[Sequence[int]], value: float = 0.0) -> Unary:
    """The array x with a border of a fixed value.

    Args:
        x: Any shape.
        widths: How many elements to put before and after, as in `numpy.pad`: one number for all; `(before, after)` for
            all axes; or one such pair an axis.
        value: What the border is filled with.

    Raises:
        ShapeError: When widths do not fit the axes of x, or are negative.
    """
    try:
        pairs = np.broadcast_to(np.asarray(widths), (x.ndim, 2)).tolist()
        y: Array = np.pad(x, pairs, constant_values=value)
    except (ValueError, TypeError) as error:
        raise ShapeError(
            f"Pad: expected widths of at least 0, a pair (before, after) for each axis of {x.shape}, got {widths}"
        ) from error
    inner = tuple(slice(before, before + n) for (before, _), n in zip(pairs, x.shape, strict=True))
    return y, lambda g: g[inner]
