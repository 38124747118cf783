"""The values that parameters have before training."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from spago.mat import Array
from spago.mat.rand import LockedRand, default_rng


def xavier_uniform(
    shape: tuple[int, int], *, rng: LockedRand | None = None, dtype: npt.DTypeLike = np.float32
) -> Array:
    """Return a new array of weights (out, in), uniform over ±√(6 / (in + out)).

    Source: X. Glorot, Y. Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".
    """
    limit = math.sqrt(6.0 / sum(shape))
    return (rng or default_rng()).uniform(shape, -limit, limit, dtype)


def stacked_xavier_uniform(
    count: int, out: int, size: int, *, rng: LockedRand | None = None, dtype: npt.DTypeLike = np.float32
) -> Array:
    """Return the initial weights (count · out, size) of several gates, each drawn for itself, one below the other."""
    return np.concatenate([xavier_uniform((out, size), rng=rng, dtype=dtype) for _ in range(count)])
