"""Attention in one head, with projections of any size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._key_value_cache import KeyValueCache
from spago.nn._linear import Linear
from spago.nn._masks import as_sequences_of, attention_bias, check_attention, masks_of_batch
from spago.nn._module import Module
from spago.nn._scaled_dot_product import attention


class SelfAttention(Module):
    """Attention in one head: to the same sequence, or to another one.

        q, k, v = query(xs), key(zs), value(zs)        zs = xs where it is not given
        p = softmax(scale q·kᵀ + mask)
        y = p·v

    Shapes:
        xs: (N, D) or (B, N, D); zs: (M, D) or (B, M, D)
        y: (N, V) or (B, N, V)
        query.weight, key.weight: (K, D), value.weight: (V, D), Xavier-uniform at first
        query.bias, key.bias: (K,), value.bias: (V,), 0 at first

    Source:
        A. Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, section 3.2.1.

    Args:
        input_size: D.
        key_size: K.
        value_size: V.
        scale: Of the scores, 1/√K by default.
        rng: Where initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        input_size: int,
        key_size: int,
        value_size: int,
        *,
        scale: float | None = None,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if min(input_size, key_size, value_size) < 1:
            raise ShapeError(
                f"SelfAttention: expected sizes of at least 1, got {input_size}, {key_size} and {value_size}"
            )
        self.input_size = input_size
        self.scale = 1 / math.sqrt(key_size) if scale is None else scale
        self.query = Linear(input_size, key_size, rng=rng, dtype=dtype)
        self.key = Linear(input_size, key_size, rng=rng, dtype=dtype)
        self.value = Linear(input_size, value_size, rng=rng, dtype=dtype)

    def forward(
        self,
        xs: Operand,
        zs: Operand | None = None,
        values: Operand | None = None,
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
            xs: Shape (N, D) or (B, N, D).
            zs: Shape (M, D) or (B, M, D); None for xs. Not looked at when the cache is complete.
            values: What the values are made of, if it is not zs.
            mask: Booleans (True: may be seen), or floats that are added to the scores; of a shape that broadcasts to
                (N, M) or (B, N, M).
            lengths: The numbers of real keys, the first ones, of a padded batch, shape (B,).
            key_mask: Booleans, which keys are real, shape (B, M) or (M,); in place of lengths.
            causal: Whether a query sees only keys up to its own place; the last query stands at the last key.
            cache: Keys and values of calls before this one, which come before those of this one; filled. M counts all.
            return_weights: Whether p is returned too.

        Returns:
            y; or the pair of y and p, shape (N, M) or (B, N, M).

        Raises:
            ShapeError: When sizes do not agree.
            TypeError: When a mask is of another dtype.
        """
        xs = as_sequences_of(xs, self.input_size, "SelfAttention", "xs", "input_size")
        q = self.query(xs)
        if cache is not None and cache.complete:
            k, v = cache.filled()
        else:
            zs = xs if zs is None else as_sequences_of(zs, self.input_size, "SelfAttention", "zs", "input_size")
            values = (
                zs
                if values is None
                else as_sequences_of(values, self.input_size, "SelfAttention", "values", "input_size")
            )
            k, v = self.key(zs), self.value(values)
            if cache is not None:
                cache.extend(k, v)
                k, v = cache.filled()
        check_attention("SelfAttention", q, k, v)
        shape = (*q.shape[:-2], 1, q.shape[-2], k.shape[-2])
        mask = masks_of_batch(mask, lengths, key_mask, shape, "SelfAttention")
        bias = attention_bias(mask, causal, shape, q, "SelfAttention")
        y = attention(bias, q, k, v, heads=1, scale=self.scale, return_weights=return_weights)
        return (y[0], y[1][..., 0, :, :]) if return_weights else y
