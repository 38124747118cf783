"""Decomposition and normalization of matrices, beside what `numpy.linalg` has."""

import numpy as np

from spago.mat._errors import ShapeError
from spago.mat._types import Array


def lu(a: Array) -> tuple[Array, Array, Array]:
    """Triangular factors of a square matrix with its rows exchanged: P·A = L·U.

    In each column the element of largest magnitude on or below the diagonal becomes the pivot, so |L| ≤ 1. The
    difference of P·A and L·U is at most about n eps max |U|.

    Args:
        a: Shape (n, n).

    Returns:
        L, with ones on the diagonal and zeros above it; U, with zeros below it (one on the diagonal means that a is
        singular); the permutation matrix P. All (n, n), with the dtype of a.

    Raises:
        ShapeError: The matrix is not square.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> l, u, p = mat.lu(np.array([[0.0, 2.0], [-1.0, 3.0]]))
        >>> u
        array([[-1.,  3.],
               [ 0.,  2.]])

    Source:
        G. H. Golub, C. F. Van Loan (2013), "Matrix Computations", 4th ed., algorithm 3.4.1.
    """
    n = _order("lu", a)
    u: Array = a.copy()
    lower = np.zeros_like(u)
    order = np.arange(n)
    for k in range(n):
        swap = [pivot_row(u, k), k]
        for rows in (u, lower, order):
            rows[swap[::-1]] = rows[swap]
        if u[k, k] != 0:
            factors = u[k + 1 :, k] / u[k, k]
            lower[k + 1 :, k] = factors
            u[k + 1 :, k:] -= np.outer(factors, u[k, k:])
            u[k + 1 :, k] = 0
    lower[np.diag_indices(n)] = 1
    return lower, u, np.eye(n, dtype=a.dtype)[order]


def pivot_row(a: Array, column: int) -> int:
    """Row of the element of largest magnitude on or below the diagonal in a column of a square matrix.

    The first such row where there are several, and the diagonal itself in a column of zeros.

    Args:
        a: Shape (n, n).
        column: From 0 to n - 1.

    Raises:
        ShapeError: The matrix is not square.
        IndexError: There is no such column.
    """
    n = _order("pivot_row", a)
    if not 0 <= column < n:
        raise IndexError(f"pivot_row: expected a column from 0 to {n - 1}, got {column}")
    return column + int(np.argmax(np.abs(a[column:, column])))


@np.errstate(all="ignore")
def normalize(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    """Vectors of length 1 in the same direction: y = x / ‖x‖₂; a vector of zeros stays as it is.

    Each vector is scaled by its largest element before it is squared, so no length overflows or vanishes. The relative
    error is at most (3 + log2 D) eps.

    Args:
        x: Any shape.
        axis: The axis or axes of a vector; None takes the whole array as one.

    Returns:
        Shape and dtype of x.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.normalize(np.array([[3e300, 4e300], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    largest = np.maximum.reduce(np.abs(x), axis=axis, keepdims=True, initial=0)
    y: Array = x / np.where(largest == 0, 1, largest)
    length = np.sqrt(np.add.reduce(y * y, axis=axis, keepdims=True))
    y /= np.where(largest == 0, 1, length)
    return y


def _order(name: str, a: Array) -> int:
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ShapeError(f"{name}: expected a square matrix, shape (n, n), got {a.shape}")
    return len(a)
