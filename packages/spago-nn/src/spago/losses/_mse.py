"""The squared error."""

from spago import ag
from spago.losses._reduction import Reduction, difference, reduce
from spago.mat import Array


@ag.binary
def mse(x: Array, y: Array, reduction: Reduction = "mean", scale: float = 1.0) -> ag.Binary:
    """Squared error: scale · (x - y)².

    The reference has the factor ½: scale=0.5. Its sequence form, squared distances averaged over T vectors, is
    reduction="sum" with scale=0.5 / T.

    Args:
        x: Predictions, any shape.
        y: Targets, the shape of x. They receive a gradient when they ask for one.
        reduction: "mean" is over all elements.
        scale: A factor.

    Raises:
        ShapeError: When the shapes differ.

    Examples:
        >>> from spago import ag, losses
        >>> losses.mse(ag.var([1.0, 3.0]), ag.var([1.0, 1.0])).item()
        2.0
    """
    d = difference(x, y, "mse")
    loss, share = reduce(scale * d * d, reduction, "mse")
    slope = 2 * scale * share
    return loss, lambda g: g * slope * d, lambda g: g * -slope * d
