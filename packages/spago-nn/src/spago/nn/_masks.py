"""What attention may look at: masks of any kind, as what is added to scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import Array, check_lengths
from spago.mat.rand import LockedRand, default_rng


def check_attention(name: str, q: Node, k: Node, v: Node) -> None:
    """Check that queries, keys and values fit each other.

    Raises:
        ShapeError: Names what does not fit.
    """
    if min(q.ndim, k.ndim, v.ndim) < 2 or not q.shape[:-2] == k.shape[:-2] == v.shape[:-2]:
        raise ShapeError(
            f"{name}: expected q (..., N, D), k (..., M, D) and v (..., M, V) with equal axes before them, "
            f"got {q.shape}, {k.shape} and {v.shape}"
        )
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(f"{name}: expected q and k of one size D, got {q.shape} and {k.shape}")
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(f"{name}: expected as many values as keys, got k {k.shape} and v {v.shape}")


def attention_bias(mask: Any, causal: bool, shape: tuple[int, ...], q: Node, layer: str) -> Any:
    """Return what is added to scores so that a mask and causality hold, or None.

    Args:
        mask: Booleans, True where a query may see a key, or floats, or None.
        causal: As in `scaled_dot_product_attention`.
        shape: Of the scores, (..., N, M).
        q: The queries, for the dtype.
        layer: What messages begin with.

    Raises:
        ShapeError: The mask does not broadcast to the scores.
        TypeError: It is neither of booleans nor of floats.
    """
    order = _causal(shape[-2], shape[-1], q.dtype) if causal and shape[-2] > 1 else None
    if mask is None:
        return order
    if isinstance(mask, Node):
        _check_broadcast(mask.shape, shape, layer)
        bias = mask if mask.shape == shape or not mask.requires_grad else ag.broadcast_to(mask, shape)
        return bias if order is None else bias + order
    array = np.asarray(mask)
    _check_broadcast(array.shape, shape, layer)
    if array.dtype == np.bool_:
        added: Array = np.where(array, 0, -np.inf).astype(q.dtype)
    elif array.dtype.kind == "f":
        added = array.astype(q.dtype, copy=False)
    else:
        raise TypeError(
            f"{layer}: expected a mask of booleans (True: may be seen) or of floats (added to scores), "
            f"got {array.dtype}; convert it with .astype(bool)"
        )
    added = added if order is None else added + order
    return added if added.ndim > 1 else np.broadcast_to(added, (1, shape[-1]))


def _check_broadcast(shape: tuple[int, ...], scores: tuple[int, ...], layer: str) -> None:
    try:
        fits = np.broadcast_shapes(shape, scores) == scores
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{layer}: expected a mask that broadcasts to scores {scores}, got {shape}")


def _causal(n: int, m: int, dtype: np.dtype[Any]) -> Array:
    """Return 0 where query i may see key j, j ≤ i + m - n, and -inf elsewhere."""
    order: Array = np.triu(np.full((n, m), -np.inf, dtype), k=m - n + 1)
    return order


def dropout_factors(p: float, shape: tuple[int, ...], q: Node, rng: LockedRand | None) -> Array | None:
    """Return what weights are multiplied by in dropout, or None where p is 0.

    Raises:
        ValueError: When p is no probability.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: expected a probability from 0 to 1, got {p}")
    if p == 0:
        return None
    factors = (rng or default_rng()).bernoulli(shape, p, q.dtype)
    if p < 1:
        factors *= 1 / (1 - p)
    return factors


def booleans(mask: npt.ArrayLike, shape: tuple[int, ...], layer: str, name: str) -> npt.NDArray[np.bool_]:
    """Return a mask of booleans that has been checked.

    Raises:
        ShapeError: It has another shape.
        TypeError: It has another dtype.
    """
    array: npt.NDArray[np.bool_] = np.asarray(mask)
    if array.dtype != np.bool_:
        raise TypeError(f"{layer}: expected {name} of booleans, got {array.dtype}; True stands for what is real")
    if array.shape != shape:
        raise ShapeError(f"{layer}: expected {name} of shape {shape}, got {array.shape}")
    return array


def as_sequences_of(x: Operand, size: int, layer: str, name: str, setting: str) -> Node:
    """Return sequences as one node (N, size) or (B, N, size).

    Args:
        x: The sequences.
        size: Of their vectors.
        layer: What messages begin with.
        name: What the layer calls the sequences.
        setting: What it calls the size.

    Raises:
        ShapeError: Names the layer and what was given.
    """
    node = x if isinstance(x, Node) else ag.var(x)
    if node.ndim not in (2, 3) or node.shape[-1] != size:
        raise ShapeError(
            f"{layer}: expected {name} of shape (T, {size}) or (B, T, {size}) for {setting}, got {node.shape}; "
            "features are the last axis"
        )
    return node


def masks_of_batch(
    mask: Any, lengths: npt.ArrayLike | None, key_mask: npt.ArrayLike | None, shape: tuple[int, ...], layer: str
) -> Any:
    """Return one mask that says which keys the queries of all heads may see, or None.

    Args:
        mask: Of a shape that broadcasts to (N, M), (B, N, M) or (B, H, N, M); or None.
        lengths: Numbers of real keys, (B,), or None.
        key_mask: Which keys are real, (..., M), or None.
        shape: Of the scores, (..., H, N, M).
        layer: What messages begin with.

    Raises:
        ShapeError: A mask or lengths do not fit.
        TypeError: They are of another dtype.
    """
    if len(shape) == 4 and np.ndim(mask) == 3:
        # (B, N, M): the same for all heads.
        mask = ag.expand_dims(mask, 1) if isinstance(mask, Node) else np.expand_dims(np.asarray(mask), 1)
    if lengths is None and key_mask is None:
        return mask
    if lengths is not None and key_mask is not None:
        raise ValueError(f"{layer}: expected lengths or key_mask, got both")
    if lengths is None:
        real = booleans(np.asarray(key_mask), (*shape[:-3], shape[-1]), layer, "key_mask")
    else:
        if len(shape) != 4:
            raise ShapeError(f"{layer}: expected a padded batch (B, T, E) with lengths, got scores of shape {shape}")
        counts = check_lengths(lengths, shape[-1], shape[0])
        if counts.min() == shape[-1]:
            # Without padding there is nothing to hide, which spares a pass over the scores.
            return mask
        real = np.arange(shape[-1]) < counts[:, None]
    real = real[..., None, None, :]
    if mask is None:
        return real
    if not isinstance(mask, Node) and np.asarray(mask).dtype == np.bool_:
        return np.logical_and(real, mask)
    array = mask.value if isinstance(mask, Node) else np.asarray(mask)
    hidden: Array = np.where(real, 0, -np.inf).astype(array.dtype)
    return mask + hidden
