"""Python's operators on nodes: which function of this package each of them is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spago.ag._arithmetic import add, div, mul, neg, pow, sub
from spago.ag._backward import backward
from spago.ag._linear_algebra import matmul
from spago.ag._node import Node
from spago.ag._shaping import getitem, transpose


def _reflected(operator: Callable[..., Node]) -> Callable[[Any, Any], Node]:
    return lambda node, other: operator(other, node)


for _method, _function in {
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
    "__matmul__": matmul,
    "__rmatmul__": _reflected(matmul),
    "__neg__": neg,
    "__getitem__": getitem,
    "T": property(transpose),
    "backward": backward,
}.items():
    setattr(Node, _method, _function)
