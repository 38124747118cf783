"""How the losses of many items become one."""

from typing import Literal, TypeAlias

import numpy as np

from spago.mat import Array, ShapeError

Reduction: TypeAlias = Literal["mean", "sum", "none"]
"""Mean, sum, or the losses as they are. The mean and the sum of no losses are 0."""


def reduce(losses: Array, reduction: Reduction, name: str, count: float | None = None) -> tuple[Array, float]:
    """Return the reduced losses, and the derivative of the result by each of them.

    Args:
        losses: Any shape.
        reduction: "mean" divides by count.
        name: The loss, for messages.
        count: How many there are, or the sum of their weights.
    """
    if reduction == "none":
        return losses, 1.0
    total: Array = np.add.reduce(losses, axis=None)
    if reduction == "sum":
        return total, 1.0
    if reduction != "mean":
        raise ValueError(f'{name}: expected reduction="mean", "sum" or "none", got {reduction!r}')
    count = losses.size if count is None else count
    # An empty batch, or one of ignored targets alone, gives 0 and not 0 / 0.
    return (total / count, 1 / count) if count else (total, 1.0)


def difference(x: Array, y: Array, name: str) -> Array:
    """Return x - y.

    Raises:
        ShapeError: When the shapes differ. Broadcasting (N,) against (N, 1) would give N² differences, silently.
    """
    # A target may be a Python number.
    if getattr(x, "shape", ()) != getattr(y, "shape", ()):
        raise ShapeError(
            f"{name}: expected a prediction and a target of one shape, got {np.shape(x)} and {np.shape(y)}; reshape one"
        )
    return x - y
