"""Layers whose weights are about to be read: nothing is drawn for them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago.mat import Array
from spago.mat.rand import LockedRand, Shape


class NoDraw(LockedRand):
    """A generator that gives zeros, which cost nothing, and leaves the generator of `mat.rand` as it is."""

    def __init__(self) -> None:
        super().__init__(0)

    def uniform(
        self, shape: Shape = None, low: float = 0.0, high: float = 1.0, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """Zeros."""
        zeros: Array = np.zeros(() if shape is None else shape, dtype)
        return zeros

    def normal(
        self, shape: Shape = None, mean: float = 0.0, std: float = 1.0, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """Zeros."""
        return self.uniform(shape, dtype=dtype)
