"""MixerBlock: a layer of MLP-Mixer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._containers import Sequential
from spago.nn._layer_norm import LayerNorm
from spago.nn._linear import Linear
from spago.nn._module import Module


class MixerBlock(Module):
    """A layer of MLP-Mixer: one network mixes time steps, each feature by itself, another mixes features.

        u = x + token_mixer(token_norm(x)ᵀ)ᵀ
        y = u + channel_mixer(channel_norm(u))

    Shapes:
        x, y: (..., T, D), of exactly T = seq_len steps
        token_norm, channel_norm: a `LayerNorm` of size D
        token_mixer: a `Linear` T → token_hidden, an activation, a `Linear` token_hidden → T
        channel_mixer: a `Linear` D → channel_hidden, an activation, a `Linear` channel_hidden → D

    Source:
        I. Tolstikhin et al. (2021), "MLP-Mixer: An all-MLP Architecture for Vision", arXiv:2105.01601, eq. 1.

    Args:
        num_features: D, the channels of the paper.
        seq_len: T, the patches or tokens of the paper; the reference calls them channels.
        token_hidden: Features inside of the first network.
        channel_hidden: Features inside of the second network.
        token_activation: From node to node, that of the first network.
        channel_activation: That of the second network.
        eps: That of the normalization.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> mixer = nn.Sequential(*(nn.MixerBlock(8, 5, token_hidden=4, channel_hidden=32) for _ in range(3)))
        >>> mixer(np.zeros((2, 5, 8), np.float32)).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        num_features: int,
        seq_len: int,
        *,
        token_hidden: int,
        channel_hidden: int,
        token_activation: Callable[[Node], Node] = ag.gelu,
        channel_activation: Callable[[Node], Node] = ag.gelu,
        eps: float = 1e-5,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if min(num_features, seq_len, token_hidden, channel_hidden) < 1:
            raise ShapeError(
                f"MixerBlock: expected sizes of at least 1, got num_features {num_features}, seq_len {seq_len}, "
                f"token_hidden {token_hidden}, channel_hidden {channel_hidden}"
            )
        self.num_features = num_features
        self.seq_len = seq_len
        self.token_norm = LayerNorm(num_features, eps=eps, dtype=dtype)
        self.token_mixer = Sequential(
            Linear(seq_len, token_hidden, rng=rng, dtype=dtype),
            token_activation,
            Linear(token_hidden, seq_len, rng=rng, dtype=dtype),
        )
        self.channel_norm = LayerNorm(num_features, eps=eps, dtype=dtype)
        self.channel_mixer = Sequential(
            Linear(num_features, channel_hidden, rng=rng, dtype=dtype),
            channel_activation,
            Linear(channel_hidden, num_features, rng=rng, dtype=dtype),
        )

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equations are in the class.

        Raises:
            ShapeError: When x has not seq_len steps of num_features features.
        """
        shape = np.shape(x)
        if shape[-2:] != (self.seq_len, self.num_features):
            raise ShapeError(
                f"MixerBlock: expected x of shape (..., {self.seq_len}, {self.num_features}), seq_len steps of "
                f"num_features features, got {shape}; pad shorter sequences"
            )
        u = ag.add(x, ag.swapaxes(self.token_mixer(ag.swapaxes(self.token_norm(x), -1, -2)), -1, -2))
        y: Node = u + self.channel_mixer(self.channel_norm(u))
        return y

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_features}, {self.seq_len}"
