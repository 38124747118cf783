"""Sums, products, quotients, powers, and the larger and smaller of two."""

from __future__ import annotations

import numpy as np

from spago.ag._rules import Binary, Unary, binary, unary
from spago.mat import Array


@binary
def add(a: Array, b: Array) -> Binary:
    """Element-wise sum a + b, with broadcasting."""
    return a + b, lambda g: g, lambda g: g


@binary
def sub(a: Array, b: Array) -> Binary:
    """Element-wise difference a - b, with broadcasting."""
    return a - b, lambda g: g, lambda g: -g


@binary
def mul(a: Array, b: Array) -> Binary:
    """Element-wise product a ⊙ b, with broadcasting."""
    return a * b, lambda g: g * b, lambda g: g * a


@binary
def div(a: Array, b: Array) -> Binary:
    """Element-wise quotient a / b, with broadcasting; a / 0 is ±inf, 0 / 0 is nan."""
    with np.errstate(divide="ignore", invalid="ignore"):
        y: Array = np.divide(a, b)

    def pullback_a(g: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return g / b

    def pullback_b(g: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return -g * y / b

    return y, pullback_a, pullback_b


@unary
def neg(x: Array) -> Unary:
    """Element-wise -x."""
    return -x, lambda g: -g


@binary
def pow(base: Array, exponent: Array) -> Binary:
    """Element-wise base to the power of exponent, with broadcasting.

    A negative base with a fractional exponent gives nan. The gradient of the exponent is 0 where base is 0.
    """
    with np.errstate(all="ignore"):
        y: Array = np.power(base, exponent)

    def pullback_base(g: Array) -> Array:
        with np.errstate(all="ignore"):
            return g * (exponent * np.power(base, exponent - 1))

    def pullback_exponent(g: Array) -> Array:
        with np.errstate(all="ignore"):
            return g * np.where(np.equal(base, 0), 0, y * np.log(base))

    return y, pullback_base, pullback_exponent


@unary
def square(x: Array) -> Unary:
    """Element-wise x²."""
    return x * x, lambda g: g * (2 * x)
