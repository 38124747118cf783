"""Attention in several heads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import Array
from spago.mat.rand import LockedRand
from spago.nn._blank import NoDraw
from spago.nn._initial_weights import xavier_uniform
from spago.nn._key_value_cache import KeyValueCache
from spago.nn._linear import Linear
from spago.nn._masks import as_sequences_of, attention_bias, dropout_factors, masks_of_batch
from spago.nn._module import Module
from spago.nn._param import Param
from spago.nn._positions import RotaryPositions
from spago.nn._scaled_dot_product import attention


class MultiheadAttention(Module):
    """Attention in several heads, each with its own projections: self-attention, or attention to another sequence.

        q, k, v = W_q·query + b_q,  W_k·key + b_k,  W_v·value + b_v        cut into H heads of D = E/H features
        p_h = softmax(q_h·k_hᵀ / √D + mask)
        y = out_proj(concat_h(p_h·v_h))

    Unlike PyTorch's layer it takes batches first, True in a mask stands for what may be seen, and weights are not
    averaged over the heads.

    Shapes:
        query: (N, E) or (B, N, E)
        key: (M, K) or (B, M, K), value: (M, V) or (B, M, V); K = V = E unless kdim or vdim says otherwise
        y: that of query
        in_proj_weight: (3E, E), W_q, W_k, W_v one below the other, each head Xavier-uniform at first; where K or V is
            not E, q_proj_weight: (E, E), k_proj_weight: (E, K), v_proj_weight: (E, V) instead
        in_proj_bias: (3E,), b_q, b_k, b_v, 0 at first; None where bias is False
        out_proj.weight: (E, E), Xavier-uniform at first
        out_proj.bias: (E,), 0 at first; None where bias is False

    Source:
        A. Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, section 3.2.2.

    Args:
        embed_dim: E.
        num_heads: H, which divides E.
        bias: Whether projections have biases.
        dropout: The probability with which weights are set to 0 in training.
        kdim: K, features of keys; E by default.
        vdim: V, features of values; E by default.
        rotary: Turns queries and keys by their positions; those in a cache count.
        rng: Where initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> attention = nn.MultiheadAttention(8, 2)
        >>> attention(np.ones((2, 5, 8), np.float32), lengths=[5, 3]).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        bias: bool = True,
        dropout: float = 0.0,
        kdim: int | None = None,
        vdim: int | None = None,
        rotary: RotaryPositions | None = None,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ShapeError(
                f"MultiheadAttention: expected num_heads that divides embed_dim, got {num_heads} heads for {embed_dim}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: expected a probability dropout from 0 to 1, got {dropout}")
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        if min(self.kdim, self.vdim) < 1:
            raise ShapeError(f"MultiheadAttention: expected sizes of at least 1, got kdim {kdim} and vdim {vdim}")
        size = embed_dim // num_heads
        if rotary is not None and rotary.num_features > size:
            raise ShapeError(f"MultiheadAttention: expected rotary for {size} features at most, got {rotary}")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.rotary = rotary
        # Drawn first, as in the reference.
        out_proj = Linear(embed_dim, embed_dim, bias=bias, rng=rng, dtype=dtype)
        weights = _initial_weights(num_heads, size, (embed_dim, self.kdim, self.vdim), rng, dtype)
        if self._is_packed:
            self.in_proj_weight = Param(weights[0], name="in_proj_weight")
        else:
            self.q_proj_weight = Param(weights[0], name="q_proj_weight")
            self.k_proj_weight = Param(weights[1], name="k_proj_weight")
            self.v_proj_weight = Param(weights[2], name="v_proj_weight")
        self.in_proj_bias = Param(np.zeros(3 * embed_dim, dtype), name="in_proj_bias") if bias else None
        self.out_proj = out_proj

    @property
    def _is_packed(self) -> bool:
        """Whether the three weights are one parameter."""
        return self.kdim == self.vdim == self.embed_dim

    def forward(
        self,
        query: Operand,
        key: Operand | None = None,
        value: Operand | None = None,
        *,
        mask: npt.ArrayLike | Node | None = None,
        lengths: npt.ArrayLike | None = None,
        key_mask: npt.ArrayLike | None = None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
        return_weights: bool = False,
    ) -> Any:
        """Return y; the equations are in the class.

        Args:
            query: Shape (N, E) or (B, N, E).
            key: Shape (M, K) or (B, M, K); None for query itself. Not looked at when the cache is complete.
            value: Likewise; None for the same as key.
            mask: Booleans (True: may be seen), or floats that are added to the scores; of a shape that broadcasts to
                (N, M), (B, N, M) or (B, H, N, M).
            lengths: The numbers of real keys, the first ones, of a padded batch, shape (B,).
            key_mask: Booleans, which keys are real, shape (B, M) or (M,); in place of lengths.
            causal: Whether a query sees only keys up to its own place; the last query stands at the last key.
            cache: Keys and values of calls before this one, which come before those of this one; filled. M counts all.
            return_weights: Whether the weights of all heads are returned too.

        Returns:
            Shape of query; or the pair of that and the weights, shape (H, N, M) or (B, H, N, M).

        Raises:
            ShapeError: When sizes do not agree.
            TypeError: When a mask is of another dtype.
        """
        query = as_sequences_of(query, self.embed_dim, "MultiheadAttention", "query", "embed_dim")
        projections = self._projections(query, key, value, cache)
        keys = projections[-1].shape[-2]
        shape = (*query.shape[:-2], self.num_heads, query.shape[-2], keys)
        mask = masks_of_batch(mask, lengths, key_mask, shape, "MultiheadAttention")
        y = attention(
            attention_bias(mask, causal, shape, query, "MultiheadAttention"),
            *projections,
            heads=self.num_heads,
            scale=1 / math.sqrt(self.embed_dim // self.num_heads),
            factors=dropout_factors(self.dropout if self.training else 0.0, shape, query, None),
            return_weights=return_weights,
        )
        return (self.out_proj(y[0]), y[1]) if return_weights else self.out_proj(y)

    def _projections(
        self, query: Node, key: Operand | None, value: Operand | None, cache: KeyValueCache | None
    ) -> tuple[Node, ...]:
        """Return q, k and v, of which some may be one array; what `attention` takes."""
        plain = self._is_packed and cache is None and self.rotary is None
        if key is None and value is None and plain:
            return (self._project(query, 0, 3),)
        if cache is not None and cache.complete:
            keys, values = cache.filled()
            _check_pair(query, keys, values)
            return self._turned(self._project(query, 0, 1), 0), keys, values
        start = 0 if cache is None else len(cache)
        if key is None and value is None and self._is_packed:
            q, k, v = ag.split(self._project(query, 0, 3), 3, axis=-1)
            q = self._turned(q, start)
        else:
            key = as_sequences_of(query if key is None else key, self.kdim, "MultiheadAttention", "key", "kdim")
            q = self._turned(self._project(query, 0, 1), start)
            if value is None and plain:
                _check_pair(query, key, key)
                return q, self._project(key, 1, 3)
            value = as_sequences_of(key if value is None else value, self.vdim, "MultiheadAttention", "value", "vdim")
            _check_pair(query, key, value)
            k, v = self._project(key, 1, 2), self._project(value, 2, 3)
        k = self._turned(k, start)
        if cache is None:
            return q, k, v
        cache.extend(k, v)
        return q, *cache.filled()

    def _project(self, x: Node, first: int, last: int) -> Node:
        """Return the projections from the first to the last one of q, k and v, one after the other."""
        bias: Node | None = self.in_proj_bias
        rows = slice(first * self.embed_dim, last * self.embed_dim)
        if self._is_packed:
            weight: Node = self.in_proj_weight if (first, last) == (0, 3) else self.in_proj_weight[rows]
        else:
            weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[first]
        if bias is not None and (first, last) != (0, 3):
            bias = bias[rows]
        y: Node = ag.linear(x, weight) if bias is None else ag.linear(x, weight, bias)
        return y

    def _turned(self, x: Node, start: int) -> Node:
        return x if self.rotary is None else self.rotary(x, start, heads=self.num_heads)

    def extra_repr(self) -> str:
        """The sizes."""
        others = "" if self._is_packed else f", kdim={self.kdim}, vdim={self.vdim}"
        return f"{self.embed_dim}, {self.num_heads}{others}{f', dropout={self.dropout}' if self.dropout else ''}"


def _initial_weights(
    heads: int, size: int, features: tuple[int, int, int], rng: LockedRand | None, dtype: npt.DTypeLike
) -> list[Array]:
    """Return the first weights of queries, keys and values, drawn head by head; as one array where that can be."""
    rows, packed = heads * size, features == (heads * size,) * 3
    if isinstance(rng, NoDraw):
        # Zeros that nobody writes take no memory.
        shapes = [(3 * rows, rows)] if packed else [(rows, d) for d in features]
        return [rng.uniform(shape, dtype=dtype) for shape in shapes]
    drawn = [[xavier_uniform((size, d), rng=rng, dtype=dtype) for d in features] for _ in range(heads)]
    parts = [np.concatenate(of_heads) for of_heads in zip(*drawn, strict=True)]
    return [np.concatenate(parts)] if packed else parts


def _check_pair(query: Node, key: Node, value: Node) -> None:
    """Check that keys and values belong together, and to the queries.

    Raises:
        ShapeError: Names the three shapes.
    """
    if query.shape[:-2] != key.shape[:-2] or key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(
            "MultiheadAttention: expected query (B, N, E), and key and value of as many steps, (B, M, …), "
            f"got {query.shape}, {key.shape} and {value.shape}"
        )
