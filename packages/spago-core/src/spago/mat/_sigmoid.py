"""The logistic function, its logarithm, and the functions built on ln(1 + exp(x)).

The bounds were measured against mpmath; eps is 2^-52 for float64 and 2^-23 for float32.
"""

import numpy as np

from spago.mat._pieces import in_pieces
from spago.mat._types import Array


@in_pieces
def sigmoid(x: Array) -> Array:
    """Logistic function: y = 1 / (1 + exp(-x)).

    The relative error is at most 2 eps for all x of at least -708 (float64) or -87 (float32); below, where exp(-x)
    overflows, y is 0. The form ½ tanh(½x) + ½ has only an absolute error of eps: it is 0 from x = -38 (float64) on.

    Args:
        x: Any shape.

    Returns:
        Shape and dtype of x.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.sigmoid(np.array([-1e4, 0.0, 1e4]))
        array([0. , 0.5, 1. ])
    """
    return 1 / (1 + np.exp(-x))


@in_pieces
def log_sigmoid(x: Array) -> Array:
    """Logarithm of the logistic function: y = ln σ(x) = min(x, 0) - ln(1 + exp(-|x|)).

    The relative error is at most 3 eps wherever y is a normal number.

    Args:
        x: Any shape.

    Returns:
        Shape and dtype of x.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.log_sigmoid(np.array([-1e4, 1e4]))
        array([-10000.,      0.])
    """
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


@in_pieces
def softplus(x: Array, beta: float = 1.0, threshold: float = np.inf) -> Array:
    """Smooth maximum of x and 0: y = ln(1 + exp(beta x)) / beta, and y = x where x > threshold.

    Computed as max(z, 0) + ln(1 + exp(-|z|)) with z = beta x, which cannot overflow, so a threshold is never needed.
    The relative error is at most 3 eps, and |z| eps more for the rounding of z.

    Args:
        x: Any shape.
        beta: Sharpness of the corner, positive.
        threshold: Above it (compared with x, not with beta x), y = x exactly.

    Returns:
        Shape and dtype of x.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.softplus(np.array([-1e4, 0.0, 1e4]))
        array([0.00000000e+00, 6.93147181e-01, 1.00000000e+04])
    """
    z = x if beta == 1 else beta * x
    y: Array = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    if beta != 1:
        y = y / beta
    return y if threshold == np.inf else np.where(x > threshold, x, y)


@in_pieces
def mish(x: Array) -> Array:
    """Mish: y = x tanh(ln(1 + exp(x))).

    With e = exp(x), the tangent is n / (n + 2) where n = e (e + 2). The relative error is at most 6 eps.

    Args:
        x: Any shape.

    Returns:
        Shape and dtype of x; -0 at -inf.

    Source:
        D. Misra (2019), arXiv:1908.08681, eq. 1.
    """
    e = np.exp(np.minimum(x, _FLAT))
    n = e * (e + 2)
    # -inf · 0 would be NaN.
    y: Array = np.maximum(x, np.finfo(x.dtype).min) * (n / (n + 2))
    return y


@in_pieces
def mish_grad(x: Array) -> Array:
    """Derivative of Mish: y = n / (n + 2) + 4 x e (1 + e) / (n + 2)², with e = exp(x) and n = e (e + 2).

    The absolute error is at most 4 eps.

    Args:
        x: Any shape.

    Returns:
        Shape and dtype of x; 1 at +inf, 0 at -inf.
    """
    e = np.exp(np.minimum(x, _FLAT))
    n = e * (e + 2)
    # One factor after the other: (n + 2)² overflows in float32.
    slope = e / (n + 2) * ((1 + e) / (n + 2))
    y: Array = n / (n + 2) + 4 * slope * np.clip(x, np.finfo(x.dtype).min, _FLAT)
    return y


_FLAT = 40.0
"""Beyond it tanh(ln(1 + exp(x))) is 1 to the last bit, and exp(2x) still fits float32."""
