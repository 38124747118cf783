"""Linear: the affine map of the last axis."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._module import Module
from spago.nn._param import Param


class Linear(Module):
    """An affine map of the last axis.

        y = x·weightᵀ + bias

    Shapes:
        x: (..., in_features)
        y: (..., out_features)
        weight: (out_features, in_features), Xavier-uniform at first
        bias: (out_features,), 0 at first; None where bias is False

    PyTorch starts both from a uniform distribution of width 1/√in_features instead.

    Args:
        in_features: Size of x.
        out_features: Size of y.
        bias: Whether a bias is added.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.Linear(3, 2)(np.zeros((5, 4, 3), np.float32)).shape
        (5, 4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise ShapeError(f"Linear: expected sizes of at least 1, got {in_features} and {out_features}")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Param(xavier_uniform((out_features, in_features), rng=rng, dtype=dtype), name="weight")
        self.bias = Param(np.zeros(out_features, dtype), name="bias") if bias else None

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When the last axis of x has not in_features elements.
        """
        y: Node = ag.linear(x, self.weight, self.bias)
        return y

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.in_features}, {self.out_features}"
