"""Selections: by NumPy's indexing, by row numbers, by position along an axis, by size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spago.ag._gradients import Scatter
from spago.ag._node import Node, Operand
from spago.ag._reductions import axis_of
from spago.ag._rules import Unary, unary
from spago.mat import Array, ShapeError


@unary
def getitem(x: Array, index: Any) -> Unary:
    """The elements that a NumPy index selects: numbers, slices, `...`, None, and arrays of integers or booleans.

    What is selected twice receives both gradients. Users write `x[index]`.

    Raises:
        IndexError: When the index does not fit the shape.

    Examples:
        >>> from spago import ag
        >>> x = ag.var([1.0, 2.0, 3.0], requires_grad=True)
        >>> x[[0, 2, 2]].backward()
        >>> x.grad
        array([1., 0., 2.], dtype=float32)
    """
    try:
        y: Array = x[index]
    except (IndexError, TypeError, ValueError) as error:
        raise IndexError(f"Getitem: {error}; the shape is {x.shape}") from error
    return y, lambda g: Scatter(index, g, repeats=_may_repeat(index))


@unary
def take(x: Array, indices: npt.ArrayLike, axis: int = 0) -> Unary:
    """Look up rows: the slices of x at the given positions along an axis, the first one by default.

    The gradient is a `Scatter`: it has the size of the result, not that of x.

    Args:
        x: Shape (V, ...) for axis 0.
        indices: Whole numbers in any shape (...), from -V to V - 1.
        axis: The axis that positions count along.

    Returns:
        The shape of x with that of indices in place of the axis: (..., ...) for axis 0.

    Raises:
        TypeError: When indices are no whole numbers.
        IndexError: When there is no such position.
        ShapeError: When x has no such axis.
    """
    axis = axis_of(x, axis, "Take")
    where = _positions(indices, "Take")
    index = (slice(None),) * axis + (where,)
    try:
        y: Array = x[index]
    except IndexError as error:
        raise IndexError(f"Take: expected positions along axis {axis} of shape {x.shape}: {error}") from error
    return y, lambda g: Scatter(index, g, repeats=True)


@unary
def gather(x: Array, indices: npt.ArrayLike, axis: int = -1) -> Unary:
    """Take from each row along an axis the elements at its own positions, as `numpy.take_along_axis` does.

    Args:
        x: Shape (..., D) for axis -1.
        indices: Whole numbers, shape (..., N), from -D to D - 1; sizes other than that along the axis are those of x.
        axis: The axis that positions count along.

    Returns:
        Shape of indices.

    Raises:
        TypeError: When indices are no whole numbers.
        IndexError: When there is no such position.
        ShapeError: When the shapes do not fit.

    Examples:
        >>> from spago import ag
        >>> scores = ag.var([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
        >>> ag.gather(scores, [[1], [0]]).value
        array([[0.7],
               [0.5]], dtype=float32)
    """
    axis = axis_of(x, axis, "Gather")
    where = _positions(indices, "Gather")
    expected = x.shape[:axis] + where.shape[axis : axis + 1] + x.shape[axis + 1 :]
    if where.shape != expected or where.ndim != x.ndim:
        raise ShapeError(
            f"Gather: expected indices of shape {x.shape}, with any size along axis {axis}, got {where.shape}"
        )
    index: list[Any] = list(np.indices(where.shape, sparse=True))
    index[axis] = where
    try:
        y: Array = x[tuple(index)]
    except IndexError as error:
        raise IndexError(f"Gather: expected positions along axis {axis} of shape {x.shape}: {error}") from error
    return y, lambda g: Scatter(tuple(index), g, repeats=True)


@unary
def sort(x: Array, axis: int = -1) -> Unary:
    """Elements in ascending order along an axis; nan comes last. Of equals, the first stays first.

    Raises:
        ShapeError: When x has no such axis.
    """
    axis = axis_of(x, axis, "Sort")
    order = np.argsort(x, axis, kind="stable")

    def pullback(g: Array) -> Array:
        d = np.empty_like(g)
        np.put_along_axis(d, order, g, axis)
        return d

    return np.take_along_axis(x, order, axis), pullback


def topk(x: Operand, k: int, axis: int = -1) -> tuple[Node, npt.NDArray[np.intp]]:
    """The k largest elements along an axis, the largest first, and where they are; nan counts as the smallest.

    Args:
        x: Shape (..., D) for axis -1.
        k: How many, from 0 to D.
        axis: The axis to choose along.

    Returns:
        Elements and positions, both of shape (..., k). Of equals, the first comes first.

    Raises:
        ShapeError: When x has no such axis, or fewer than k elements along it.

    Examples:
        >>> from spago import ag
        >>> scores, words = ag.topk(ag.var([0.1, 0.7, 0.2]), 2)
        >>> scores.value, words
        (array([0.7, 0.2], dtype=float32), array([1, 2]))
    """
    values = np.asarray(x)
    axis = axis_of(values, axis, "Topk")
    if not 0 <= k <= values.shape[axis]:
        raise ShapeError(f"Topk: expected k from 0 to {values.shape[axis]} for axis {axis} of {values.shape}, got {k}")
    order = np.argsort(-values, axis, kind="stable")
    positions = np.take(order, range(k), axis)
    return gather(x, positions, axis), positions


def _positions(indices: npt.ArrayLike, name: str) -> npt.NDArray[np.integer[Any]]:
    """Return indices as an array of whole numbers.

    Raises:
        TypeError: When they are anything else.
    """
    positions = np.asarray(indices)
    if not positions.size:
        return positions.astype(np.intp)
    if positions.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected indices that are whole numbers, got {positions.dtype}")
    return positions


def _may_repeat(index: Any) -> bool:
    """Whether an index can select an element twice: only arrays of integers can."""
    parts: tuple[Any, ...] = np.index_exp[index]
    return any(type(part) in _ARRAYS and np.asarray(part).dtype.kind in "iu" for part in parts)


_ARRAYS = (list, np.ndarray)
