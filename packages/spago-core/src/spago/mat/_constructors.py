"""Arrays from sizes and numbers. NumPy's own constructors, with float32 as the default dtype, and two that it lacks."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spago.mat._errors import ShapeError
from spago.mat._types import Array

Shape = int | Sequence[int]


def zeros(shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """Array of zeros."""
    return np.zeros(shape, dtype)


def ones(shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """Array of ones."""
    return np.ones(shape, dtype)


def full(shape: Shape, value: float, dtype: npt.DTypeLike = np.float32) -> Array:
    """Array whose elements are all the same."""
    return np.full(shape, value, dtype)


def eye(n: int, dtype: npt.DTypeLike = np.float32) -> Array:
    """Identity matrix of n rows."""
    return np.eye(n, dtype=dtype)


def one_hot(indices: npt.ArrayLike, size: int, dtype: npt.DTypeLike = np.float32) -> Array:
    """Vectors that are 1 in one place and 0 elsewhere.

    Args:
        indices: Where the ones are: an integer in [0, size), or an array of them of any shape.
        size: Length of each vector.

    Returns:
        Shape (*indices.shape, size).

    Raises:
        IndexError: An index is negative, or not below size.

    Examples:
        >>> from spago import mat
        >>> mat.one_hot([2, 0], 3)
        array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)
    """
    where = np.asarray(indices)
    if not np.issubdtype(where.dtype, np.integer) and where.size:
        raise TypeError(f"one_hot: expected integers, got {where.dtype}")
    if where.size and (where.min() < 0 or where.max() >= size):
        raise IndexError(f"one_hot: expected indices from 0 to {size - 1}, got {where.min()} to {where.max()}")
    y: Array = np.zeros((*where.shape, size), dtype)
    np.put_along_axis(y, where[..., np.newaxis].astype(np.intp), 1, axis=-1)
    return y


def resize(x: Array, size: int, axis: int = -1) -> Array:
    """Array of another size along an axis: cut off at the end, or continued with zeros.

    (`numpy.resize` repeats the data instead.)

    Args:
        x: Any shape with at least one axis.
        size: The new size of the axis, at least 0.
        axis: The axis that is cut or padded; -2 pads the rows of a matrix.

    Returns:
        A new array with the dtype of x.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.resize(np.array([1.0, 2.0, 3.0]), 2)
        array([1., 2.])
        >>> mat.resize(np.array([1.0, 2.0, 3.0]), 4)
        array([1., 2., 3., 0.])
    """
    if size < 0:
        raise ShapeError(f"resize: expected a size of at least 0, got {size}")
    x = np.moveaxis(x, axis, -1)
    kept = x[..., :size]
    y = np.zeros((*x.shape[:-1], size), x.dtype)
    y[..., : kept.shape[-1]] = kept
    return np.moveaxis(y, -1, axis)
