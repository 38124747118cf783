"""Classes as targets: checked once, then flat."""

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from spago.mat import Array, ShapeError


@dataclass(frozen=True, slots=True)
class Targets:
    """The classes of N items, N being the product of the batch shape.

    Attributes:
        classes: The class of each item, shape (N,); 0 where it is ignored.
        weights: What each item counts, shape (N,): the weight of its class, 0 where it is ignored; or None for 1.
        ignored: The numbers of the items that do not count, or None when all do.
    """

    classes: npt.NDArray[np.intp]
    weights: Array | None
    ignored: npt.NDArray[np.intp] | None

    @property
    def count(self) -> float:
        """The sum of the weights: what a mean divides by."""
        return self.classes.size if self.weights is None else float(np.add.reduce(self.weights))


def class_targets(
    scores: Array, targets: npt.ArrayLike, weight: npt.ArrayLike | None, ignore_index: int | None, name: str
) -> Targets:
    """Check targets against scores.

    Args:
        scores: Shape (..., K).
        targets: Integers in [0, K), shape (...), or ignore_index.
        weight: Weights of the classes, shape (K,), not negative.
        ignore_index: The target of items that do not count.
        name: The loss, for messages.
    """
    given: npt.NDArray[Any] = np.asarray(targets)
    if given.dtype.kind not in "iu" and given.size:
        raise TypeError(f"{name}: expected integer classes as targets, got {given.dtype}")
    if not scores.ndim or given.shape != scores.shape[:-1]:
        raise ShapeError(
            f"{name}: expected scores of shape (..., K) and targets of shape (...), "
            f"got {scores.shape} and {given.shape}; classes are the last axis"
        )
    K = scores.shape[-1]
    classes = given.reshape(-1).astype(np.intp)
    ignored = None
    outside = classes.view(np.uintp) >= K  # a negative number is a large one without sign
    if ignore_index is not None and (0 <= ignore_index < K or outside.any()):
        skipped = classes == ignore_index
        if skipped.any():
            ignored = np.flatnonzero(skipped)
            classes[ignored] = 0
            outside[ignored] = False
    if outside.any():
        _refuse(given, int(outside.argmax()), K, ignore_index, name)
    return Targets(classes, _item_weights(classes, ignored, weight, scores, name), ignored)


def class_weights(weight: npt.ArrayLike | None, scores: Array, name: str) -> Array:
    """Return the weights of the classes, shape (K,), in the dtype of scores."""
    K = scores.shape[-1]
    weights: Array = np.ones((K,)) if weight is None else np.asarray(weight)
    if weights.shape != (K,) or not (weights >= 0).all():
        raise ValueError(f"{name}: expected a weight ≥ 0 for each of {K} classes, got {_summary(weights)}")
    return weights.astype(scores.dtype)


def _item_weights(
    classes: npt.NDArray[np.intp],
    ignored: npt.NDArray[np.intp] | None,
    weight: npt.ArrayLike | None,
    scores: Array,
    name: str,
) -> Array | None:
    if weight is None and ignored is None:
        return None
    weights = class_weights(weight, scores, name)[classes]
    if ignored is not None:
        weights[ignored] = 0
    return weights


def _refuse(given: npt.NDArray[Any], position: int, K: int, ignore_index: int | None, name: str) -> NoReturn:
    index = tuple(int(i) for i in np.unravel_index(position, given.shape))
    where = f" at {index}" if index else ""
    ignored = f", or {ignore_index} to ignore an item" if ignore_index is not None else ""
    raise ValueError(
        f"{name}: expected targets from 0 to {K - 1}{ignored}, got {given.reshape(-1)[position]}{where}; "
        "is the number of classes right?"
    )


def _summary(weights: Array) -> str:
    return f"shape {weights.shape}" + (f" with minimum {weights.min()}" if weights.size else "")
