"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand
from spago.mat import Array, attention_backward, attention_forward
from spago.mat.rand import LockedRand
from spago.nn._masks import attention_bias, check_attention, dropout_factors


def scaled_dot_product_attention(
    q: Operand,
    k: Operand,
    v: Operand,
    mask: npt.ArrayLike | Node | None = None,
    *,
    causal: bool = False,
    dropout: float = 0.0,
    scale: float | None = None,
    return_weights: bool = False,
    rng: LockedRand | None = None,
) -> Any:
    """Attention of N queries to M keys and their values.

        p = softmax(scale q·kᵀ + mask)
        y = p·v

    A query that may see no key has weights and result 0.

    Args:
        q: Shape (..., N, D).
        k: Shape (..., M, D).
        v: Shape (..., M, V).
        mask: What broadcasts to (..., N, M). Booleans say which keys a query may see (True: it may); floats are added
            to the scores.
        causal: Whether a query sees only the keys up to its own place, the last query standing at the last key: query
            i sees the keys up to i + M - N.
        dropout: The probability with which weights are set to 0 on the way to y, and the others scaled up.
        scale: 1/√D by default.
        return_weights: Whether p is returned too.
        rng: Where dropout draws from; by default the generator of `mat.rand`.

    Returns:
        y, shape (..., N, V); or the pair of y and p, shape (..., N, M).

    Raises:
        ShapeError: When sizes do not agree.
        TypeError: When the mask is neither of booleans nor of floats.

    Source:
        A. Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, eq. 1.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> k, v = np.eye(2), np.array([[1.0], [2.0]])
        >>> nn.scaled_dot_product_attention(1e4 * k, k, v).value.tolist()
        [[1.0], [2.0]]
    """
    q, k, v = (x if isinstance(x, Node) else ag.var(x) for x in (q, k, v))
    check_attention("scaled_dot_product_attention", q, k, v)
    bias = attention_bias(mask, causal, (*q.shape[:-1], k.shape[-2]), q, "scaled_dot_product_attention")
    factors = dropout_factors(dropout, (*q.shape[:-1], k.shape[-2]), q, rng)
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1])
    return attention(bias, q, k, v, scale=scale, factors=factors, return_weights=return_weights)


@ag.operator
def attention(
    bias: Array | None,
    *projections: Array,
    heads: int | None = None,
    scale: float,
    factors: Array | None = None,
    return_weights: bool = False,
) -> tuple[Any, Any]:
    """Attention as one node, in several heads.

    Args:
        bias: Added to the scores, what broadcasts to (..., H, N, M); one that needs a gradient has that shape. Or None.
        projections: q, k and v of shapes (..., N, H·D), (..., M, H·D) and (..., M, H·V); or q, and the other two in one
            array, one after the other along the last axis; or all three in one.
        heads: H; None where there is an axis of heads, or none of them: (..., N, D), (..., M, D) and (..., M, V).
        scale: Of the scores.
        factors: What weights are multiplied by on the way to y, of the shape of the scores, or None.
        return_weights: Whether the weights, of the shape of the scores, are a second result.
    """
    dtype = np.result_type(*projections)
    arrays = [x.astype(dtype, copy=False) for x in projections]
    q, k, v = (_four_axes(x, heads) for x in _parts(arrays))
    shape = (*q.shape[:3], k.shape[2])
    lead = arrays[0].shape[:-2]
    y_shape = (*arrays[0].shape[:-1], v.shape[3] * (heads or 1))
    bias, factors = (None if x is None else _four_axes_of_scores(x, lead, shape) for x in (bias, factors))
    y, steps = attention_forward(q, k, v, scale, bias, factors, return_weights or ag.is_grad_enabled())

    def pullback(g: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        assert steps is not None
        g_y, g_weights = g if return_weights else (g, None)
        g_y = np.zeros_like(y) if g_y is None else _four_axes(g_y, heads)
        gradients = [np.empty(x.shape, dtype) for x in arrays]
        g_q, g_k, g_v = (_four_axes(x, heads) for x in _parts(gradients))
        out = (g_q, g_k, g_v, np.empty(shape, dtype) if needs[0] else None)
        g_weights = None if g_weights is None else g_weights.reshape(shape)
        attention_backward(g_y, steps, q, k, v, scale, factors, g_weights, out)
        return None if out[3] is None else out[3].reshape(g_bias_shape), *gradients

    g_bias_shape = (*lead, *shape[1 if heads else 2 :]) if lead or heads else shape[2:]
    result = y.swapaxes(1, 2).reshape(y_shape) if heads else y.reshape(y_shape)
    if return_weights and steps is not None:
        return (result, steps.weights().reshape(g_bias_shape)), pullback
    return result, pullback


def _parts(arrays: list[Array]) -> list[Array]:
    """Return q, k and v, of which the last two or all three may be one array."""
    packed = arrays[-1]
    return [*arrays[:-1], *np.split(packed, 4 - len(arrays), axis=-1)]


def _four_axes(x: Array, heads: int | None) -> Array:
    """Return sequences (..., N, H·D) as a view (B, H, N, D); without heads (..., H, N, D) as (B, H, N, D)."""
    *lead, n, size = x.shape
    if heads:
        return x.reshape(math.prod(lead), n, heads, size // heads).swapaxes(1, 2)
    return x.reshape(math.prod(lead[:-1]), lead[-1] if lead else 1, n, size)


def _four_axes_of_scores(x: Array, lead: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Return what broadcasts to scores with four axes.

    Args:
        x: Any shape that broadcasts.
        lead: The axes of the sequences before the last two.
        shape: Of the scores, with four axes.
    """
    if len(lead) > 2:
        return np.broadcast_to(x, (*lead, *shape[2:])).reshape(shape)
    return x.reshape((1,) * (4 - x.ndim) + x.shape)
