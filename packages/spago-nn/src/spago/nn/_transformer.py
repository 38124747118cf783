"""The layers of a Transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand
from spago.mat.rand import LockedRand
from spago.nn._dropout import Dropout
from spago.nn._key_value_cache import KeyValueCache
from spago.nn._layer_norm import LayerNorm
from spago.nn._linear import Linear
from spago.nn._masks import as_sequences_of
from spago.nn._module import Module
from spago.nn._multihead_attention import MultiheadAttention

Activation = Callable[[Node], Node]


class TransformerEncoderLayer(Module):
    """A layer of a Transformer's encoder: self-attention, then a network of two layers for each position.

        x = norm1(x + dropout1(self_attn(x)))
        x = norm2(x + dropout2(f(x)))
        f(x) = linear2(dropout(activation(linear1(x))))

    With norm_first, each line is x = x + part(norm(x)) instead of x = norm(x + part(x)).

    Shapes:
        xs, ys: (T, E) or (B, T, E)
        self_attn: a `MultiheadAttention` of size E
        linear1: a `Linear` E → F, linear2: F → E
        norm1, norm2: a `LayerNorm` of size E

    Source:
        A. Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, section 3.1; norm_first: R. Xiong et
        al. (2020), "On Layer Normalization in the Transformer Architecture", arXiv:2002.04745.

    Args:
        embed_dim: E.
        num_heads: Heads of the attention; a divisor of E.
        feedforward_dim: F.
        dropout: Probability of a zero in training: of weights of the attention, and of results of both parts.
        activation: From node to node, each vector for itself, such as `ag.relu` and `ag.gelu`.
        eps: That of the normalization.
        norm_first: Whether normalization stands before each part, else after it.
        bias: Whether linear maps and normalization have biases.
        rng: Where initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> layer = nn.TransformerEncoderLayer(8, 2, 16)
        >>> layer(np.ones((2, 5, 8), np.float32), lengths=[5, 3]).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        feedforward_dim: int = 2048,
        *,
        dropout: float = 0.1,
        activation: Activation = ag.relu,
        eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        shared: Any = {"bias": bias, "rng": rng, "dtype": dtype}
        self.self_attn = MultiheadAttention(embed_dim, num_heads, dropout=dropout, **shared)
        self.linear1 = Linear(embed_dim, feedforward_dim, **shared)
        self.linear2 = Linear(feedforward_dim, embed_dim, **shared)
        self.norm1 = LayerNorm(embed_dim, eps=eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(embed_dim, eps=eps, bias=bias, dtype=dtype)
        self.dropout, self.dropout1, self.dropout2 = (Dropout(dropout) for _ in range(3))
        self.activation = activation
        self.norm_first = norm_first

    def forward(
        self,
        xs: Operand,
        *,
        mask: npt.ArrayLike | Node | None = None,
        lengths: npt.ArrayLike | None = None,
        key_mask: npt.ArrayLike | None = None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Node:
        """Return ys; the equations are in the class, the arguments in `MultiheadAttention`.

        With lengths or key_mask, what stands in the padding is not looked at; results there mean nothing.
        """
        x = as_sequences_of(xs, self.self_attn.embed_dim, "TransformerEncoderLayer", "xs", "embed_dim")

        def attend(x: Node) -> Node:
            y = self.self_attn(x, mask=mask, lengths=lengths, key_mask=key_mask, causal=causal, cache=cache)
            dropped: Node = self.dropout1(y)
            return dropped

        x = _residual(x, attend, self.norm1, self.norm_first)
        return _residual(x, self._feed_forward, self.norm2, self.norm_first)

    def _feed_forward(self, x: Node) -> Node:
        h = self.dropout(_activated(self.linear1(x), self.activation))
        y: Node = self.dropout2(self.linear2(h))
        return y

    def extra_repr(self) -> str:
        """Whether normalization stands first."""
        return "norm_first=True" if self.norm_first else ""


class DecoderCache(NamedTuple):
    """What a decoder layer remembers from one step to the next.

    Attributes:
        self_attn: Keys and values of the steps so far.
        multihead_attn: Those of the memory.
    """

    self_attn: KeyValueCache
    multihead_attn: KeyValueCache


class TransformerDecoderLayer(Module):
    """A layer of a Transformer's decoder: self-attention, attention to the encoder's results, a network of two layers.

        x = norm1(x + dropout1(self_attn(x)))
        x = norm2(x + dropout2(multihead_attn(x, memory)))
        x = norm3(x + dropout3(f(x)))
        f(x) = linear2(dropout(activation(linear1(x))))

    With norm_first, each line is x = x + part(norm(x)) instead of x = norm(x + part(x)).

    Shapes:
        xs, ys: (T, E) or (B, T, E)
        memory: (S, E) or (B, S, E)
        self_attn, multihead_attn: a `MultiheadAttention` of size E
        linear1: a `Linear` E → F, linear2: F → E
        norm1, norm2, norm3: a `LayerNorm` of size E

    Source:
        A. Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, section 3.1; norm_first: R. Xiong et
        al. (2020), "On Layer Normalization in the Transformer Architecture", arXiv:2002.04745.

    Args:
        embed_dim: E.
        num_heads: Heads of both attentions; a divisor of E.
        feedforward_dim: F.
        dropout: Probability of a zero in training: of weights of the attentions, and of results of all parts.
        activation: From node to node, each vector for itself, such as `ag.relu` and `ag.gelu`.
        eps: That of the normalization.
        norm_first: Whether normalization stands before each part, else after it.
        bias: Whether linear maps and normalization have biases.
        rng: Where initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> layer, cache = nn.TransformerDecoderLayer(8, 2, 16).eval(), nn.TransformerDecoderLayer.cache()
        >>> xs, memory = np.eye(3, 8), np.ones((4, 8))
        >>> steps = [layer(x[None], memory, cache=cache).value[0] for x in xs]
        >>> np.allclose(steps, layer(xs, memory, causal=True).value)
        True
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        feedforward_dim: int = 2048,
        *,
        dropout: float = 0.1,
        activation: Activation = ag.relu,
        eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        shared: Any = {"bias": bias, "rng": rng, "dtype": dtype}
        self.self_attn = MultiheadAttention(embed_dim, num_heads, dropout=dropout, **shared)
        self.multihead_attn = MultiheadAttention(embed_dim, num_heads, dropout=dropout, **shared)
        self.linear1 = Linear(embed_dim, feedforward_dim, **shared)
        self.linear2 = Linear(feedforward_dim, embed_dim, **shared)
        self.norm1 = LayerNorm(embed_dim, eps=eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(embed_dim, eps=eps, bias=bias, dtype=dtype)
        self.norm3 = LayerNorm(embed_dim, eps=eps, bias=bias, dtype=dtype)
        self.dropout, self.dropout1, self.dropout2, self.dropout3 = (Dropout(dropout) for _ in range(4))
        self.activation = activation
        self.norm_first = norm_first

    @staticmethod
    def cache() -> DecoderCache:
        """Return an empty cache for decoding step by step."""
        return DecoderCache(KeyValueCache(), KeyValueCache(grows=False))

    def forward(
        self,
        xs: Operand,
        memory: Operand,
        *,
        mask: npt.ArrayLike | Node | None = None,
        lengths: npt.ArrayLike | None = None,
        causal: bool = False,
        memory_mask: npt.ArrayLike | Node | None = None,
        memory_lengths: npt.ArrayLike | None = None,
        cache: DecoderCache | None = None,
    ) -> Node:
        """Return ys; the equations are in the class.

        Args:
            xs: Shape (T, E) or (B, T, E).
            memory: The encoder's results, shape (S, E) or (B, S, E).
            mask: What xs may see of xs; see `MultiheadAttention`, likewise for the next two.
            lengths: The numbers of real steps of xs, shape (B,).
            causal: Whether a step sees only those up to its own.
            memory_mask: What xs may see of memory.
            memory_lengths: The numbers of real steps of memory, shape (B,).
            cache: What earlier steps left, from `cache()`; filled.
        """
        size = self.self_attn.embed_dim
        x = as_sequences_of(xs, size, "TransformerDecoderLayer", "xs", "embed_dim")
        memory = as_sequences_of(memory, size, "TransformerDecoderLayer", "memory", "embed_dim")
        own, other = cache or (None, None)

        def attend(x: Node) -> Node:
            y = self.self_attn(x, mask=mask, lengths=lengths, causal=causal, cache=own)
            dropped: Node = self.dropout1(y)
            return dropped

        def look_up(x: Node) -> Node:
            y = self.multihead_attn(x, memory, mask=memory_mask, lengths=memory_lengths, cache=other)
            dropped: Node = self.dropout2(y)
            return dropped

        x = _residual(x, attend, self.norm1, self.norm_first)
        x = _residual(x, look_up, self.norm2, self.norm_first)
        return _residual(x, self._feed_forward, self.norm3, self.norm_first)

    def _feed_forward(self, x: Node) -> Node:
        h = self.dropout(_activated(self.linear1(x), self.activation))
        y: Node = self.dropout3(self.linear2(h))
        return y

    def extra_repr(self) -> str:
        """Whether normalization stands first."""
        return "norm_first=True" if self.norm_first else ""


_PIECE = 1 << 14
"""Elements that are activated at a time: they stay in the second-level cache."""


def _activated(h: Node, activation: Activation) -> Node:
    """Return the activation of what a linear map has just made.

    Without a graph nobody else needs h, and it is overwritten piece by piece: another array of this size, the largest
    of the layer, would cost a tenth of its time.
    """
    if ag.is_grad_enabled():
        return activation(h)
    rows = h.value.reshape(-1, h.shape[-1])
    step = max(1, _PIECE // rows.shape[1])
    for start in range(0, len(rows), step):
        piece = rows[start : start + step]
        piece[...] = activation(ag.var(piece)).value
    return ag.var(rows.reshape(h.shape))


def _residual(x: Node, part: Callable[[Node], Node], norm: LayerNorm, norm_first: bool) -> Node:
    """Return x with what a part of the layer makes of it, normalized before or after."""
    y: Node = x + part(norm(x)) if norm_first else norm(x + part(x))
    return y
