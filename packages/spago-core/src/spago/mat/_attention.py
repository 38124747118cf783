"""Scaled dot-product attention, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spago.mat._types import Array

_PIECE = 1 << 17
"""Scores that are done at a time: they stay in the second-level cache."""

_SMALL = 30.0
"""Scores of this size need no shift: exp(30) is 1e13, which leaves sums and products far from the ends of float32."""


@dataclass(frozen=True, slots=True)
class AttentionSteps:
    """What `attention_forward` leaves for the way back.

    Attributes:
        exponentials: exp(score), or exp(score - largest score of the row) where scores may be large, (B, H, N, M).
        inverse: 1 over their sum, (B, H, N, 1); 0 where all scores are -inf.
        outputs: What was returned, (B, H, N, V).
    """

    exponentials: Array
    inverse: Array
    outputs: Array

    def weights(self) -> Array:
        """What each query takes of each value, (B, H, N, M)."""
        weights: Array = self.exponentials * self.inverse
        return weights


@np.errstate(all="ignore")
def attention_forward(  # noqa: PLR0917 - what the mathematics needs
    q: Array,
    k: Array,
    v: Array,
    scale: float,
    bias: Array | None = None,
    factors: Array | None = None,
    keep: bool = True,
) -> tuple[Array, AttentionSteps | None]:
    """Attention of N queries to M keys and their values, in B sequences and H heads.

        p = softmax(scale q·kᵀ + bias)
        y = (p ⊙ factors)·v

    A row of scores that are all -inf has weights and outputs 0. Scores beyond the range of the dtype give NaN. The
    relative error of a weight is at most (8 + 2 |score| + (D + M)/8) eps, with the largest score of its row.

    Nothing of the size of the scores is written but one array, which is as small as the second-level cache if nothing
    is kept: y is divided by the sum of a row of exponentials, not the row. Where |q| |k| tells that all scores are
    small, the maximum is not looked for; values below 1e-25 may then lose digits in float32.

    Args:
        q: (B, H, N, D). This and the next two may be views in which only the last axis is contiguous.
        k: (B, H, M, D).
        v: (B, H, M, V).
        scale: Of the scores, as a rule 1/√D.
        bias: Added to the scores, what broadcasts to (B, H, N, M): -inf where a query must not see a key. Or None.
        factors: (B, H, N, M), such as those of dropout, or None.
        keep: Whether there will be a way back.

    Returns:
        y, a view (B, H, N, V) of an array (B, N, H, V); and what `attention_backward` needs, if it is kept.
    """
    b, h, n, m = *q.shape[:3], k.shape[2]
    y = _heads_inside(b, h, n, v.shape[3], q.dtype)
    exponentials = np.empty((b, h, n, m), q.dtype) if keep else None
    inverse = np.empty((b, h, n, 1), q.dtype) if keep else None
    scratch: Array | None = None
    # A product with it sums rows in a quarter of the time.
    ones = np.ones((m, 1), q.dtype)
    for heads, parts in _pieces(b, h, n, m):
        # BLAS multiplies small matrices in two thirds of the time when each is contiguous.
        keys = np.multiply(_transposed(k[heads]), scale, order="C")
        values = np.ascontiguousarray(v[heads])
        for part in parts:
            piece = (*heads, part)
            queries, out = q[piece], y[piece]
            shape = (*queries.shape[:3], m)
            if exponentials is not None:
                scores = exponentials[piece]
            else:
                # The first piece is the largest.
                scratch = np.empty(math.prod(shape), q.dtype) if scratch is None else scratch
                scores = scratch[: math.prod(shape)].reshape(shape)
            np.matmul(queries, keys, out=scores)
            added = None if bias is None else _piece_of(bias, piece)
            if added is not None:
                scores += added
            if not _are_small(queries, keys, added, scores.size):
                top = np.maximum.reduce(scores, axis=-1, keepdims=True, initial=-np.inf)
                # A row of -inf: the difference must not be NaN.
                top[top == -np.inf] = 0
                scores -= top
            np.exp(scores, out=scores)
            total = np.matmul(scores, ones)
            # It is 0 where all scores are -inf, and only there.
            one_over = np.where(total == 0, 0, 1 / total)
            if inverse is not None:
                inverse[piece] = one_over
            np.matmul(scores if factors is None else scores * factors[piece], values, out=out)
            out *= one_over
    return y, None if exponentials is None or inverse is None else AttentionSteps(exponentials, inverse, y)


@np.errstate(all="ignore")
def attention_backward(  # noqa: PLR0917 - what the mathematics needs
    g: Array,
    steps: AttentionSteps,
    q: Array,
    k: Array,
    v: Array,
    scale: float,
    factors: Array | None = None,
    g_weights: Array | None = None,
    out: tuple[Array | None, Array | None, Array | None, Array | None] = (None, None, None, None),
) -> None:
    """Compute the gradients of what `attention_forward` was given.

        g_p = factors ⊙ g·vᵀ + g_weights
        g_scores = p ⊙ (g_p - Σ_m p g_p),    where Σ_m p (factors ⊙ g·vᵀ) = g·y
        g_q = scale g_scores·k,  g_k = scale g_scoresᵀ·q,  g_v = (p ⊙ factors)ᵀ·g

    Args:
        g: The gradient of y, (B, H, N, V).
        steps: What `attention_forward` kept.
        q, k, v: As there.
        scale: As there.
        factors: As there.
        g_weights: The gradient of p, (B, H, N, M), or None.
        out: Where the gradients of q, k, v and of the scores are written; None for what is not asked for.
    """
    g_q, g_k, g_v, g_scores = out
    b, h, n, m = steps.exponentials.shape
    for piece, _ in _pieces(b, h, n, m, whole=True):
        e = steps.exponentials[piece]
        # p = e / Σ e: dividing what is multiplied by p, which is smaller, spares a pass over the scores.
        scaled = np.multiply(g[piece], steps.inverse[piece], order="C")
        if g_v is not None:
            np.matmul(_transposed(e if factors is None else e * factors[piece]), scaled, out=g_v[piece])
        d = np.matmul(
            scaled, np.ascontiguousarray(_transposed(v[piece])), out=None if g_scores is None else g_scores[piece]
        )
        if factors is not None:
            d *= factors[piece]
        inner = np.einsum("bhnv,bhnv->bhn", scaled, steps.outputs[piece])[..., None]
        if g_weights is not None:
            extra = g_weights[piece] * steps.inverse[piece]
            d += extra
            inner += np.einsum("bhnm,bhnm->bhn", e, extra)[..., None] * steps.inverse[piece]
        d -= inner
        d *= e
        if g_q is not None:
            np.matmul(d, np.multiply(k[piece], scale, order="C"), out=g_q[piece])
        if g_k is not None:
            np.matmul(_transposed(d), np.multiply(q[piece], scale, order="C"), out=g_k[piece])


def _are_small(q: Array, k: Array, bias: Array | None, count: int) -> bool:
    """Whether scores need no shift, as far as lengths of vectors tell.

    Args:
        q: (B, H, N, D).
        k: (B, H, D, M), scaled.
        bias: What broadcasts to (B, H, N, M), or None. Its -inf are no obstacle.
        count: Of the scores; a bias of many elements is not worth a look.
    """
    squares = np.einsum("bhnd,bhnd->bhn", q, q), np.einsum("bhdm,bhdm->bhm", k, k)
    score = math.prod(math.sqrt(np.maximum.reduce(square, axis=None, initial=0)) for square in squares)
    if bias is not None:
        if bias.size > count / 4:
            return False
        score += np.maximum.reduce(np.abs(bias, where=bias != -np.inf, out=np.zeros_like(bias)), axis=None, initial=0)
    return bool(score <= _SMALL)


def _heads_inside(b: int, h: int, n: int, size: int, dtype: np.dtype[np.floating]) -> Array:
    """Return a new array (b, h, n, size) in whose memory the heads of a step lie side by side."""
    return np.empty((b, n, h, size), dtype).swapaxes(1, 2)


def _pieces(b: int, h: int, n: int, m: int, whole: bool = False) -> Iterator[tuple[tuple[slice, slice], list[slice]]]:
    """Yield slices of sequences and heads, and those of their queries, that together give all, few scores at a time.

    Args:
        b, h, n, m: Numbers of sequences, heads, queries and keys.
        whole: Whether the queries of a head stay together.
    """
    fits = max(1, _PIECE // max(1, n * m))
    heads = max(1, min(h, fits))
    sequences = max(1, fits // max(1, h))
    queries = max(1, n if whole else min(n, max(16, _PIECE // max(1, m))))
    parts = [slice(t, t + queries) for t in range(0, n, queries)]
    for i in range(0, b, sequences):
        for j in range(0, h, heads):
            yield (slice(i, i + sequences), slice(j, j + heads)), parts


def _piece_of(bias: Array, piece: tuple[slice, slice, slice]) -> Array:
    """Return the part of a broadcast array that belongs to a piece."""
    part: Array = bias[tuple(slice(None) if size == 1 else s for s, size in zip(piece, bias.shape, strict=False))]
    return part


def _transposed(x: Array) -> Array:
    return x.swapaxes(-1, -2)
