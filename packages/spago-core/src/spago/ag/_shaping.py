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
def repeat(x: Array, repeats: int, axis: int = -1) -> Unary:
    """Each element several times in a row along an axis.

    Raises:
        ShapeError: When x has no such axis, or repeats is negative.

    Examples:
        >>> from spago import ag
        >>> ag.repeat(ag.var([1.0, 2.0]), 3).value
        array([1., 1., 1., 2., 2., 2.], dtype=float32)
    """
    axis = axis_of(x, axis, "Repeat")
    if repeats < 0:
        raise ShapeError(f"Repeat: expected at least 0 repeats, got {repeats}")
    groups = (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :])
    return np.repeat(x, repeats, axis), lambda g: g.reshape(groups).sum(axis + 1)


@unary
def tile(x: Array, repeats: int | Sequence[int]) -> Unary:
    """The whole array several times side by side along each axis.

    Args:
        x: Any shape.
        repeats: How often along each axis, from the last one back; more of them than x has axes make new axes.

    Raises:
        ShapeError: When a number is negative.

    Examples:
        >>> from spago import ag
        >>> ag.tile(ag.var([1.0, 2.0]), (2, 2)).value
        array([[1., 2., 1., 2.],
               [1., 2., 1., 2.]], dtype=float32)
    """
    counts = (repeats,) if isinstance(repeats, int) else tuple(repeats)
    if any(n < 0 for n in counts):
        raise ShapeError(f"Tile: expected at least 0 repeats along each axis, got {repeats}")
    axes = max(len(counts), x.ndim)
    counts = (1,) * (axes - len(counts)) + counts
    shape = (1,) * (axes - x.ndim) + x.shape
    groups = [size for pair in zip(counts, shape, strict=True) for size in pair]
    return np.tile(x, counts), lambda g: g.reshape(groups).sum(tuple(range(0, 2 * axes, 2))).reshape(x.shape)


@unary
def tril(x: Array, k: int = 0) -> Unary:
    """The lower triangle of the last two axes, 0 above the k-th diagonal.

    Raises:
        ShapeError: When x has fewer than two axes.
    """
    _check_matrices(x, "Tril")
    return np.tril(x, k), lambda g: np.tril(g, k)


@unary
def triu(x: Array, k: int = 0) -> Unary:
    """The upper triangle of the last two axes, 0 below the k-th diagonal.

    Raises:
        ShapeError: When x has fewer than two axes.
    """
    _check_matrices(x, "Triu")
    return np.triu(x, k), lambda g: np.triu(g, k)


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


def _check_matrices(x: Array, name: str) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected at least two axes, got shape {x.shape}")
