"""Softmax and its relatives, along an axis.

A row of -inf alone, such as a fully masked row of attention, gives zeros, or -inf where a logarithm is asked for, and
has gradient 0.
"""

from __future__ import annotations

import numpy as np

from spago import mat
from spago.ag._quiet import quiet
from spago.ag._reductions import Axis, axes_of, axis_of, restore_axes
from spago.ag._rules import Unary, unary
from spago.mat import Array


@unary
def softmax(x: Array, axis: int = -1) -> Unary:
    """Softmax along an axis: y_i = exp(x_i) / Σ_j exp(x_j).

    Args:
        x: Scores, any shape with at least one axis.
        axis: The axis whose elements sum to 1.

    Returns:
        Shape of x.

    Raises:
        ShapeError: When x has no such axis.

    Examples:
        >>> import numpy as np
        >>> from spago import ag
        >>> ag.softmax(ag.var(np.log([1.0, 3.0]))).value
        array([0.25, 0.75])
    """
    axis = axis_of(x, axis, "Softmax")
    y = mat.softmax(x, axis)

    def pullback(g: Array) -> Array:
        # The Jacobian is diag(y) - y·yᵀ. Its product with g needs no D x D matrix.
        d = g * y
        inner = np.add.reduce(d, axis=axis, keepdims=True)
        np.subtract(g, inner, d)
        d *= y
        return d

    return y, pullback


@unary
def log_softmax(x: Array, axis: int = -1) -> Unary:
    """Logarithm of softmax along an axis: y_i = x_i - ln Σ_j exp(x_j).

    Args:
        x: Scores, any shape with at least one axis.
        axis: The axis whose probabilities sum to 1.

    Raises:
        ShapeError: When x has no such axis.
    """
    axis = axis_of(x, axis, "LogSoftmax")
    y = mat.log_softmax(x, axis)

    def pullback(g: Array) -> Array:
        p: Array = np.exp(y)
        p *= np.add.reduce(g, axis=axis, keepdims=True)
        return np.subtract(g, p, p)

    return y, pullback


@unary
def logsumexp(x: Array, axis: Axis = -1, *, keepdims: bool = False) -> Unary:
    """Logarithm of a sum of exponentials: ln Σ_j exp(x_j), for sums of any size; -inf for no elements.

    Its gradient is softmax.

    Args:
        x: Any shape.
        axis: The axis or axes that are summed; None sums all.
        keepdims: Whether the summed axes stay, with size 1.

    Raises:
        ShapeError: When x has no such axis.
    """
    axes = axes_of(x, axis, "Logsumexp")
    y = mat.logsumexp(x, axes, keepdims=True)

    @quiet
    def pullback(g: Array) -> Array:
        # Softmax of what was summed; where the sum is infinite, not by the quick formula.
        weights: Array = np.exp(x - y) if np.isfinite(y).all() else mat.softmax(x, axes)
        d: Array = weights * restore_axes(g, axes, keepdims=keepdims)
        return d

    return (y if keepdims else np.squeeze(y, axes)), pullback


@unary
def sparsemax(x: Array, axis: int = -1) -> Unary:
    """Sparsemax along an axis: the point of the probability simplex that is nearest to x.

        y_i = max(x_i - τ, 0), with τ such that the y_i sum to 1

    The gradient is that of the support S = {i: y_i > 0}: g_i - mean of g over S inside, 0 outside.

    Raises:
        ShapeError: When x has no such axis.

    Source: A. F. T. Martins, R. F. Astudillo (2016), arXiv:1602.02068, algorithm 1 and eq. 12.
    """
    axis = axis_of(x, axis, "Sparsemax")
    y = mat.sparsemax(x, axis)

    def pullback(g: Array) -> Array:
        support = y > 0
        inside = np.where(support, g, 0)
        size = np.maximum(np.add.reduce(support, axis=axis, keepdims=True, dtype=y.dtype), 1)
        return np.where(support, g - np.add.reduce(inside, axis=axis, keepdims=True) / size, 0)

    return y, pullback


@unary
@quiet
def sparsemax_loss(x: Array, axis: int = -1) -> Unary:
    """Negative sparsemax loss of each class along an axis, to be used as log-softmax is.

        y_i = x_i - ½ Σ_{j in S} (x_j² - τ²) - ½, with S and τ of sparsemax

    The gradient is g - p Σ g, with p = sparsemax(x).

    Raises:
        ShapeError: When x has no such axis.

    Source: A. F. T. Martins, R. F. Astudillo (2016), arXiv:1602.02068, eq. 20.
    """
    axis = axis_of(x, axis, "SparsemaxLoss")
    p = mat.sparsemax(x, axis)
    # A shift of x changes nothing, and p_j = x_j - τ on S makes (x_j² - τ²) the same as p_j (2 x_j - p_j).
    shifted = x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    inner = np.add.reduce(np.where(p > 0, p * (shifted - 0.5 * p), 0), axis=axis, keepdims=True)
    y: Array = shifted - inner - 0.5
    return y, lambda g: g - p * np.add.reduce(g, axis=axis, keepdims=True)
