"""Pooling: the maximum or the mean of each window on the last one or two axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spago.ag._node import Node, Operand
from spago.ag._rules import Unary, unary
from spago.mat import Array, ShapeError, Sizes, Windows


def max_pool1d(
    x: Operand,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Node:
    """Maximum of each window on the last axis. Of equals in a window, the first has the gradient.

        y[l] = max_i x[s · l + d · i],  i < kernel_size

    Args:
        x: Shape (..., N).
        kernel_size: How many elements a window has.
        stride: Steps s from one window to the next; by default kernel_size.
        padding: How many -inf on both sides of x, at most half of a window.
        dilation: Steps d from one element of a window to the next.
        ceil_mode: Whether there is a last window for what remains at the end, which else is not read.

    Returns:
        Shape (..., L), L = ⌊(N + 2 padding - d (kernel_size - 1) - 1) / s⌋ + 1, or more by one for a last window.

    Raises:
        ShapeError: When a window is larger than the padded x.
        ValueError: When a setting is out of its range.

    Examples:
        >>> from spago import ag
        >>> ag.max_pool1d(ag.var([3.0, 1.0, 2.0, 5.0]), 2).value
        array([3., 5.], dtype=float32)
    """
    places = _places("MaxPool1d", x, kernel_size, 1, stride, padding, dilation, ceil_mode)
    return _max_pool(x, places)


def max_pool2d(
    x: Operand,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Node:
    """Maximum of each window on the last two axes; of equals in a window, the first one row by row has the gradient.

    Args:
        x: Shape (..., N, M).
        kernel_size: Height and width of a window, one number for both or a pair; so are the other settings, which are
            those of `max_pool1d`.
        stride: Steps from one window to the next; by default kernel_size.
        padding: How many -inf on all sides of x, at most half of a window.
        dilation: Steps from one element of a window to the next.
        ceil_mode: Whether there are last windows for what remains at the ends.

    Returns:
        Shape (..., L, L'), each size as that of `max_pool1d`.

    Raises:
        ShapeError: When a window is larger than the padded x.
        ValueError: When a setting is out of its range.
    """
    places = _places("MaxPool2d", x, kernel_size, 2, stride, padding, dilation, ceil_mode)
    return _max_pool(x, places)


def max_pooling(x: Operand, rows: int, columns: int) -> Node:
    """Maximum over windows that tile the last two axes: `max_pool2d`, but with nothing left over.

    Args:
        x: Shape (..., N, M).
        rows: Height of a window; divides N.
        columns: Width of a window; divides M.

    Returns:
        Shape (..., N / rows, M / columns).

    Raises:
        ShapeError: When windows do not tile the matrix.
    """
    shape = np.shape(x)
    if len(shape) < 2 or rows < 1 or columns < 1 or shape[-2] % rows or shape[-1] % columns:
        raise ShapeError(f"MaxPooling: expected a matrix that windows of {rows} x {columns} tile, got shape {shape}")
    return _max_pool(x, Windows.of("MaxPooling", (rows, columns), 2, stride=(rows, columns)))


def avg_pool1d(
    x: Operand,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Node:
    """Mean of each window on the last axis.

        y[l] = Σ_i x[s · l + i] / kernel_size,  i < kernel_size

    Args:
        x: Shape (..., N).
        kernel_size: How many elements a window has.
        stride: Steps s from one window to the next; by default kernel_size.
        padding: How many zeros on both sides of x, at most half of a window.
        ceil_mode: Whether there is a last window for what remains at the end, over what there is of it.
        count_include_pad: Whether the zeros of the padding count as elements.

    Returns:
        Shape (..., L), as that of `max_pool1d`.

    Raises:
        ShapeError: When a window is larger than the padded x.
        ValueError: When a setting is out of its range.

    Examples:
        >>> from spago import ag
        >>> ag.avg_pool1d(ag.var([3.0, 1.0, 2.0, 6.0]), 2).value
        array([2., 4.], dtype=float32)
    """
    places = _places("AvgPool1d", x, kernel_size, 1, stride, padding, 1, ceil_mode)
    return _avg_pool(x, places, padding if count_include_pad else 0)


def avg_pool2d(
    x: Operand,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Node:
    """Mean of each window on the last two axes.

    Args:
        x: Shape (..., N, M).
        kernel_size: Height and width of a window, one number for both or a pair; so are the other settings, which are
            those of `avg_pool1d`.
        stride: Steps from one window to the next; by default kernel_size.
        padding: How many zeros on all sides of x, at most half of a window.
        ceil_mode: Whether there are last windows for what remains at the ends.
        count_include_pad: Whether the zeros of the padding count as elements.

    Returns:
        Shape (..., L, L'), each size as that of `max_pool1d`.

    Raises:
        ShapeError: When a window is larger than the padded x.
        ValueError: When a setting is out of its range.
    """
    places = _places("AvgPool2d", x, kernel_size, 2, stride, padding, 1, ceil_mode)
    return _avg_pool(x, places, padding if count_include_pad else 0)


def _places(  # noqa: PLR0917
    name: str,
    x: Operand,
    size: Sizes,
    axes: int,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
) -> Windows:
    """Return the windows of a pooling operator on x.

    Raises:
        ShapeError: When there is none.
        ValueError: When a setting is out of its range.
    """
    shape = np.shape(x)
    places = Windows.of(name, size, axes, stride=size if stride is None else stride, padding=padding, dilation=dilation)
    if any(2 * b > extent for b, extent in zip(places.before, places.extent, strict=True)):
        raise ValueError(f"{name}: expected padding of at most half of kernel_size {size}, got {padding}")
    if len(shape) < axes or min(places.count(shape[-axes:])) < 1:
        sizes = ", ".join("NM"[:axes])
        raise ShapeError(
            f"{name}: expected x of shape (..., {sizes}), no smaller than kernel_size {size} with dilation {dilation}, "
            f"got {shape} with padding {padding}"
        )
    return _with_last(places, shape[-axes:]) if ceil_mode else places


def _with_last(places: Windows, sizes: tuple[int, ...]) -> Windows:
    """Return windows with more padding at the end, so that there is one for what remains of an array, if any."""
    after: list[int] = []
    for n, b, a, s, extent in zip(sizes, places.before, places.after, places.stride, places.extent, strict=True):
        missing = -(n + b + a - extent) % s
        # A window that would begin after the array, in the padding, is none.
        begins_inside = n + b + a + missing - extent < n + b
        after.append(a + missing if begins_inside else a)
    return replace(places, after=tuple(after))


@unary
def _max_pool(x: Array, places: Windows) -> Unary:
    sizes = x.shape[-len(places.size) :]
    count = places.count(sizes)
    padded = places.pad(x, -np.inf)
    first, *others = (places.seen(element, count) for element in np.ndindex(places.size))
    y: Array = padded[first].copy()
    for seen in others:
        np.maximum(y, padded[seen], out=y)

    def pullback(g: Array) -> Array:
        padded = places.pad(x, -np.inf)
        d = np.zeros_like(padded)
        to_find = np.ones(y.shape, np.bool_)
        for seen in (first, *others):
            part = padded[seen]
            winners = to_find & ((part == y) | np.isnan(part))
            d[seen] += np.where(winners, g, 0)
            to_find &= ~winners
        inner: Array = d[places.inside(sizes)]
        return inner

    return y, pullback


@unary
def _avg_pool(x: Array, places: Windows, counted: Sizes) -> Unary:
    """The mean of windows; of the padding, so much counts on each side as is said."""
    sizes = x.shape[-len(places.size) :]
    count = places.count(sizes)
    elements = [places.seen(element, count) for element in np.ndindex(places.size)]
    scale = 1 / _sizes_of_windows(places, sizes, counted).astype(x.dtype)
    padded = places.pad(x, 0)
    y = padded[elements[0]].copy()
    for seen in elements[1:]:
        y += padded[seen]
    y *= scale

    def pullback(g: Array) -> Array:
        d = places.pad(np.zeros(x.shape, g.dtype), 0)
        share = g * scale
        for seen in elements:
            d[seen] += share
        inner: Array = d[places.inside(sizes)]
        return inner

    return y, pullback


def _sizes_of_windows(places: Windows, sizes: tuple[int, ...], counted: Sizes) -> Array:
    """Return how many elements each window has, shape (places...), with as much padding as counts."""
    edge = (counted,) * len(sizes) if isinstance(counted, int) else counted
    result: Array = np.ones((), np.float64)
    for i, (n, e) in enumerate(zip(sizes, edge, strict=True)):
        starts = np.arange(places.count(sizes)[i]) * places.stride[i] - places.before[i]
        ends = np.minimum(starts + places.size[i], n + e)
        result = result[..., None] * (ends - np.maximum(starts, -e))
    return result
