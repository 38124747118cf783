"""Layers whose weights are about to be read: nothing is drawn for them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from spago.mat import Array
from spago.mat.rand import LockedRand, Shape


class NoDraw(LockedRand):
    """A generator that gives zeros, which cost nothing, and leaves the generator of `mat.rand` as it is.

    Args:
        limit: How many numbers may be asked for.
    """

    def __init__(self, limit: int = 1 << 62) -> None:
        super().__init__(0)
        self._left = limit

    def uniform(
        self, shape: Shape = None, low: float = 0.0, high: float = 1.0, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """Zeros.

        Raises:
            ValueError: They are too many.
        """
        shape = () if shape is None else shape
        self._left -= math.prod(shape) if isinstance(shape, tuple) else shape
        if self._left < 0:
            raise ValueError(f"sizes in proportion to the file, not {shape}")
        zeros: Array = np.zeros(shape, dtype)
        return zeros

    def normal(
        self, shape: Shape = None, mean: float = 0.0, std: float = 1.0, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """Zeros."""
        return self.uniform(shape, dtype=dtype)
