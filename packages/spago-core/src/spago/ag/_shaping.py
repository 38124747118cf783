"""Shapes, order of axes, selections, joining and splitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spago.ag._gradients import Scatter
from spago.ag._node import Node, Operand
from spago.ag._rules import Joint, Unary, operator, unary
from spago.mat import Array, ShapeError


@unary
def reshape(x: Array, shape: Sequence[int]) -> Unary:
    """The same elements in row-major order in another shape; one size may be -1."""
    try:
        y = x.reshape(tuple(shape))
    except ValueError as error:
        raise ShapeError(f"Reshape: expected a shape of {x.size} elements for {x.shape}, got {tuple(shape)}") from error
    return y, lambda g: g.reshape(x.shape)


@unary
def transpose(x: Array, axes: Sequence[int] | None = None) -> Unary:
    """The axes in another order, reversed by default."""
    if axes is None:
        return x.T, lambda g: np.transpose(g)
    try:
        y = x.transpose(tuple(axes))
    except ValueError as error:
        raise ShapeError(f"Transpose: expected the axes of {x.shape} in some order, got {tuple(axes)}") from error
    back = np.argsort([axis % x.ndim for axis in axes])
    return y, lambda g: g.transpose(back)


@unary
def getitem(x: Array, index: Any) -> Unary:
    """The elements that a NumPy index selects: numbers, slices, `...`, None, and arrays of integers or booleans.

    What is selected twice receives both gradients.
    """
    try:
        y: Array = x[index]
    except (IndexError, TypeError) as error:
        raise IndexError(f"Getitem: {error}; the shape is {x.shape}") from error
    repeats = any(isinstance(i, (list, np.ndarray)) for i in (index if isinstance(index, tuple) else (index,)))
    return y, lambda g: Scatter(index, g, repeats=repeats)


@operator
def _concat(*xs: Array, axis: int) -> Joint:
    try:
        y: Array = np.concatenate(xs, axis=axis)
    except ValueError as error:
        shapes = [x.shape for x in xs]
        raise ShapeError(f"Concat: expected shapes that agree except along axis {axis}, got {shapes}") from error
    ends = np.cumsum([x.shape[axis] for x in xs])[:-1]
    return y, lambda g, needs: tuple(np.split(g, ends, axis=axis))


def concat(xs: Sequence[Operand], axis: int = -1) -> Node:
    """Join arrays along an axis that exists, the last one by default.

    Raises:
        ShapeError: When xs is empty, or shapes differ elsewhere than along axis.
    """
    if not xs:
        raise ShapeError("Concat: expected at least one array, got none")
    result: Node = _concat(*xs, axis=axis)
    return result
