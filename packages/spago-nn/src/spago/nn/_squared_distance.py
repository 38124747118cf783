"""The squared distance that a linear map makes of a difference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._module import Module
from spago.nn._param import Param


class SquaredDistance(Module):
    """The squared length of a vector, most often a difference of two, after a linear map: a learned distance.

        y = (B·x)ᵀ (B·x)

    Shapes:
        x: (..., D)
        y: (...)
        weight: (R, D), the B, Xavier-uniform at first

    Source:
        J. Hewitt, C. D. Manning (2019), "A Structural Probe for Finding Syntax in Word Representations", eq. 1.

    Args:
        in_features: D.
        rank: R.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        The distances of all pairs of words in a sentence.

        >>> import numpy as np
        >>> from spago import nn
        >>> xs = np.ones((7, 3), np.float32)
        >>> nn.SquaredDistance(3, 2)(xs[:, None] - xs).shape
        (7, 7)
    """

    def __init__(
        self, in_features: int, rank: int, *, rng: LockedRand | None = None, dtype: npt.DTypeLike = np.float32
    ) -> None:
        if in_features < 1 or rank < 1:
            raise ShapeError(f"SquaredDistance: expected sizes of at least 1, got {in_features} and {rank}")
        self.in_features = in_features
        self.rank = rank
        self.weight = Param(xavier_uniform((rank, in_features), rng=rng, dtype=dtype), name="weight")

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When the last axis of x has not in_features elements.
        """
        shape = np.shape(x)
        if shape[-1:] != (self.in_features,):
            raise ShapeError(
                f"SquaredDistance: expected x of shape (..., {self.in_features}) for weight {self.weight.shape}, "
                f"got {shape}; features are the last axis"
            )
        return ag.sum(ag.square(ag.linear(x, self.weight)), axis=-1)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.in_features}, {self.rank}"
