"""The error function, the normal distribution and GELU, which is built on them.

One formula serves all a ≥ 0. With t = (a - 3) / (a + 3), which maps [0, ∞) to [-1, 1),

    erfc(a) = exp(-a²) G(t) / (a + 3),

where G is smooth, and is replaced by a polynomial: its expansion in Chebyshev polynomials, cut off where the rest is
smaller than 3e-17 (float64) or 6e-9 (float32), and written in powers of t.

GELU in float32, where speed counts most, takes another way to Φ, with an absolute bound.

Source: J. L. Schonfelder (1978), "Chebyshev expansions for the error and related functions", Math. Comp. 32, 1232-1240,
for the method. The coefficients were computed for this file, with 60 digits; a test derives them again.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from spago.mat._pieces import in_pieces
from spago.mat._types import Array

Formula = Callable[[Array], Array]


@in_pieces
def erf(x: Array) -> Array:
    """Error function: y = 2/√π ∫_0^x exp(-s²) ds.

    The relative error is at most 3 eps.

    Args:
        x: Any shape.

    Returns:
        Shape and dtype of x.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.erf(np.array([-np.inf, 0.0, 0.5, 1.0]))
        array([-1.        ,  0.        ,  0.52049988,  0.84270079])
    """
    a = np.abs(x)
    y: Array = np.copysign(1 - _erfc_positive(a), x)
    # 1 - erfc(a) cancels near 0; there the Maclaurin series 2/√π Σ (-1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)) takes over.
    small = a < 0.5
    near = x[small]
    y[small] = near * _polynomial(near * near, _MACLAURIN[: 7 if x.dtype == np.float32 else 12])
    return y


@in_pieces
def erfc(x: Array) -> Array:
    """Complementary error function: y = 1 - erf(x), without cancellation.

    The relative error is at most (5 + x²) eps: for x = 10, where y is 2e-45, it is 1e-14 in float64.

    Args:
        x: Any shape.

    Returns:
        Shape and dtype of x.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.erfc(np.array([0.0, 10.0]))
        array([1.00000000e+00, 2.08848758e-45])
    """
    return _erfc(x)


@in_pieces
def normal_cdf(x: Array) -> Array:
    """Distribution function of the standard normal: y = Φ(x) = ½ erfc(-x / √2).

    The relative error is at most (5 + x²) eps, also far in the left tail.

    Args:
        x: Any shape.

    Returns:
        Shape and dtype of x.
    """
    return _normal_cdf(x)


@in_pieces
def normal_pdf(x: Array) -> Array:
    """Density of the standard normal: y = φ(x) = exp(-½ x²) / √(2π), the derivative of Φ.

    The relative error is at most (2 + x²) eps.

    Args:
        x: Any shape.

    Returns:
        Shape and dtype of x.
    """
    return np.exp(-0.5 * x * x) * _INVERSE_SQRT_2PI


@in_pieces
def gelu(x: Array, approximate: Literal["none", "tanh"] = "none") -> Array:
    """Gaussian error linear unit: y = x Φ(x), or its approximation by a hyperbolic tangent.

        none    y = x Φ(x) = max(x, 0) - |x| Φ(-|x|)
        tanh    y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))

    The relative error is at most (6 + x²) eps (none) or (6 + |x|³) eps (tanh); that of none in float32 is at most 3 eps
    for x > -1, and the absolute one 1.5 eps |x| for all x, which takes half the time. The two forms differ by up to
    4.8e-4.

    Args:
        x: Any shape.
        approximate: "none" for the exact form, "tanh" for the other.

    Returns:
        Shape and dtype of x; 0 at -inf.

    Raises:
        ValueError: approximate is another word.

    Source:
        D. Hendrycks, K. Gimpel (2016), "Gaussian Error Linear Units", arXiv:1606.08415, section 2.
    """
    return _form(approximate, _gelu_erf, _gelu_tanh)(x)


@in_pieces
def gelu_grad(
    x: Array, approximate: Literal["none", "tanh"] = "none", y: Array | None = None, g: Array | None = None
) -> Array:
    """Derivative of GELU in either form; times g, if there is one.

        none    Φ(x) + x φ(x)
        tanh    ½ (1 + t) + ½ x (1 - t²) u', with u = √(2/π) (x + 0.044715 x³), t = tanh(u)

    The absolute error is at most 4 eps (none) or 6 eps (tanh).

    Args:
        x: Any shape.
        approximate: As in gelu.
        y: What gelu gave for x, if it is at hand: Φ is y / x then, which takes a third of the time.
        g: What the derivative is multiplied by, such as the gradient of y, while it is in the processor's cache.

    Returns:
        Shape and dtype of x; 1 at +inf, 0 at -inf.

    Raises:
        ValueError: approximate is another word.
    """
    if y is not None and approximate == "none":
        slope = _gelu_erf_grad(x, y)
    else:
        slope = _form(approximate, _gelu_erf_grad, _gelu_tanh_grad)(x)
    if g is not None:
        slope *= g
    return slope


# The formulas


def _erfc(x: Array) -> Array:
    # y where x is positive, 2 - y where it is negative; without a branch, three times as fast as np.where.
    sign = np.copysign(1, x)
    y = _erfc_positive(np.abs(x))
    y *= sign
    y += 1 - sign
    return y


def _normal_cdf(x: Array) -> Array:
    return 0.5 * _erfc(x * -_SQRT_HALF)


def _gelu_erf(x: Array) -> Array:
    if x.dtype != np.float32:
        a = np.minimum(np.abs(x), _FLAT)
        y: Array = np.maximum(x, 0)
        y -= 0.5 * a * _erfc_positive(a * _SQRT_HALF)
        return y
    y = _cdf_32(x)
    y *= x
    if not np.minimum.reduce(x, axis=None, initial=0) > -np.inf:
        y[x == -np.inf] = 0  # and not -inf · 0
    return y


def _cdf_32(x: Array) -> Array:
    """Φ(x) = ½ (1 + tanh(x P(x²))) in float32, where no small difference is asked for; the error is at most eps."""
    square = x * x
    y = _polynomial(square, _P_32)
    y *= x
    np.tanh(y, out=y)
    y *= 0.5
    y += 0.5
    return y


def _cdf_of(x: Array, y: Array) -> Array:
    """Φ(x) from y = x Φ(x), for |x| ≤ _FLAT."""
    cdf: Array = y / x
    small = np.abs(x) < 1e-30
    if small.any():
        cdf[small] = 0.5
    return cdf


def _gelu_erf_grad(x: Array, gelu_of_x: Array | None = None) -> Array:
    bounded = _bounded(x)
    if gelu_of_x is not None:
        cdf = _cdf_of(bounded, gelu_of_x if bounded is x else _bounded(gelu_of_x))
    else:
        cdf = _cdf_32(bounded) if x.dtype == np.float32 else _normal_cdf(bounded)
    y: Array = bounded * bounded
    y *= -0.5
    np.exp(y, out=y)
    y *= bounded
    y *= _INVERSE_SQRT_2PI
    y += cdf
    return y


def _bounded(x: Array) -> Array:
    """Return x between -_FLAT and _FLAT: itself where nothing is beyond."""
    if np.minimum.reduce(x, axis=None, initial=0) >= -_FLAT and np.maximum.reduce(x, axis=None, initial=0) <= _FLAT:
        return x
    return np.clip(x, -_FLAT, _FLAT)


def _gelu_tanh(x: Array) -> Array:
    # ½ (1 + tanh(u)) = σ(2u) = 1 / (1 + exp(-2u)), which loses nothing where tanh(u) is close to -1.
    minus_2u = _MINUS_2_SQRT_2_OVER_PI * x * (1 + 0.044715 * x * x)
    y: Array = np.maximum(x, np.finfo(x.dtype).min) / (1 + np.exp(minus_2u))
    return y


def _gelu_tanh_grad(x: Array) -> Array:
    x = np.clip(x, -_FLAT, _FLAT)
    square = x * x
    minus_2u = _MINUS_2_SQRT_2_OVER_PI * x * (1 + 0.044715 * square)
    left, right = 1 / (1 + np.exp(minus_2u)), 1 / (1 + np.exp(-minus_2u))
    # ½ (1 - tanh²(u)) = 2 σ(2u) σ(-2u)
    slope = _MINUS_2_SQRT_2_OVER_PI * (1 + 3 * 0.044715 * square)
    y: Array = left - x * left * right * slope
    return y


def _erfc_positive(a: Array) -> Array:
    """Complementary error function of a ≥ 0."""
    a = np.minimum(a, _FLAT)
    shifted = a + 3
    t: Array = (a - 3) / shifted
    y = _polynomial(t, _G_32 if a.dtype == np.float32 else _G_64)
    y /= shifted
    y *= np.exp(-a * a)
    return y


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Value at x of the polynomial with these coefficients, that of the lowest power first (Horner's rule)."""
    *rest, second, last = coefficients
    y: Array = x * last
    y += second
    for coefficient in reversed(rest):
        y *= x
        y += coefficient
    return y


def _form(approximate: str, exact: Formula, tanh: Formula) -> Formula:
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: expected approximate="none" or "tanh", got {approximate!r}')
    return exact if approximate == "none" else tanh


_FLAT = 40.0
"""Beyond it erfc, Φ and both forms of GELU have reached their limits in float64."""

_SQRT_HALF = math.sqrt(0.5)
_MINUS_2_SQRT_2_OVER_PI = -2 * math.sqrt(2 / math.pi)
_INVERSE_SQRT_2PI = 1 / math.sqrt(2 * math.pi)

_MACLAURIN = tuple(2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(12))

_P_32 = (
    0.7978849415,
    0.03633308447,
    -3.259484351e-05,
    -5.530625671e-05,
    3.964756675e-06,
    -1.322643386e-07,
    1.756199121e-09,
)
"""P in Φ(x) = ½ (1 + tanh(x P(x²))): a minimax fit for |x| ≤ 5.3, where tanh becomes flat; Φ is 2.9e-8 off at most."""

_G_32 = (
    1.0740069123135136,
    -0.8833944451868795,
    0.590227975604107,
    -0.3104674893110152,
    0.11953230069063711,
    -0.026825370112629254,
    -0.0012323710416040335,
    0.003027424456584946,
    -0.0005078505785117683,
    -0.0002649834217254595,
    6.782963557207734e-05,
    1.9655910560487885e-05,
)

_G_64 = (
    1.0740069070883398,
    -0.8833944531698834,
    0.5902283571041079,
    -0.3104672619005832,
    0.11952776128699893,
    -0.026827234624051417,
    -0.0012124166218294855,
    0.003034061996058138,
    -0.0005483097427484961,
    -0.00027677781402214095,
    0.00010756177091043848,
    3.039805158572681e-05,
    -1.747157222290802e-05,
    -4.7490282761035755e-06,
    2.767748892060422e-06,
    9.988170142910974e-07,
    -4.1168528099116056e-07,
    -2.3385368009140523e-07,
    4.9957921660772474e-08,
    5.11824219701207e-08,
    -3.5681656857277103e-09,
    -8.693774269035828e-09,
    6.954942232514036e-12,
    8.110687296189993e-10,
)
