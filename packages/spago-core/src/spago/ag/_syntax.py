"""Python's operators and NumPy's methods on nodes: which function of this package each of them is."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from spago.ag import _arithmetic, _elementary, _indexing, _linear_algebra, _reductions, _shaping
from spago.ag._arithmetic import add, div, mul, neg, pow, sub
from spago.ag._backward import backward
from spago.ag._node import Node


def _reflected(operator: Callable[..., Node]) -> Callable[[Any, Any], Node]:
    return lambda node, other: operator(other, node)


def _compared(relation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda node, other: relation(node.value, other.value if isinstance(other, Node) else other)


def _argmax(node: Node, axis: int | None = None) -> Any:
    return np.argmax(node.value, axis=axis)


def _argmin(node: Node, axis: int | None = None) -> Any:
    return np.argmin(node.value, axis=axis)


def _reshape(node: Node, *shape: Any) -> Node:
    return _shaping.reshape(node, _shape_of(shape))


def _transpose(node: Node, *axes: Any) -> Node:
    return _shaping.transpose(node, _shape_of(axes) if axes else None)


def _shape_of(sizes: tuple[Any, ...]) -> Any:
    """Return the shape meant by `x.reshape(2, 3)` and by `x.reshape((2, 3))`."""
    return sizes[0] if len(sizes) == 1 else sizes


_METHODS: dict[str, Any] = {
    "__add__": add,
    "__radd__": _reflected(add),
    "__sub__": sub,
    "__rsub__": _reflected(sub),
    "__mul__": mul,
    "__rmul__": _reflected(mul),
    "__truediv__": div,
    "__rtruediv__": _reflected(div),
    "__pow__": pow,
    "__rpow__": _reflected(pow),
    "__matmul__": _linear_algebra.matmul,
    "__rmatmul__": _reflected(_linear_algebra.matmul),
    "__neg__": neg,
    "__abs__": _elementary.abs,
    "__getitem__": _indexing.getitem,
    # Comparisons give arrays of booleans, for `ag.where`. Equality stays that of objects: nodes are keys of dicts.
    "__lt__": _compared(operator.lt),
    "__le__": _compared(operator.le),
    "__gt__": _compared(operator.gt),
    "__ge__": _compared(operator.ge),
    "T": property(_shaping.transpose),
    "backward": backward,
    "abs": _elementary.abs,
    "argmax": _argmax,
    "argmin": _argmin,
    "astype": _arithmetic.astype,
    "clip": _arithmetic.clip,
    "cumsum": _reductions.cumsum,
    "dot": _linear_algebra.dot,
    "exp": _elementary.exp,
    "flatten": _shaping.flatten,
    "log": _elementary.log,
    "max": _reductions.max,
    "mean": _reductions.mean,
    "min": _reductions.min,
    "prod": _reductions.prod,
    "repeat": _shaping.repeat,
    "reshape": _reshape,
    "sqrt": _elementary.sqrt,
    "squeeze": _shaping.squeeze,
    "std": _reductions.std,
    "sum": _reductions.sum,
    "swapaxes": _shaping.swapaxes,
    "take": _indexing.take,
    "transpose": _transpose,
    "variance": _reductions.variance,
}

for _method, _function in _METHODS.items():
    setattr(Node, _method, _function)
