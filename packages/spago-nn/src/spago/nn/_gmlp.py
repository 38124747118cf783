"""gMLP: gated perceptrons in place of attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._layer_norm import LayerNorm
from spago.nn._linear import Linear
from spago.nn._module import Module
from spago.nn._sgu import SGU


class GMLPBlock(Module):
    """One layer of a `GMLP`.

        z = act(linear_in(norm(x)))
        y = x + linear_out(sgu(z))

    Shapes:
        x, y: (..., T, D)
        norm: a `LayerNorm` of size D
        linear_in: a `Linear` D → F, linear_out: F / 2 → D
        sgu: an `SGU` of F features and T steps

    Args:
        num_features: D.
        seq_len: T.
        hidden: F, an even number.
        activation: From node to node.
        gate_activation: That of the gating unit.
        eps: That of the normalization.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        num_features: int,
        seq_len: int,
        hidden: int,
        *,
        activation: Callable[[Node], Node],
        gate_activation: Callable[[Node], Node] | None,
        eps: float,
        rng: LockedRand | None,
        dtype: npt.DTypeLike,
    ) -> None:
        self.activation = activation
        self.norm = LayerNorm(num_features, eps=eps, dtype=dtype)
        self.linear_in = Linear(num_features, hidden, rng=rng, dtype=dtype)
        self.sgu = SGU(hidden, seq_len, activation=gate_activation, eps=eps, rng=rng, dtype=dtype)
        self.linear_out = Linear(hidden // 2, num_features, rng=rng, dtype=dtype)

    def forward(self, x: Node) -> Node:
        """Return y for x; the equations are in the class."""
        z = self.activation(self.linear_in(self.norm(x)))
        y: Node = x + self.linear_out(self.sgu(z))
        return y


class GMLP(Module):
    """gMLP: layers that mix time steps by gated perceptrons, where a Transformer has attention.

        x = x + linear_out(sgu(act(linear_in(norm(x)))))        for each layer, with its own parameters

    Shapes:
        x: (..., T', D), of at most T = seq_len steps
        y: (..., T, D): as in the reference, zeros follow a shorter x, and the result has a row for each of them, too
        layers: list of blocks, each with norm, a `LayerNorm` of size D; linear_in, a `Linear` D → ff_mult D; sgu, an
            `SGU` of these features; linear_out, a `Linear` ff_mult D / 2 → D

    Source:
        H. Liu et al. (2021), "Pay Attention to MLPs", arXiv:2105.08050, section 2.

    Args:
        num_features: D.
        seq_len: T.
        depth: The number of layers.
        ff_mult: How many times as many features there are inside of a layer.
        activation: From node to node; the reference has `Activation("gelu", approximate="tanh")`.
        gate_activation: That of the gating unit; None for none, as in the paper.
        eps: That of the normalization; the reference has 1e-12.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.GMLP(8, 5, depth=2)(np.zeros((2, 5, 8), np.float32)).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        num_features: int,
        seq_len: int,
        depth: int,
        *,
        ff_mult: int = 4,
        activation: Callable[[Node], Node] = ag.gelu,
        gate_activation: Callable[[Node], Node] | None = None,
        eps: float = 1e-5,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_features < 1 or seq_len < 1 or depth < 1 or ff_mult < 1 or num_features * ff_mult % 2:
            raise ShapeError(
                "GMLP: expected sizes of at least 1, and an even ff_mult · num_features, got num_features "
                f"{num_features}, seq_len {seq_len}, depth {depth}, ff_mult {ff_mult}"
            )
        self.num_features = num_features
        self.seq_len = seq_len
        self.layers = [
            GMLPBlock(
                num_features,
                seq_len,
                ff_mult * num_features,
                activation=activation,
                gate_activation=gate_activation,
                eps=eps,
                rng=rng,
                dtype=dtype,
            )
            for _ in range(depth)
        ]

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When x has more than seq_len steps, or not num_features features.
        """
        shape = np.shape(x)
        if len(shape) < 2 or shape[-2] > self.seq_len or shape[-1] != self.num_features:
            raise ShapeError(
                f"GMLP: expected x of shape (..., T, {self.num_features}), at most seq_len {self.seq_len} steps of "
                f"num_features features, got {shape}"
            )
        y = ag.pad(x, [*[(0, 0)] * (len(shape) - 2), (0, self.seq_len - shape[-2]), (0, 0)])
        for layer in self.layers:
            y = layer(y)
        return y

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_features}, {self.seq_len}, depth={len(self.layers)}"
