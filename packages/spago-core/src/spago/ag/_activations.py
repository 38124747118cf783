"""Activation functions, one element at a time."""

from __future__ import annotations

from typing import Literal

import numpy as np

from spago import mat
from spago.ag._quiet import multiply, quiet
from spago.ag._rules import Binary, Unary, elementwise, pairwise
from spago.mat import Array


@elementwise
def sigmoid(x: Array) -> Unary:
    """Logistic function σ(x) = 1 / (1 + exp(-x))."""
    y = mat.sigmoid(x)
    return y, lambda g: g * (y * (1 - y))


@elementwise
def log_sigmoid(x: Array) -> Unary:
    """Logarithm of the logistic function: ln σ(x)."""
    return mat.log_sigmoid(x), lambda g: g * mat.sigmoid(-x)


@elementwise
def tanh(x: Array) -> Unary:
    """Hyperbolic tangent."""
    y: Array = np.tanh(x)
    return y, lambda g: g * (1 - y * y)


@elementwise
def hard_sigmoid(x: Array) -> Unary:
    """Piecewise linear sigmoid: 0.2 x + 0.5, clipped to [0, 1]. The derivative at ±2.5 is 0."""
    return np.clip(0.2 * x + 0.5, 0, 1), lambda g: np.where(np.abs(x) < 2.5, 0.2 * g, 0)


@elementwise
def hard_tanh(x: Array) -> Unary:
    """Piecewise linear tanh: x, clipped to [-1, 1]. The derivative at ±1 is 0."""
    return np.clip(x, -1, 1), lambda g: np.where(np.abs(x) < 1, g, 0)


@elementwise
def relu(x: Array) -> Unary:
    """Rectified linear unit: the larger of x and 0. The derivative at 0 is 1."""
    return np.maximum(x, 0), lambda g: np.where(x >= 0, g, 0)


@elementwise
def leaky_relu(x: Array, alpha: float = 0.01) -> Unary:
    """Leaky rectified linear unit: x where x > 0, alpha x elsewhere. The derivative at 0 is alpha."""
    return np.where(x > 0, x, alpha * x), lambda g: np.where(x > 0, g, alpha * g)


@elementwise
def elu(x: Array, alpha: float = 1.0) -> Unary:
    """Exponential linear unit: x where x > 0, alpha (exp(x) - 1) elsewhere.

    The derivative at 0 is alpha.

    Source: D.-A. Clevert et al. (2015), arXiv:1511.07289, section 3.
    """
    negative = alpha * np.expm1(np.minimum(x, 0))
    return np.where(x > 0, x, negative), lambda g: g * np.where(x > 0, 1, negative + alpha)


@elementwise
def positive_elu(x: Array) -> Unary:
    """ELU raised above 0: x + 1 where x > 0, exp(x) elsewhere. The derivative at 0 is 1."""
    y: Array = np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))
    return y, lambda g: g * np.where(x > 0, 1, y)


@elementwise
@quiet
def celu(x: Array, alpha: float = 1.0) -> Unary:
    """ELU with a continuous derivative: x where x > 0, alpha (exp(x / alpha) - 1) elsewhere.

    Source: J. T. Barron (2017), arXiv:1704.07483, eq. 2.
    """
    negative: Array = np.expm1(np.minimum(x, 0) / alpha)
    return np.where(x > 0, x, alpha * negative), lambda g: g * np.where(x > 0, 1, negative + 1)


@elementwise
def selu(x: Array, alpha: float = 1.6732632423543772, scale: float = 1.0507009873554805) -> Unary:
    """Self-normalising ELU: scale x where x > 0, scale alpha (exp(x) - 1) elsewhere.

    The derivative at 0 is scale alpha. The defaults keep mean 0 and variance 1 from layer to layer.

    Source: G. Klambauer et al. (2017), arXiv:1706.02515, eq. 2.
    """
    negative = scale * alpha * np.expm1(np.minimum(x, 0))
    return np.where(x > 0, scale * x, negative), lambda g: g * np.where(x > 0, scale, negative + scale * alpha)


@elementwise
def softplus(x: Array, beta: float = 1.0, threshold: float = np.inf) -> Unary:
    """Smooth maximum of x and 0: ln(1 + exp(beta x)) / beta, and x where x > threshold.

    No threshold is needed for stability, so there is none by default. It is compared with x, not with beta x.
    """

    @quiet
    def pullback(g: Array) -> Array:
        slope = mat.sigmoid(beta * x)
        return g * (slope if threshold == np.inf else np.where(x > threshold, 1, slope))

    return mat.softplus(x, beta, threshold), pullback


@elementwise
def softshrink(x: Array, threshold: float = 0.5) -> Unary:
    """Soft shrinkage: x moved towards 0 by the threshold, and 0 where |x| ≤ threshold. The derivative there is 0."""
    return x - np.clip(x, -threshold, threshold), lambda g: np.where(np.abs(x) > threshold, g, 0)


@elementwise
def threshold(x: Array, threshold: float, value: float) -> Unary:
    """Either x, where x > threshold, or else a fixed value. The derivative at the threshold is 0."""
    return np.where(x <= threshold, value, x), lambda g: np.where(x > threshold, g, 0)


@elementwise
@quiet
def softsign(x: Array) -> Unary:
    """Smooth sign: x / (1 + |x|)."""
    # Finite, so that ±inf / inf is no nan.
    x = _finite(x)
    scale = 1 + np.abs(x)
    return x / scale, lambda g: g / scale / scale


@elementwise
def mish(x: Array) -> Unary:
    """Mish: x tanh(ln(1 + exp(x))).

    Source: D. Misra (2019), arXiv:1908.08681, eq. 1.
    """
    return mat.mish(x), lambda g: g * mat.mish_grad(x)


@elementwise
def gelu(x: Array, approximate: Literal["none", "tanh"] = "none") -> Unary:
    """Gaussian error linear unit: x Φ(x), or the approximation by tanh that the reference and GPT-2 use.

        none    ½ x (1 + erf(x / √2))
        tanh    ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))

    Raises:
        ValueError: approximate is another word.

    Source: D. Hendrycks, K. Gimpel (2016), arXiv:1606.08415, section 2.
    """
    y = mat.gelu(x, approximate)
    return y, lambda g: mat.gelu_grad(x, approximate, y, g)


@elementwise
@quiet
def silu(x: Array) -> Unary:
    """Sigmoid linear unit, also called Swish: x σ(x).

    Source: P. Ramachandran et al. (2017), arXiv:1710.05941, section 2.
    """
    s = mat.sigmoid(x)
    # Bounded below, so that -inf σ(-inf) is -0 and no nan.
    y: Array = np.maximum(x, np.finfo(x.dtype).min) * s
    return y, lambda g: g * (s + _finite(y) * (1 - s))


swish = silu


@pairwise
@quiet
def swish_b(x: Array, beta: Array) -> Binary:
    """Swish with a steepness that can be learned: x σ(beta x).

    Source: P. Ramachandran et al. (2017), arXiv:1710.05941, section 2.
    """
    s = mat.sigmoid(np.multiply(beta, x))
    y: Array = np.where(s == 0, 0, x * s)
    # Beyond the reach of σ both derivatives are 0, and ±inf would make a nan of them.
    bump: Array = _finite(y) * (1 - s)
    return y, lambda g: g * (s + multiply(bump, beta)), lambda g: g * multiply(bump, _finite(x))


def _finite(x: Array) -> Array:
    """Return x with ±inf replaced by the largest numbers of its dtype."""
    limits = np.finfo(x.dtype)
    return np.clip(x, limits.min, limits.max)
