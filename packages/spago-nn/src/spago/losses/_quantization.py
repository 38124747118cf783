"""Losses that draw vectors to the corners: to bits, to the unit sphere, to one-hot vectors.

Source: The names and formulas are the reference's.
"""

from typing import Any

import numpy as np

from spago import ag
from spago.losses._reduction import Reduction, reduce
from spago.mat import Array


@ag.unary
def zero_one_quantization(x: Array, reduction: Reduction = "mean") -> ag.Unary:
    """How far vectors are from vectors of zeros and ones: Σ_i x_i² (1 - x_i)².

    Args:
        x: Vectors, shape (..., D).
        reduction: Over the vectors; "none" gives shape (...).

    Examples:
        >>> from spago import ag, losses
        >>> losses.zero_one_quantization(ag.var([0.0, 1.0, 2.0])).item()
        4.0
    """
    root = x * (1 - x)
    loss, share = reduce(_sum(root * root), reduction, "zero_one_quantization")
    return loss, lambda g: _per_vector(g * share) * (2 * root * (1 - 2 * x))


@ag.unary
def norm2_quantization(x: Array, reduction: Reduction = "mean") -> ag.Unary:
    """How far vectors are from unit length: (Σ_i x_i² - 1)².

    Args:
        x: Vectors, shape (..., D).
        reduction: Over the vectors; "none" gives shape (...).

    Examples:
        >>> from spago import ag, losses
        >>> losses.norm2_quantization(ag.var([1.0, 1.0, 1.0])).item()
        4.0
    """
    excess = _sum(x * x) - 1
    loss, share = reduce(excess * excess, reduction, "norm2_quantization")
    return loss, lambda g: _per_vector(g * share * 4 * excess) * x


def one_hot_quantization(x: ag.Operand, q: float, reduction: Reduction = "mean") -> ag.Node:
    """How far vectors are from one-hot vectors: q · (zero_one_quantization + norm2_quantization).

    Args:
        x: Vectors, shape (..., D).
        q: A factor.
        reduction: Over the vectors; "none" gives shape (...).
    """
    return q * (zero_one_quantization(x, reduction) + norm2_quantization(x, reduction))


def _sum(x: Array) -> Array:
    """Sum over the last axis; a single number is a vector of one."""
    y: Array = np.add.reduce(x, axis=-1) if x.ndim else x
    return y


def _per_vector(g: Any) -> Any:
    """Return one gradient a vector in a shape that broadcasts over its elements."""
    return np.expand_dims(g, -1) if np.ndim(g) else g
