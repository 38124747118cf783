"""The operator that layer, root-mean-square and length normalization are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import Array, RowScaling, scale_rows, scale_rows_backward
from spago.nn._param import Param


def normalize(
    x: Operand,
    num_features: int | None = None,
    weight: Param | None = None,
    bias: Param | None = None,
    *,
    kind: RowScaling,
    layer: str,
) -> Node:
    """Normalize along the last axis; as one node of the graph.

    Args:
        x: Shape (..., D).
        num_features: D; None where any will do.
        weight: Shape (D,), or None for 1.
        bias: Shape (D,), or None for 0.
        kind: The normalization.
        layer: What messages begin with.

    Raises:
        ShapeError: When the last axis of x has another size, or none.
    """
    shape = np.shape(x)
    if num_features is not None and shape[-1:] != (num_features,):
        what = "num_features" if weight is None else f"{weight.name} {weight.shape}"
        raise ShapeError(
            f"{layer}: expected x of shape (..., {num_features}) for {what}, got {shape}; features are the last axis"
        )
    if not shape or not shape[-1]:
        raise ShapeError(f"{layer}: expected x of shape (..., D) with at least one feature, got {shape}")
    y: Node = _normalize(x, weight, bias, kind=kind)
    return y


@ag.operator
def _normalize(x: Array, weight: Array | None, bias: Array | None, *, kind: RowScaling) -> ag.Joint:
    rows = x.reshape(x.size // x.shape[-1], x.shape[-1])
    y, scales = scale_rows(rows, weight, bias, kind)

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        g_x, g_weight, g_bias = scale_rows_backward(
            g.reshape(rows.shape), rows, weight, scales, (needs[0], needs[1], needs[2])
        )
        return None if g_x is None else g_x.reshape(x.shape), g_weight, g_bias

    return y.reshape(x.shape), pullback
