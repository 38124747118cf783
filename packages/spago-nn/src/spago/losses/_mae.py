"""The absolute error."""

from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.losses._reduction import Reduction, difference, reduce
from spago.mat import Array


@ag.binary
def mae(x: Array, y: Array, reduction: Reduction = "mean") -> ag.Binary:
    """Absolute error: |x - y|.

    The derivative where x equals y is 0.

    Args:
        x: Predictions, any shape.
        y: Targets, the shape of x. They receive a gradient when they ask for one.
        reduction: "mean" is over all elements.

    Raises:
        ShapeError: When the shapes differ.

    Examples:
        >>> from spago import ag, losses
        >>> losses.mae(ag.var([1.0, 3.0]), ag.var([1.0, 1.0])).item()
        1.0
    """
    d = difference(x, y, "mae")
    loss, share = reduce(np.abs(d), reduction, "mae")
    return loss, lambda g: g * share * np.sign(d), lambda g: g * -share * np.sign(d)


def distance(x: ag.Node, target: npt.ArrayLike, reduction: Reduction = "mean") -> ag.Node:
    """Distance from a fixed value: |target - x|.

    Args:
        x: Predictions, any shape.
        target: A number, or an array that broadcasts to the shape of x.
        reduction: "mean" is over all elements.

    Examples:
        >>> from spago import ag, losses
        >>> losses.distance(ag.var(0.25), 1.0).item()
        0.75
    """
    try:
        y: npt.NDArray[Any] = np.broadcast_to(np.asarray(target, dtype=x.dtype), x.shape)
    except ValueError:
        raise ag.ShapeError(
            f"distance: expected a target that broadcasts to the shape {x.shape} of x, got {np.shape(target)}"
        ) from None
    return mae(x, y, reduction)
