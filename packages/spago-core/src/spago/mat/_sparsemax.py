"""Sparsemax: like softmax, but small scores get exactly nothing."""

import numpy as np

from spago.mat._softmax import shift_by_maximum
from spago.mat._types import Array


@np.errstate(all="ignore")
def sparsemax(x: Array, axis: int = -1) -> Array:
    """Euclidean projection of scores onto the probability simplex: y_i = max(x_i - τ, 0), τ such that Σ y_i = 1.

    With scores z sorted in descending order, the support is the largest k with 1 + k z_k > Σ_{j ≤ k} z_j, and
    τ = (Σ_{j ≤ k} z_j - 1) / k. Absolute error: at most (2 + k) eps for scores that differ by little from the largest;
    those are exact differences.

    Args:
        x: Scores of any shape with at least one axis.
        axis: The axis whose elements sum to 1.

    Returns:
        Shape and dtype of x. A row of -inf alone gives zeros; a row with a NaN is NaN. Scores of +inf share all.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.sparsemax(np.array([0.1, 0.0, -3.0]))
        array([0.55, 0.45, 0.  ])

    Source:
        A. Martins, R. Astudillo (2016), "From Softmax to Sparsemax", arXiv:1602.02068, algorithm 1.
    """
    # Shifting changes nothing in exact arithmetic, and makes the sums as precise as the largest scores are apart.
    x, top = shift_by_maximum(x, axis)
    z = np.moveaxis(x - top, axis, -1)
    if not z.size:
        return x.copy()
    descending = -np.sort(-z, axis=-1)
    sums = np.cumsum(descending, axis=-1)
    ranks = np.arange(1, z.shape[-1] + 1, dtype=x.dtype)
    support = np.count_nonzero(1 + ranks * descending > sums, axis=-1, keepdims=True)
    # Only rows of -inf or NaN have no support.
    last = np.maximum(support, 1)
    tau = (np.take_along_axis(sums, last - 1, axis=-1) - 1) / last.astype(x.dtype)
    y: Array = np.maximum(z - np.where(support, tau, 0), 0)
    return np.moveaxis(y, -1, axis)
