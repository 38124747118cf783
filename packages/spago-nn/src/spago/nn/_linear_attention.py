"""Linear attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.nn._masks import booleans, check_attention


def linear_attention(
    q: Operand,
    k: Operand,
    v: Operand,
    *,
    feature_map: Callable[[Node], Node] = ag.positive_elu,
    eps: float = 1e-12,
    key_mask: npt.ArrayLike | None = None,
    causal: bool = False,
) -> Node:
    """Attention whose cost grows with the length, not with its square.

        y_i = φ(q_i)·Σ_j φ(k_j) v_jᵀ / (φ(q_i)·Σ_j φ(k_j) + eps)

    Args:
        q: Shape (..., N, D).
        k: Shape (..., M, D).
        v: Shape (..., M, V).
        feature_map: φ, which must give positive numbers.
        eps: Added to the divisor.
        key_mask: Shape (..., M), booleans: which keys count.
        causal: Whether the sums end at j = i; for N = M. Its memory is that of N matrices (D, V).

    Returns:
        y, shape (..., N, V).

    Raises:
        ShapeError: When sizes do not agree.
        TypeError: When key_mask is not of booleans.

    Source:
        A. Katharopoulos et al. (2020), "Transformers are RNNs", arXiv:2006.16236, eq. 5 and 9.
    """
    q, k, v = (x if isinstance(x, Node) else ag.var(x) for x in (q, k, v))
    check_attention("linear_attention", q, k, v)
    phi_q, phi_k = feature_map(q), feature_map(k)
    if key_mask is not None:
        real = booleans(key_mask, k.shape[:-1], "linear_attention", "key_mask")
        phi_k = ag.where(real[..., None], phi_k, 0.0)
        v = ag.where(real[..., None], v, 0.0)
    if causal:
        if q.shape[-2] != k.shape[-2]:
            raise ShapeError(
                f"linear_attention: expected as many queries as keys, causal, got {q.shape[-2]} and {k.shape[-2]}"
            )
        sums = ag.cumsum(ag.expand_dims(phi_k, -1) * ag.expand_dims(v, -2), axis=-3)
        y = ag.squeeze(ag.expand_dims(phi_q, -2) @ sums, axis=-2)
        total = ag.sum(phi_q * ag.cumsum(phi_k, axis=-2), axis=-1, keepdims=True)
    else:
        y = phi_q @ ag.matmul_t(phi_k, v)
        total = phi_q @ ag.expand_dims(ag.sum(phi_k, axis=-2), -1)
    return y / (total + eps)
