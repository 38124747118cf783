"""Weights that turn vectors without stretching them."""

import numpy as np

from spago.initializers._fill import Target, array_of
from spago.mat import Array, ShapeError
from spago.mat.rand import LockedRand, default_rng


def orthogonal(target: Target, gain: float = 1.0, *, rng: LockedRand | None = None) -> Target:
    """Fill with gain times a random matrix of orthonormal rows, or columns where it has fewer of these; return target.

    All such matrices are equally likely: Q of the QR decomposition of a matrix of normal numbers, R having a positive
    diagonal. The draws are the same everywhere, the last bits of the decomposition those of the platform's LAPACK.

    Args:
        target: Weights (out, in); kernels (out, in, k...) count as (out, in · k...).
        gain: A factor, such as that of `gain`.
        rng: The default generator when left out.

    Raises:
        ShapeError: When target has fewer than two axes.

    Source:
        A. M. Saxe, J. L. McClelland, S. Ganguli (2014), arXiv:1312.6120, section 3; F. Mezzadri (2007),
        arXiv:math-ph/0609050, for the sign of R.
    """
    array = array_of(target)
    if array.ndim < 2:
        raise ShapeError(f"orthogonal: expected an array of at least two axes, got shape {array.shape}")
    rows, columns = array.shape[0], array.size // max(1, array.shape[0])
    draws = (rng or default_rng()).normal((rows, columns))
    q, r = np.linalg.qr(draws if rows >= columns else draws.T)
    turned: Array = q * np.copysign(gain, np.diagonal(r))
    array[...] = (turned if rows >= columns else turned.T).reshape(array.shape)
    return target
