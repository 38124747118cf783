"""Conv1x1: channels mixed, each position by itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._module import Module
from spago.nn._param import Param


class Conv1x1(Module):
    """An affine map of the channels at each position: a `Linear` along the axis before the last one.

        y[o, n] = bias[o] + Σ_c weight[o, c] · x[c, n]

    It is `Conv1d` with a kernel of size 1, whose weight has one axis more. For sequences (..., T, D), it mixes time
    steps, each feature by itself.

    Shapes:
        x: (..., C, N)
        y: (..., O, N)
        weight: (O, C), Xavier-uniform at first
        bias: (O,), 0 at first; None where bias is False

    Args:
        in_channels: C.
        out_channels: O.
        bias: Whether a bias is added.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.Conv1x1(3, 2)(np.zeros((5, 3, 4), np.float32)).shape
        (5, 2, 4)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bias: bool = True,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if in_channels < 1 or out_channels < 1:
            raise ShapeError(f"Conv1x1: expected sizes of at least 1, got {in_channels} and {out_channels} channels")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.weight = Param(xavier_uniform((out_channels, in_channels), rng=rng, dtype=dtype), name="weight")
        self.bias = Param(np.zeros(out_channels, dtype), name="bias") if bias else None

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When the axis before the last one of x has not in_channels elements.
        """
        shape = np.shape(x)
        if len(shape) < 2 or shape[-2] != self.in_channels:
            raise ShapeError(
                f"Conv1x1: expected x of shape (..., {self.in_channels}, N) for weight {self.weight.shape}, "
                f"got {shape}; channels come before positions"
            )
        return ag.conv1d(x, ag.expand_dims(self.weight, -1), self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.in_channels}, {self.out_channels}"
