"""Joining arrays, and taking one apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np

from spago.ag._node import JointPullback, Node, Operand
from spago.ag._reductions import axis_of
from spago.ag._rules import Joint, operator
from spago.ag._shaping import reshape
from spago.mat import Array, ShapeError

JointMany: TypeAlias = tuple[tuple[Array, ...], JointPullback]


def concat(xs: Sequence[Operand], axis: int = -1) -> Node:
    """Join arrays along an axis that exists, the last one by default.

    Raises:
        ShapeError: When xs is empty, or shapes differ elsewhere than along axis.

    Examples:
        >>> from spago import ag
        >>> ag.concat([ag.var([1.0, 2.0]), ag.var([3.0])]).value
        array([1., 2., 3.], dtype=float32)
    """
    if not len(xs):
        raise ShapeError("Concat: expected at least one array, got none")
    joined: Node = _concat(*xs, axis=axis)
    return joined


@operator
def _concat(*xs: Array, axis: int) -> Joint:
    try:
        y: Array = np.concatenate(xs, axis=axis)
    except ValueError as error:
        shapes = [x.shape for x in xs]
        raise ShapeError(f"Concat: expected shapes that agree except along axis {axis}, got {shapes}") from error
    sizes = [x.shape[axis] for x in xs]
    return y, lambda g, needs: _cut(g, sizes, axis % g.ndim)


def stack(xs: Sequence[Operand], axis: int = 0) -> Node:
    """Join arrays of one shape along a new axis, the first one by default.

    Raises:
        ShapeError: When xs is empty, shapes differ, or the result has no such axis.

    Examples:
        >>> from spago import ag
        >>> ag.stack([ag.var([1.0, 2.0]), ag.var([3.0, 4.0])]).value
        array([[1., 2.],
               [3., 4.]], dtype=float32)
    """
    if not len(xs):
        raise ShapeError("Stack: expected at least one array, got none")
    stacked: Node = _stack(*xs, axis=axis)
    return stacked


@operator
def _stack(*xs: Array, axis: int) -> Joint:
    try:
        y: Array = np.stack(xs, axis=axis)
    except ValueError as error:
        shapes = [x.shape for x in xs]
        raise ShapeError(f"Stack: expected equal shapes and a new axis {axis}, got {shapes}") from error
    return y, lambda g, needs: tuple(np.moveaxis(g, axis, 0))


def append_rows(x: Operand, *rows: Operand) -> Node:
    """Put more rows below a matrix.

    Args:
        x: Shape (N, D).
        rows: Any number of arrays of D elements each, in any shape.

    Returns:
        Shape (N + number of rows, D).

    Raises:
        ShapeError: When x is no matrix, or a row has not D elements.
    """
    shape = np.shape(x)
    if len(shape) != 2 or any(np.size(row) != shape[1] for row in rows):
        shapes = [np.shape(row) for row in rows]
        raise ShapeError(f"AppendRows: expected a matrix (N, D) and rows of D elements, got {shape} and {shapes}")
    return concat([x, *(reshape(row, (1, shape[1])) for row in rows)], axis=0)


def split(x: Operand, parts: int | Sequence[int], axis: int = -1) -> tuple[Node, ...]:
    """Cut an array into consecutive parts along an axis, the last one by default.

    Args:
        x: Any shape with at least one axis.
        parts: The number of equal parts, or the size of each part.
        axis: The axis that is cut.

    Returns:
        The parts, in order.

    Raises:
        ShapeError: When the axis cannot be cut so.

    Examples:
        >>> from spago import ag
        >>> left, right = ag.split(ag.var([1.0, 2.0, 3.0, 4.0]), 2)
        >>> right.value
        array([3., 4.], dtype=float32)
    """
    cut: tuple[Node, ...] = _split(x, parts=parts, axis=axis)
    return cut


@operator
def _split(x: Array, parts: int | Sequence[int], axis: int) -> JointMany:
    axis = axis_of(x, axis, "Split")
    size = x.shape[axis]
    sizes = [size // parts] * parts if isinstance(parts, int) and parts > 0 else parts
    if isinstance(sizes, int) or not len(sizes) or min(sizes) < 0 or sum(sizes) != size:
        raise ShapeError(f"Split: expected parts that make up the {size} of axis {axis} of {x.shape}, got {parts}")

    def pullback(g: tuple[Array | None, ...], needs: tuple[bool, ...]) -> tuple[Array]:
        return (np.concatenate([np.zeros_like(y) if d is None else d for d, y in zip(g, ys, strict=True)], axis),)

    ys = _cut(x, sizes, axis)
    return ys, pullback


def _cut(x: Array, sizes: Sequence[int], axis: int) -> tuple[Array, ...]:
    """Return consecutive parts of these sizes along an axis; five take a fifth of the time of `np.split`."""
    before = (slice(None),) * axis
    ends = accumulate(sizes)
    return tuple([x[*before, end - size : end] for size, end in zip(sizes, ends, strict=True)])


def unstack(x: Operand, axis: int = 0) -> tuple[Node, ...]:
    """Take an array apart along an axis: its rows by default, its columns for axis 1, its elements for a vector.

    Raises:
        ShapeError: When x has no such axis.
    """
    parts: tuple[Node, ...] = _unstack(x, axis=axis)
    return parts


@operator
def _unstack(x: Array, axis: int) -> JointMany:
    axis = axis_of(x, axis, "Unstack")
    ys = tuple(np.moveaxis(x, axis, 0))

    def pullback(g: tuple[Any, ...], needs: tuple[bool, ...]) -> tuple[Array]:
        return (np.stack([np.zeros_like(y) if d is None else d for d, y in zip(g, ys, strict=True)], axis),)

    return ys, pullback
