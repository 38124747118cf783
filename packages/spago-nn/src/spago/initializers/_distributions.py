"""Numbers drawn independently from one distribution."""

import math

import numpy as np

from spago.initializers._fill import Target, fill
from spago.mat import Array
from spago.mat.rand import LockedRand, default_rng


def uniform(target: Target, low: float = 0.0, high: float = 1.0, *, rng: LockedRand | None = None) -> Target:
    """Fill with numbers uniform over [low, high), and return target."""
    if not low <= high:
        raise ValueError(f"uniform: expected low ≤ high, got {low} and {high}")
    source = rng or default_rng()
    return fill(target, lambda n: source.uniform(n, low, high))


def normal(target: Target, mean: float = 0.0, std: float = 1.0, *, rng: LockedRand | None = None) -> Target:
    """Fill with normal numbers of the given mean and standard deviation, and return target."""
    if not std >= 0:
        raise ValueError(f"normal: expected a standard deviation ≥ 0, got {std}")
    source = rng or default_rng()
    return fill(target, lambda n: source.normal(n, mean, std))


def achlioptas(target: Target, *, rng: LockedRand | None = None) -> Target:
    """Fill with -√3, 0 and √3, of probabilities 1/6, 2/3 and 1/6, and return target.

    As a projection to fewer dimensions such a sparse matrix keeps distances about as well as a normal one.

    Source: D. Achlioptas (2003), "Database-friendly random projections", Theorem 1.1.
    """
    source = rng or default_rng()

    def draw(n: int) -> Array:
        u = source.float64(n)
        return math.sqrt(3) * ((u > 1 - 1 / 6).astype(np.float64) - (u < 1 / 6))

    return fill(target, draw)
