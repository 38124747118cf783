"""Mean and spread along an axis, as normalization layers need them."""

import math

import numpy as np

from spago.mat._errors import ShapeError
from spago.mat._types import Array

Axis = int | tuple[int, ...]


def layer_statistics(x: Array, axis: Axis = -1, eps: float = 1e-5) -> tuple[Array, Array]:
    """Mean μ and r = 1 / √(σ² + eps), with σ² = Σ (x_i - μ)² / D the biased variance.

    Two passes, the mean first: (Σ x_i²) / D - μ² would cancel when the mean is large beside the spread. The relative
    error of r is at most log2(D) machine epsilons, and that of μ as much in units of max |x|.

    Args:
        x: Any shape.
        axis: The axis or axes of the D elements that share a mean.
        eps: Added to the variance.

    Returns:
        μ and r, both with the shape of x but size 1 along the axes.

    Raises:
        ShapeError: There is nothing to average, D = 0.
    """
    mean, _, rstd = _statistics(x, axis, eps)
    return mean, rstd


def standardize(x: Array, axis: Axis = -1, eps: float = 1e-5) -> tuple[Array, Array]:
    """Values of mean 0 and variance 1: x̂ = (x - μ) r, with μ and r from layer_statistics.

    The gradient of x̂ needs x̂ and r again: with g arriving, it is r (g - mean(g) - x̂ mean(g x̂)).

    Args:
        x: Any shape.
        axis: The axis or axes of the D elements that share a mean.
        eps: Added to the variance.

    Returns:
        x̂, shape of x, and r, with size 1 along the axes.

    Raises:
        ShapeError: There is nothing to average, D = 0.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.standardize(np.array([1.0, 2.0, 3.0]), eps=0.0)[0]
        array([-1.22474487,  0.        ,  1.22474487])
    """
    _, centred, rstd = _statistics(x, axis, eps)
    centred *= rstd
    return centred, rstd


@np.errstate(all="ignore")
def _statistics(x: Array, axis: Axis, eps: float) -> tuple[Array, Array, Array]:
    """Mean, x - mean, and 1 / √(variance + eps)."""
    axes = (axis,) if isinstance(axis, int) else axis
    size = math.prod(x.shape[a] for a in axes)
    if not size:
        raise ShapeError(f"layer_statistics: expected at least one element along axis {axis}, got shape {x.shape}")
    mean: Array = np.add.reduce(x, axis=axis, keepdims=True)
    mean /= size
    centred: Array = x - mean
    variance: Array = np.add.reduce(centred * centred, axis=axis, keepdims=True)
    variance /= size
    variance += eps
    return mean, centred, 1 / np.sqrt(variance)
