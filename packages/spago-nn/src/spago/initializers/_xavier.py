"""Weights that keep the variance of what passes through them, forward and backward, where the activation is linear.

Source: X. Glorot, Y. Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks",
eq. 12 and 16.
"""

import math

from spago.initializers._distributions import normal, uniform
from spago.initializers._fill import Target, array_of, fans
from spago.mat.rand import LockedRand


def xavier_uniform(target: Target, gain: float = 1.0, *, rng: LockedRand | None = None) -> Target:
    """Fill with numbers uniform over ±gain · √(6 / (fan_in + fan_out)), and return target.

    Args:
        target: Weights (out, in), or kernels (out, in, k...); a vector counts as one column.
        gain: A factor, such as that of `gain`.
        rng: The default generator when left out.

    Examples:
        >>> import numpy as np
        >>> from spago import initializers
        >>> from spago.mat.rand import LockedRand
        >>> initializers.xavier_uniform(np.empty((1, 2)), rng=LockedRand(42))
        array([[-0.31236211, -1.33659457]])
    """
    limit = gain * math.sqrt(6.0 / sum(fans(array_of(target).shape)))
    return uniform(target, -limit, limit, rng=rng)


def xavier_normal(target: Target, gain: float = 1.0, *, rng: LockedRand | None = None) -> Target:
    """Fill with normal numbers of mean 0 and standard deviation gain · √(2 / (fan_in + fan_out)), and return target.

    Args:
        target: Weights (out, in), or kernels (out, in, k...); a vector counts as one column.
        gain: A factor, such as that of `gain`.
        rng: The default generator when left out.
    """
    return normal(target, 0.0, gain * math.sqrt(2.0 / sum(fans(array_of(target).shape))), rng=rng)
