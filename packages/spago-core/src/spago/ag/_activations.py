"""Activation functions."""

from __future__ import annotations

import numpy as np

from spago import mat
from spago.ag._rules import Unary, unary
from spago.mat import Array


@unary
def sigmoid(x: Array) -> Unary:
    """Logistic function σ(x) = 1 / (1 + exp(-x))."""
    y = mat.sigmoid(x)
    return y, lambda g: g * (y * (1 - y))


@unary
def tanh(x: Array) -> Unary:
    """Hyperbolic tangent."""
    y: Array = np.tanh(x)
    return y, lambda g: g * (1 - y * y)


@unary
def relu(x: Array) -> Unary:
    """Rectified linear unit: the larger of x and 0. The derivative at 0 is 1, as in the reference."""
    return np.maximum(x, 0), lambda g: np.where(x >= 0, g, 0)
