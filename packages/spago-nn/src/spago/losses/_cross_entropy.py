"""Cross-entropy of scores against classes, and what is built on it: perplexity and the focal loss."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.losses._reduction import Reduction, reduce
from spago.losses._targets import Targets, class_targets, class_weights
from spago.mat import Array

ItemLosses: TypeAlias = tuple[Array, Callable[[Any], Array]]
"""Losses of items, and their pullback: from one gradient an item, or a number for all, to that of the scores."""

_BLOCK = 1 << 16
"""How many scores are worked on at once, so that they stay in the cache."""

_SHARED = 1 << 19
"""From so many scores on, threads share the work."""


@ag.unary
def cross_entropy(
    logits: Array,
    targets: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    ignore_index: int | None = -100,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> ag.Unary:
    """Cross-entropy between softmax(logits) and classes: w_c · (-ln p_c) for target c, where p = softmax(logits).

    Label smoothing takes ε of the target and spreads it over the K classes:
    (1 - ε) · w_c · (-ln p_c) + ε / K · Σ_k w_k · (-ln p_k).

    The mean divides by the sum of the weights w_c of the targets that count; it is 0 when none does (NaN in PyTorch).
    Classes are the last axis, whatever the rank (in PyTorch the second).
    One array of the size of the logits is kept for the way back.

    Args:
        logits: Scores of the classes, shape (..., K).
        targets: Classes, integers in [0, K), shape (...); a single one for logits of shape (K,).
        weight: What each class counts, shape (K,), ≥ 0.
        ignore_index: The target of items that do not count, such as padding; None when every item counts.
        label_smoothing: ε in [0, 1].
        reduction: "none" gives shape (...).

    Raises:
        ValueError: For a target that is no class, and for settings out of range.
        ShapeError: When the shapes do not fit.
        TypeError: When targets are not integers.

    Source:
        C. Szegedy et al. (2016), arXiv:1512.00567, section 7, for label smoothing.

    Examples:
        >>> import numpy as np
        >>> from spago import ag, losses
        >>> losses.cross_entropy(ag.var(np.log([[1.0, 3.0], [1.0, 1.0]])), [1, -100]).item()  # -ln 3/4
        0.2876820724517...
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: expected label_smoothing from 0 to 1, got {label_smoothing}")
    target = class_targets(logits, targets, weight, ignore_index, "cross_entropy")
    if label_smoothing:
        soft = label_smoothing / logits.shape[-1] * class_weights(weight, logits, "cross_entropy")
        losses, pullback = _smoothed_entropies(logits, target, 1 - label_smoothing, soft)
    else:
        losses, pullback = _entropies(logits, target, target.weights)
    loss, share = reduce(losses.reshape(logits.shape[:-1]), reduction, "cross_entropy", target.count)
    return loss, lambda g: pullback(g * share)


@ag.unary
def perplexity(
    logits: Array, targets: npt.ArrayLike, *, weight: npt.ArrayLike | None = None, ignore_index: int | None = -100
) -> ag.Unary:
    """Perplexity of softmax(logits) on classes: the exponential of their mean `cross_entropy`.

    Args:
        logits: Scores of the classes, shape (..., K).
        targets: Classes, integers in [0, K), shape (...).
        weight: What each class counts, shape (K,).
        ignore_index: The target of items that do not count.

    Examples:
        >>> from spago import ag, losses
        >>> losses.perplexity(ag.var([0.0, 0.0, 0.0, 0.0]), 2).item()  # as good as guessing one of four
        4.0
    """
    target = class_targets(logits, targets, weight, ignore_index, "perplexity")
    losses, pullback = _entropies(logits, target, target.weights)
    mean, share = reduce(losses, "mean", "perplexity", target.count)
    with np.errstate(over="ignore"):
        y: Array = np.exp(mean)
    return y, lambda g: pullback(g * y * share)


@ag.unary
def focal(
    logits: Array,
    targets: npt.ArrayLike,
    gamma: float = 2.0,
    *,
    weight: npt.ArrayLike | None = None,
    ignore_index: int | None = -100,
    reduction: Reduction = "mean",
) -> ag.Unary:
    """Focal loss: w_c · (1 - p_c)^γ · (-ln p_c) for target c, where p = softmax(logits).

    Items that are classified well already count less. With gamma=0 it is `cross_entropy`.

    Args:
        logits: Scores of the classes, shape (..., K).
        targets: Classes, integers in [0, K), shape (...).
        gamma: γ ≥ 0: how much less.
        weight: What each class counts, shape (K,).
        ignore_index: The target of items that do not count.
        reduction: "mean" divides by the sum of the weights of the targets, as that of `cross_entropy`.

    Source:
        T.-Y. Lin et al. (2017), "Focal Loss for Dense Object Detection", arXiv:1708.02002, eq. 4.
    """
    if not gamma >= 0:
        raise ValueError(f"focal: expected gamma ≥ 0, got {gamma}")
    target = class_targets(logits, targets, weight, ignore_index, "focal")
    entropies, pullback = _entropies(logits, target, None)
    q = -np.expm1(-entropies)  # 1 - p_c
    modulation = q**gamma if target.weights is None else target.weights * q**gamma
    losses = (modulation * entropies).reshape(logits.shape[:-1])
    loss, share = reduce(losses, reduction, "focal", target.count)

    def focal_pullback(g: Any) -> Array:
        # For ℓ = -ln p, the derivative of q^γ ℓ by ℓ is q^γ (γ p ℓ/q + 1), and ℓ/q goes to 1 where q goes to 0.
        ratio = np.divide(entropies, q, out=np.ones_like(q), where=q > 0)
        slope = modulation * (gamma * (1 - q) * ratio + 1)
        return pullback(np.reshape(g * share, -1) * slope)

    return loss, focal_pullback


def _entropies(logits: Array, target: Targets, weights: Array | None) -> ItemLosses:
    """Return weights · (-ln p_c) of the items, exactly 0 where they are ignored.

    Args:
        weights: Shape (N,), or None for 1.
    """
    x, c = logits.reshape(-1, logits.shape[-1]), target.classes
    items = np.arange(len(x))
    top, powers, totals = _exponentials(x)
    with np.errstate(invalid="ignore"):
        losses: Array = np.log(totals) - (x[items, c] - top)
        if weights is not None:
            losses *= weights
    if target.ignored is not None:
        losses[target.ignored] = 0

    def pullback(g: Any) -> Array:
        g = np.reshape(g, -1) if weights is None else np.reshape(g, -1) * weights
        gradient, d = _scaled_rows(powers, g / totals, logits.shape)
        d[items, c] -= g
        if target.ignored is not None:
            d[target.ignored] = 0
        return gradient

    return losses, pullback


def _smoothed_entropies(logits: Array, target: Targets, hard: float, soft: Array) -> ItemLosses:
    """Return hard · w_c · (-ln p_c) + Σ_k soft_k · (-ln p_k) of the items, exactly 0 where they are ignored.

    Args:
        hard: A number.
        soft: What each class counts, shape (K,).
    """
    x, c = logits.reshape(-1, logits.shape[-1]), target.classes
    items = np.arange(len(x))
    top, powers, totals = _exponentials(x)
    weights: Any = hard if target.weights is None else hard * target.weights
    mass = np.add.reduce(soft)
    with np.errstate(invalid="ignore"):
        losses: Array = weights * (np.log(totals) - (x[items, c] - top)) + (
            mass * np.log(totals) - (x @ soft - mass * top)
        )
    if target.ignored is not None:
        losses[target.ignored] = 0

    def pullback(g: Any) -> Array:
        g = np.broadcast_to(np.reshape(g, -1), totals.shape)
        gradient, d = _scaled_rows(powers, g * (weights + mass) / totals, logits.shape)
        for rows in _row_blocks(x):
            d[rows] -= np.multiply.outer(g[rows], soft)
        d[items, c] -= g * weights
        if target.ignored is not None:
            d[target.ignored] = 0
        return gradient

    return losses, pullback


@np.errstate(invalid="ignore")
def _exponentials(x: Array) -> tuple[Array, Array, Array]:
    """Return of each row its maximum, exp(x - maximum), and the sum of these; block by block."""
    top, powers, totals = np.empty(len(x), x.dtype), np.empty(x.shape, x.dtype), np.empty(len(x), x.dtype)

    def work(rows: slice) -> None:
        part = powers[rows]
        np.maximum.reduce(x[rows], axis=1, out=top[rows])
        np.subtract(x[rows], top[rows, None], out=part)
        np.exp(part, out=part)
        np.add.reduce(part, axis=1, out=totals[rows])

    _for_blocks(x, work)
    return top, powers, totals


def _scaled_rows(x: Array, factors: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return each row of x times its factor as a new array of a shape, and its rows."""
    # The new array must not be a view: the graph copies what may be shared.
    y = np.empty(shape, x.dtype)
    of_rows = y.reshape(x.shape)

    def work(rows: slice) -> None:
        np.multiply(x[rows], factors[rows, None], out=of_rows[rows])

    _for_blocks(x, work)
    return y, of_rows


def _for_blocks(x: Array, work: Callable[[slice], None]) -> None:
    """Do work for all blocks of rows, on several threads where there is much of it. Numbers do not depend on these."""
    if x.size >= _SHARED and ag.get_num_threads() > 1:
        ag.run_together([partial(work, rows) for rows in _row_blocks(x)])
    else:
        for rows in _row_blocks(x):
            work(rows)


def _row_blocks(x: Array) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, x.shape[1]))
    return (slice(start, start + step) for start in range(0, len(x), step))
