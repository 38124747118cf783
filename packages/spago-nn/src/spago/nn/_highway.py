"""Highway: how much of the input to let through unchanged, learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._module import Module
from spago.nn._param import Param


class Highway(Module):
    """A layer that learns how much of its input to let through unchanged.

        t = σ(W_t·x + b_t)
        h = act(W_h·x + b_h)
        y = t ⊙ h + (1 - t) ⊙ x

    The paper starts deep networks with b_t of -1 to -4, so that at first they let nearly everything through.

    Shapes:
        x, y: (..., D)
        weight_t, weight_h: (D, D), Xavier-uniform at first
        bias_t, bias_h: (D,), 0 at first

    Source:
        R. K. Srivastava, K. Greff, J. Schmidhuber (2015), "Highway Networks", arXiv:1505.00387, eq. 3.

    Args:
        num_features: D.
        activation: A function from node to node.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.Highway(3)(np.zeros((5, 4, 3), np.float32)).shape
        (5, 4, 3)
    """

    def __init__(
        self,
        num_features: int,
        *,
        activation: Callable[[Node], Node] = ag.tanh,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_features < 1:
            raise ShapeError(f"Highway: expected at least 1 feature, got {num_features}")
        self.num_features = num_features
        self.activation = activation
        shape = (num_features, num_features)
        self.weight_t = Param(xavier_uniform(shape, rng=rng, dtype=dtype), name="weight_t")
        self.bias_t = Param(np.zeros(num_features, dtype), name="bias_t")
        self.weight_h = Param(xavier_uniform(shape, rng=rng, dtype=dtype), name="weight_h")
        self.bias_h = Param(np.zeros(num_features, dtype), name="bias_h")

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equations are in the class.

        Raises:
            ShapeError: When the last axis of x has not num_features elements.
        """
        shape = np.shape(x)
        if shape[-1:] != (self.num_features,):
            raise ShapeError(
                f"Highway: expected x of shape (..., {self.num_features}) for weight_t {self.weight_t.shape}, "
                f"got {shape}; features are the last axis"
            )
        t = ag.sigmoid(ag.linear(x, self.weight_t, self.bias_t))
        h = self.activation(ag.linear(x, self.weight_h, self.bias_h))
        return t * h + (1 - t) * x

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.num_features}"
