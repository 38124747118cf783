"""Pooling over windows of a matrix."""

from __future__ import annotations

import numpy as np

from spago.ag._rules import Unary, unary
from spago.mat import Array, ShapeError


@unary
def max_pooling(x: Array, rows: int, columns: int) -> Unary:
    """Maximum over windows that tile the last two axes. Of equals in a window the first, row by row, has the gradient.

    Args:
        x: Shape (..., N, M).
        rows: Height of a window; divides N.
        columns: Width of a window; divides M.

    Returns:
        Shape (..., N / rows, M / columns).

    Raises:
        ShapeError: When windows do not tile the matrix.
    """
    if x.ndim < 2 or rows < 1 or columns < 1 or x.shape[-2] % rows or x.shape[-1] % columns:
        raise ShapeError(f"MaxPooling: expected a matrix that windows of {rows} x {columns} tile, got shape {x.shape}")
    tiled = (*x.shape[:-2], x.shape[-2] // rows, rows, x.shape[-1] // columns, columns)
    tiles = x.reshape(tiled).swapaxes(-3, -2)
    windows = tiles.reshape(*tiles.shape[:-2], rows * columns)
    winners = np.argmax(windows, axis=-1, keepdims=True)
    y: Array = np.take_along_axis(windows, winners, -1)[..., 0]

    def pullback(g: Array) -> Array:
        d = np.zeros(windows.shape, x.dtype)
        np.put_along_axis(d, winners, g[..., None], -1)
        return d.reshape(tiles.shape).swapaxes(-3, -2).reshape(x.shape)

    return y, pullback
