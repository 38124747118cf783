"""Bounds on gradients, for all parameters jointly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from spago.mat import Array
from spago.nn import Trainable
from spago.optim._sources import Source, sources_of, with_gradient

_SMALL = 1 << 11

_TINY = 1e-30

_CHUNK = 1 << 15
"""So many squares are summed in the dtype of the gradient; the sums of chunks are added in float64."""


def clip_by_norm(params: Source | Iterable[Source], max_norm: float, p: float = 2.0, *, eps: float = 1e-6) -> float:
    """Scale all gradients down by one factor so that their joint norm is at most max_norm, and return the norm before.

        norm = (Σ |g|^p)^(1/p) over all elements of all gradients, max |g| for p = ∞
        g ← g · max_norm / (norm + eps)  where this is smaller than g

    Gradients are left as they are when the norm is infinite or NaN.

    Args:
        params: A model, a parameter, or several of them; those without gradient are passed over.
        max_norm: At least 0.
        p: From 1 to ∞ (`math.inf`).
        eps: As in PyTorch; the reference has 1e-7.

    Raises:
        ValueError: When max_norm or p is out of range; nothing has been changed.

    Examples:
        >>> from spago import nn, optim
        >>> w = nn.Param([0.0, 0.0])
        >>> w.grad = [3.0, 4.0]
        >>> optim.clip_by_norm(w, 1.0)
        5.0
        >>> w.grad
        array([0.5999999 , 0.79999983], dtype=float32)
    """
    return clip_gradients(*with_gradient(sources_of(params, "clip_by_norm")), max_norm, p, eps)


def clip_by_value(params: Source | Iterable[Source], limit: float) -> None:
    """Bring every element of all gradients into [-limit, limit]; NaN stays NaN.

    Args:
        params: A model, a parameter, or several of them; those without gradient are passed over.
        limit: At least 0.

    Raises:
        ValueError: When limit is out of range; nothing has been changed.
    """
    limit_gradients(*with_gradient(sources_of(params, "clip_by_value")), limit)


def clip_gradients(
    parameters: Sequence[Trainable], gradients: Sequence[Array], max_norm: float, p: float = 2.0, eps: float = 1e-6
) -> float:
    """Do what clip_by_norm says."""
    check_bound("clip_by_norm", "max_norm", max_norm)
    norm = joint_norm(gradients, p)
    factor = max_norm / (norm + eps)
    if factor < 1 and math.isfinite(norm):
        _change(parameters, gradients, lambda grad, out: np.multiply(grad, factor, out=out))
    return norm


def limit_gradients(parameters: Sequence[Trainable], gradients: Sequence[Array], limit: float) -> None:
    """Do what clip_by_value says."""
    check_bound("clip_by_value", "limit", limit)
    _change(parameters, gradients, lambda grad, out: np.clip(grad, -limit, limit, out=out))


def check_bound(name: str, argument: str, bound: float) -> None:
    """Raise ValueError unless bound is at least 0."""
    if not bound >= 0:
        raise ValueError(f"{name}: expected {argument} ≥ 0, got {bound}")


@np.errstate(all="ignore")
def joint_norm(arrays: Sequence[Array], p: float = 2.0) -> float:
    """Return (Σ |x|^p)^(1/p) over all elements of all arrays, for numbers of any size; 0 for none.

    Raises:
        ValueError: When p is below 1.
    """
    if not p >= 1:
        raise ValueError(f"clip_by_norm: expected p from 1 to ∞, got {p}")
    arrays = _joined(arrays)
    if p == 2:
        squares = sum(map(_sum_of_squares, arrays))
        # Squares that have left the range of their dtype are computed again, from numbers near 1.
        if math.isfinite(squares) and squares > _TINY:
            return math.sqrt(squares)
    largest = max(map(_largest, arrays), default=0.0)
    if not all_finite(arrays):
        return math.nan if any(np.isnan(array).any() for array in arrays) else math.inf
    if p == math.inf or largest == 0:
        return largest
    powers = sum(float(np.sum(np.abs(array / largest) ** p, dtype=np.float64)) for array in arrays)
    return float(largest * powers ** (1 / p))


@np.errstate(all="ignore")
def all_finite(arrays: Sequence[Array]) -> bool:
    """True when no array has NaN or infinity; one pass, unless a square overflows."""
    return all(math.isfinite(_sum_of_squares(array)) or bool(np.isfinite(array).all()) for array in _joined(arrays))


def _joined(arrays: Sequence[Array]) -> list[Array]:
    """Return the arrays, the small ones as one: a call for each would cost more than the copy."""
    small = [array for array in arrays if array.size <= _SMALL]
    if len(small) < 2:
        return [array for array in arrays if array.size]
    large = [array for array in arrays if array.size > _SMALL] if len(small) < len(arrays) else []
    return [*large, np.concatenate(small, axis=None)]


def _sum_of_squares(array: Array) -> float:
    flat = array.reshape(-1)
    if flat.size <= _CHUNK:
        return float(np.dot(flat, flat))
    chunks = (flat[start : start + _CHUNK] for start in range(0, flat.size, _CHUNK))
    return sum(float(np.dot(chunk, chunk)) for chunk in chunks)


def _largest(array: Array) -> float:
    return float(max(array.max(), -array.min())) if array.size else 0.0


@np.errstate(all="ignore")
def _change(
    parameters: Sequence[Trainable], gradients: Sequence[Array], change: Callable[[Array, Array | None], Array]
) -> None:
    """Change gradients in place, once where two parameters were given the same array; replace read-only ones."""
    changed: set[int] = set()
    for parameter, grad in zip(parameters, gradients, strict=True):
        if not grad.flags.writeable:
            parameter.grad = change(grad, None)
        elif id(grad) not in changed:
            changed.add(id(grad))
            change(grad, grad)
