"""Elementary functions, one element at a time."""

from __future__ import annotations

import math

import numpy as np

from spago import mat
from spago.ag._quiet import divide, multiply, quiet
from spago.ag._rules import Unary, elementwise
from spago.mat import Array

_TWO_BY_SQRT_PI = 2 / math.sqrt(math.pi)


@elementwise
def identity(x: Array) -> Unary:
    """A copy of x."""
    return x.copy(), lambda g: g


@elementwise
def abs(x: Array) -> Unary:
    """Absolute value |x|. The derivative at 0 is 0."""
    return np.abs(x), lambda g: g * np.sign(x)


@elementwise
@quiet
def reciprocal(x: Array) -> Unary:
    """1 / x; ±inf at ±0."""
    y: Array = np.reciprocal(x)
    return y, lambda g: multiply(-g * y, y)


@elementwise
def square(x: Array) -> Unary:
    """x²."""
    return x * x, lambda g: g * (2 * x)


@elementwise
@quiet
def sqrt(x: Array) -> Unary:
    """Square root; nan for negative x. The derivative at 0 is inf."""
    y: Array = np.sqrt(x)
    return y, lambda g: divide(0.5 * g, y)


@elementwise
@quiet
def exp(x: Array) -> Unary:
    """Exponential eˣ; inf from about 88.7 (float32) or 709.8 (float64) on."""
    y: Array = np.exp(x)
    return y, lambda g: multiply(g, y)


@elementwise
@quiet
def log(x: Array) -> Unary:
    """Natural logarithm; -inf at 0, nan for negative x.

    The derivative is 1 / x, and 1e8 at 0, as in the reference: a probability that has underflowed to 0 still learns.
    """
    return np.log(x), lambda g: divide(g, np.where(x == 0, 1e-8, x))


@elementwise
@quiet
def expm1(x: Array) -> Unary:
    """eˣ - 1, without cancellation near 0."""
    y: Array = np.expm1(x)
    return y, lambda g: multiply(g, y + 1)


@elementwise
@quiet
def log1p(x: Array) -> Unary:
    """ln(1 + x), without cancellation near 0; -inf at -1, nan below."""
    return np.log1p(x), lambda g: divide(g, 1 + x)


@elementwise
def erf(x: Array) -> Unary:
    """Error function 2/√π ∫_0^x exp(-s²) ds."""
    return mat.erf(x), lambda g: g * (_TWO_BY_SQRT_PI * np.exp(-np.square(np.clip(x, -30, 30))))


@elementwise
@quiet
def sin(x: Array) -> Unary:
    """Sine; nan at ±inf."""
    return np.sin(x), lambda g: g * np.cos(x)


@elementwise
@quiet
def cos(x: Array) -> Unary:
    """Cosine; nan at ±inf."""
    return np.cos(x), lambda g: -g * np.sin(x)


@elementwise
@quiet
def tan(x: Array) -> Unary:
    """Tangent; nan at ±inf."""
    y: Array = np.tan(x)
    return y, lambda g: g * (1 + y * y)
