"""Naming the operator that first produced NaN or Inf."""

from __future__ import annotations

import sys
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from spago.ag._node import GraphError, Node, Operator

_sites: WeakKeyDictionary[Operator, str] = WeakKeyDictionary()
"""Where each operator was created while anomalies are looked for: `file:line`."""


def check_result(node: Operator) -> None:
    """Note where node was created, and check its value.

    Raises:
        GraphError: When the value has a NaN or an Inf that none of the operands has.
    """
    _sites[node] = caller()
    if np.isfinite(node.value).all():
        return
    raise GraphError(
        f"{node.rule.name}, created at {_sites[node]}, produced {_describe(node.value)} from {_operands(node)}"
    )


def check_gradient(node: Operator, operand: Node, gradient: Any) -> None:
    """Check the gradient that node passes to operand.

    Raises:
        GraphError: When the gradient has a NaN or an Inf.
    """
    if np.isfinite(gradient).all():
        return
    site = _sites.get(node, "an unknown line: create it inside detect_anomaly to know")
    raise GraphError(
        f"{node.rule.name}, created at {site}, produced a gradient of {_describe(np.asarray(gradient))} "
        f"for operand {operand.name or type(operand).__name__!r} of shape {operand.shape}; operands: {_operands(node)}"
    )


def caller() -> str:
    """Return file and line of the nearest caller outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("spago.ag."):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _operands(node: Operator) -> str:
    described = (f"{x.name or type(x).__name__} of shape {x.shape} with {_describe(x.value)}" for x in node.operands)
    return "; ".join(described) or "no operands"


def _describe(value: Any) -> str:
    finite = value[np.isfinite(value)]
    parts = [f"values from {finite.min():.4g} to {finite.max():.4g}"] if finite.size else []
    parts += [f"{n} NaN" for n in [int(np.isnan(value).sum())] if n]
    parts += [f"{n} Inf" for n in [int(np.isinf(value).sum())] if n]
    return ", ".join(parts) or "no values"
