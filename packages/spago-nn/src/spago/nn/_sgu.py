"""SGU: the spatial gating unit of gMLP."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.initializers import constant, uniform
from spago.mat.rand import LockedRand
from spago.nn._conv1x1 import Conv1x1
from spago.nn._layer_norm import LayerNorm
from spago.nn._module import Module


class SGU(Module):
    """The spatial gating unit: one half of the features gates the other, across all time steps.

        u, v = the first and the second half of the features of x
        y = u ⊙ act(W·norm(v) + b)

    where W mixes time steps, each feature by itself.

    Shapes:
        x: (..., T, D), of exactly T = seq_len steps
        y: (..., T, D / 2)
        norm: a `LayerNorm` of size D / 2
        proj: a `Conv1x1` T → T, W and b; uniform over ±init_eps / T and 1 at first, so that y begins near u

    Source:
        H. Liu et al. (2021), "Pay Attention to MLPs", arXiv:2105.08050, eq. 2 and 4.

    Args:
        num_features: D, an even number.
        seq_len: T.
        activation: A function from node to node; None for none, as in the paper.
        init_eps: How small the initial weights are.
        eps: That of the normalization; the reference has 1e-12.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.SGU(8, 5)(np.zeros((2, 5, 8), np.float32)).shape
        (2, 5, 4)
    """

    def __init__(
        self,
        num_features: int,
        seq_len: int,
        *,
        activation: Callable[[Node], Node] | None = None,
        init_eps: float = 1e-3,
        eps: float = 1e-5,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_features < 2 or num_features % 2 or seq_len < 1:
            raise ShapeError(
                f"SGU: expected an even number of features and at least 1 step, got {num_features} and {seq_len}"
            )
        self.num_features = num_features
        self.seq_len = seq_len
        self.activation = activation
        self.norm = LayerNorm(num_features // 2, eps=eps, dtype=dtype)
        # What it draws is replaced, and leaves rng alone.
        self.proj = Conv1x1(seq_len, seq_len, rng=LockedRand(0), dtype=dtype)
        uniform(self.proj.weight, -init_eps / seq_len, init_eps / seq_len, rng=rng)
        if self.proj.bias is not None:
            constant(self.proj.bias, 1.0)

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equations are in the class.

        Raises:
            ShapeError: When x has not seq_len steps of num_features features.
        """
        shape = np.shape(x)
        if shape[-2:] != (self.seq_len, self.num_features):
            raise ShapeError(
                f"SGU: expected x of shape (..., {self.seq_len}, {self.num_features}), seq_len steps of num_features "
                f"features, for proj.weight {self.proj.weight.shape}, got {shape}; pad shorter sequences"
            )
        u, v = ag.split(x, 2)
        gate: Node = self.proj(self.norm(v))
        return u * (gate if self.activation is None else self.activation(gate))

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_features}, {self.seq_len}"
