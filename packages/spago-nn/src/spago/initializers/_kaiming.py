"""Weights that keep the variance of what passes through them, where the activation is a rectifier.

Source: K. He, X. Zhang, S. Ren, J. Sun (2015), "Delving Deep into Rectifiers", arXiv:1502.01852, eq. 10, 14 and 15.
"""

import math
from typing import Literal, TypeAlias

from spago.initializers._distributions import normal, uniform
from spago.initializers._fill import Target, array_of, fans
from spago.mat.rand import LockedRand

Mode: TypeAlias = Literal["fan_in", "fan_out"]
"""Whether the variance is kept on the way forward (fan_in) or on the way back (fan_out)."""


def kaiming_uniform(
    target: Target, slope: float = 0.0, *, mode: Mode = "fan_in", rng: LockedRand | None = None
) -> Target:
    """Fill with numbers uniform over ±√(6 / ((1 + slope²) · fan)), and return target.

    Args:
        target: Weights (out, in), or kernels (out, in, k...); a vector counts as one column.
        slope: That of the rectifier below 0: 0 for ReLU.
        mode: Which fan.
        rng: The default generator when left out.
    """
    limit = math.sqrt(3.0) * _std(target, slope, mode)
    return uniform(target, -limit, limit, rng=rng)


def kaiming_normal(
    target: Target, slope: float = 0.0, *, mode: Mode = "fan_in", rng: LockedRand | None = None
) -> Target:
    """Fill with normal numbers of mean 0 and standard deviation √(2 / ((1 + slope²) · fan)), and return target.

    Args:
        target: Weights (out, in), or kernels (out, in, k...); a vector counts as one column.
        slope: That of the rectifier below 0: 0 for ReLU.
        mode: Which fan.
        rng: The default generator when left out.
    """
    return normal(target, 0.0, _std(target, slope, mode), rng=rng)


def _std(target: Target, slope: float, mode: Mode) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'kaiming: expected mode="fan_in" or "fan_out", got {mode!r}')
    fan_in, fan_out = fans(array_of(target).shape)
    return math.sqrt(2.0 / ((1 + slope**2) * (fan_in if mode == "fan_in" else fan_out)))
