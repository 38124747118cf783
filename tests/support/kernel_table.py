"""The element-wise kernels of mat, beside the same functions in mpmath, which computes with as many digits as asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from spago import mat

Kernel = Callable[[mat.Array], mat.Array]
Exact = Callable[[Any], Any]
Bound = Callable[[mat.Array], Any]

mp = mpmath.mp.clone()
mp.dps = 60


@dataclass(frozen=True)
class Row:
    """A kernel.

    Attributes:
        name: Its name, with its settings.
        kernel: The function under test.
        exact: The same in mpmath.
        relative: Greatest relative error in units of eps, by x; None where only the absolute one is bounded.
        absolute: Greatest absolute error in units of eps, by x.
        absolute_32: The same for float32, where it takes the place of both.
        limits: Values at -inf and +inf.
        least: Smallest x for which the error holds, float64 and float32.
    """

    name: str
    kernel: Kernel
    exact: Exact
    limits: tuple[float, float]
    relative: Bound | None = None
    absolute: Bound | None = None
    least: tuple[float, float] = (-700.0, -80.0)
    absolute_32: Bound | None = None

    def __str__(self) -> str:
        return self.name


def constant(bound: float) -> Bound:
    """The same bound for all x."""
    return lambda x: np.full(x.shape, bound)


def square(bound: float) -> Bound:
    """A bound that grows with x²."""
    return lambda x: bound + np.square(x, dtype=np.float64)


def sigmoid(x: Any) -> Any:
    """Logistic function."""
    return 1 / (1 + mp.exp(-x))


def softplus(x: Any) -> Any:
    """ln(1 + exp(x))."""
    return mp.log1p(mp.exp(x))


def mish(x: Any) -> Any:
    """x tanh(ln(1 + exp(x)))."""
    return x * mp.tanh(softplus(x))


def mish_grad(x: Any) -> Any:
    """Derivative of mish."""
    t = mp.tanh(softplus(x))
    return t + x * (1 - t * t) * sigmoid(x)


def normal_pdf(x: Any) -> Any:
    """Density of the normal distribution."""
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def normal_cdf(x: Any) -> Any:
    """Distribution function of the normal distribution."""
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _tanh_argument(x: Any) -> Any:
    return mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)


def gelu_tanh(x: Any) -> Any:
    """GELU by the hyperbolic tangent."""
    # ½ (1 + tanh(u)) = σ(2u); 1 + tanh(u) would cancel even with 60 digits.
    return x * sigmoid(2 * _tanh_argument(x))


def gelu_tanh_grad(x: Any) -> Any:
    """Derivative of gelu_tanh."""
    s = sigmoid(2 * _tanh_argument(x))
    return s + 2 * x * s * (1 - s) * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf("0.044715") * x * x)


ROWS = [
    Row("sigmoid", mat.sigmoid, sigmoid, (0, 1), constant(2)),
    Row("log_sigmoid", mat.log_sigmoid, lambda x: -softplus(-x), (-np.inf, 0), constant(3)),
    Row("softplus", mat.softplus, softplus, (0, np.inf), constant(3)),
    Row(
        "softplus(beta=2)",
        lambda x: mat.softplus(x, 2.0),
        lambda x: softplus(2 * x) / 2,
        (0, np.inf),
        lambda x: 3 + 2 * np.abs(x),
        least=(-350.0, -40.0),
    ),
    Row("mish", mat.mish, mish, (0, np.inf), constant(6)),
    Row("mish_grad", mat.mish_grad, mish_grad, (0, 1), None, constant(4)),
    Row("erf", mat.erf, mp.erf, (-1, 1), constant(3)),
    Row("erfc", mat.erfc, mp.erfc, (2, 0), square(5)),
    Row("normal_cdf", mat.normal_cdf, normal_cdf, (0, 1), square(5), least=(-37.0, -12.5)),
    Row("normal_pdf", mat.normal_pdf, normal_pdf, (0, 0), square(2), least=(-37.0, -12.5)),
    Row(
        "gelu",
        mat.gelu,
        lambda x: x * normal_cdf(x),
        (0, np.inf),
        square(6),
        least=(-37.0, -700.0),
        absolute_32=lambda x: 1.5 * np.abs(x),
    ),
    Row(
        "gelu_grad",
        mat.gelu_grad,
        lambda x: normal_cdf(x) + x * normal_pdf(x),
        (0, 1),
        None,
        constant(3),
    ),
    Row(
        "gelu(tanh)",
        lambda x: mat.gelu(x, "tanh"),
        gelu_tanh,
        (0, np.inf),
        lambda x: 6 + np.abs(x.astype(np.float64)) ** 3,
        least=(-20.0, -9.0),
    ),
    Row(
        "gelu_grad(y)",
        lambda x: mat.gelu_grad(x, "none", mat.gelu(x)),
        lambda x: normal_cdf(x) + x * normal_pdf(x),
        (0, 1),
        None,
        constant(4),
    ),
    Row("gelu_grad(tanh)", lambda x: mat.gelu_grad(x, "tanh"), gelu_tanh_grad, (0, 1), None, constant(6)),
]
