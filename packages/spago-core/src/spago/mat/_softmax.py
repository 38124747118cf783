"""Softmax and its relatives: exponentials that are summed without overflow.

A row whose scores are all -inf, such as a fully masked row of attention, has no distribution. Here its softmax is all
zeros, its log-softmax and its log-sum-exp are -inf, and nothing is NaN. A score of +inf takes all the mass, in equal
shares where there are several.
"""

import numpy as np

from spago.mat._types import Array


@np.errstate(all="ignore")
def softmax(x: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """Softmax along an axis: y_i = exp(x_i) / Σ_j exp(x_j).

    The relative error of y_i is at most (4 + |x_i - max x| + log2 D) eps, for rows of D elements.

    Args:
        x: Scores of any shape with at least one axis.
        axis: The axis, or the axes together, whose elements sum to 1.

    Returns:
        Shape and dtype of x. A row of -inf alone gives zeros; a row with a NaN is NaN.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.softmax(np.log([1.0, 3.0]))
        array([0.25, 0.75])
    """
    x, top = shift_by_maximum(x, axis)
    y: Array = np.exp(x - top)
    # A total is at least exp(0) = 1, except over a row of -inf, where it is 0.
    y /= np.maximum(np.add.reduce(y, axis=axis, keepdims=True), 1)
    return y


@np.errstate(all="ignore")
def log_softmax(x: Array, axis: int = -1) -> Array:
    """Logarithm of softmax along an axis: y_i = x_i - ln Σ_j exp(x_j).

    The error of y_i is at most (4 + |y_i| + log2 D) eps, for rows of D elements.

    Args:
        x: Scores of any shape with at least one axis.
        axis: The axis whose probabilities sum to 1.

    Returns:
        Shape and dtype of x. A row of -inf alone stays -inf; a row with a NaN is NaN.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.log_softmax(np.array([0.0, -1e4]))
        array([     0., -10000.])
    """
    x, top = shift_by_maximum(x, axis)
    shifted: Array = x - top
    total = np.add.reduce(np.exp(shifted), axis=axis, keepdims=True)
    shifted -= np.log(np.maximum(total, 1))
    return shifted


@np.errstate(all="ignore")
def logsumexp(x: Array, axis: int | tuple[int, ...] | None = -1, keepdims: bool = False) -> Array:
    """Logarithm of a sum of exponentials: ln Σ_j exp(x_j), for sums of any size.

    The error is at most (4 + |y| + log2 D) eps, for sums of D elements.

    Args:
        x: Any shape.
        axis: The axis or axes that are summed; None sums all.
        keepdims: Whether the summed axes stay, with size 1.

    Returns:
        The shape of x without the summed axes. An empty sum, and one of -inf alone, is -inf; with +inf it is +inf.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.logsumexp(np.array([[1e4, 1e4], [-np.inf, -np.inf]]))
        array([10000.69314718,           -inf])
    """
    top = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    # Where the maximum is infinite there is nothing to shift by: ln and exp give the infinities themselves.
    shift = np.where(np.isfinite(top), top, 0)
    y: Array = np.log(np.add.reduce(np.exp(x - shift), axis=axis, keepdims=True))
    y += shift
    return y if keepdims else np.squeeze(y, axis=axis)


def shift_by_maximum(x: Array, axis: int | tuple[int, ...]) -> tuple[Array, Array]:
    """Scores and their maximum along an axis, such that their difference is never inf - inf.

    An infinite maximum becomes 0. Where it was +inf, the scores become 0 (those of +inf) and -inf (all others).
    """
    top: Array = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    if np.isfinite(top).all():
        return x, top
    # ln of a truth value: 0 where the score is +inf, -inf elsewhere.
    x = np.where(top == np.inf, np.log(x == np.inf, dtype=x.dtype), x)
    return x, np.where(np.isinf(top), 0, top)
