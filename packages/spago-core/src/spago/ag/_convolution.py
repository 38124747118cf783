"""Convolution over the last one or two axes, as matrix products.

How it is computed: with stride 1, let all padded examples lie one after the other, row after row, in one long line of
shape (C, N). From all places at once, an element k of the kernel sees that line shifted by a fixed number. So

    y = Σ_k weight_k · shifted_k(x)                 weight_k of shape (O, C)
      = the kernel · all shifted lines, one below the other
    gradient of x = Σ_k weight_kᵀ · g, shifted the other way
    gradient of weight_k = g · shifted_k(x)ᵀ

where g has zeros after the last place of each row: there a window would reach over into the next row, and what is
computed is dropped. With a stride of s, x is first dealt out to s lines (in two dimensions, s · s'), every s-th element
to the same line; an element of the kernel reads one of them. Against unrolling window by window, this copies in long
runs, and is 1.5 to 5 times as fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from spago.ag._node import Node, Operand
from spago.ag._rules import Joint, operator
from spago.mat import Array, Padding, ShapeError, Sizes, Windows

_BLOCK = 1 << 20
"""How many bytes of shifted lines are put together at once: what the cache keeps until the product has read it."""

_NARROWEST = 128
"""How many columns a product has at least, however many rows."""


def conv1d(
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Node:
    """Convolution along the last axis, with s the stride and d the dilation.

        y[o, l] = bias[o] + Σ_c Σ_i weight[o, c, i] · x[c, s · l + d · i]

    As everywhere in the field, the kernel is not flipped.

    Args:
        x: Shape (..., C, N): channels come before positions.
        weight: Shape (O, C / groups, K).
        bias: Shape (O,), or None.
        stride: Steps from one place of the kernel to the next. What remains at the end of x is not read.
        padding: How many zeros on both sides of x; `"same"` for as many as give y the size of x, the odd one at the
            end; `"valid"` for none.
        dilation: Steps from one element of the kernel to the next.
        groups: Into how many equal parts channels are cut; each part of y sees the same part of x alone.

    Returns:
        Shape (..., O, L), L = ⌊(N + 2 padding - d (K - 1) - 1) / s⌋ + 1.

    Raises:
        ShapeError: When the sizes do not agree, or the kernel reaches beyond the padded x.
        ValueError: When a setting is out of its range.

    Examples:
        >>> import numpy as np
        >>> from spago import ag
        >>> ag.conv1d(np.array([[1.0, 2.0, 4.0, 8.0]]), np.array([[[1.0, -1.0]]])).value
        array([[-1., -2., -4.]])
    """
    return _checked(_conv1d, 1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Node:
    """Convolution over the last two axes, with strides s and s', and dilations d and d'.

        y[o, l, m] = bias[o] + Σ_c Σ_i Σ_j weight[o, c, i, j] · x[c, s · l + d · i, s' · m + d' · j]

    Args:
        x: Shape (..., C, N, M).
        weight: Shape (O, C / groups, K, K').
        bias: Shape (O,), or None.
        stride: As that of `conv1d`, one number for both axes or a pair; so are padding and dilation.
        padding: Zeros around x.
        dilation: Steps from one element of the kernel to the next.
        groups: Into how many equal parts channels are cut.

    Returns:
        Shape (..., O, L, L'), each size as that of `conv1d`.

    Raises:
        ShapeError: When the sizes do not agree, or the kernel reaches beyond the padded x.
        ValueError: When a setting is out of its range.
    """
    return _checked(_conv2d, 2, x, weight, bias, stride, padding, dilation, groups)


def _checked(  # noqa: PLR0917
    run: Callable[..., Node],
    axes: int,
    x: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    groups: int,
) -> Node:
    """Check the sizes of a convolution over a number of axes, and run it."""
    name, of_x, of_weight = f"Conv{axes}d", np.shape(x), np.shape(weight)
    if len(of_weight) != axes + 2 or groups < 1 or of_weight[0] % groups:
        raise ShapeError(
            f"{name}: expected weight (out, in / groups, {', '.join('k' * axes)}) with groups dividing out, "
            f"got {of_weight} and groups {groups}"
        )
    channels = of_weight[1] * groups
    if len(of_x) <= axes or of_x[-axes - 1] != channels:
        raise ShapeError(
            f"{name}: expected x of shape (..., {channels}, {', '.join('NM'[:axes])}) for weight {of_weight} "
            f"and groups {groups}, got {of_x}; channels come before positions"
        )
    if bias is not None and np.shape(bias) != of_weight[:1]:
        raise ShapeError(f"{name}: expected bias of shape {of_weight[:1]} for weight {of_weight}, got {np.shape(bias)}")
    places = Windows.of(name, of_weight[2:], axes, stride=stride, padding=padding, dilation=dilation)
    if min(places.count(of_x[-axes:])) < 1:
        raise ShapeError(
            f"{name}: expected x no smaller than its kernel, got {of_x} with padding {padding} "
            f"and weight {of_weight} with dilation {dilation}"
        )
    return run(x, weight, bias, places=places, groups=groups)


def _convolution(x: Array, weight: Array, bias: Array | None, *, places: Windows, groups: int) -> Joint:
    (out, channels), sizes = weight.shape[:2], x.shape[-len(places.size) :]
    xs = x.reshape(math.prod(x.shape[: -len(sizes) - 1]), groups * channels, *sizes)
    grid = _grid(places, len(xs), places.count(sizes))
    # By group, with the elements of the kernel in one axis.
    kernel = weight.reshape(groups, out // groups, channels, len(grid.line))
    sums = np.empty((groups, out // groups, grid.length), np.result_type(x, weight))
    _sum_of_products(kernel, grid.seen(_lines(xs, places, grid), groups), sums[..., : grid.length - grid.reach])
    y = np.add(grid.at_places(sums, out), 0 if bias is None else bias.reshape(-1, *[1] * len(sizes)), order="C")

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        # The line of y, with 0 where there is no place of the kernel, after as many zeros as the kernel reaches.
        late = np.zeros((groups, out // groups, grid.reach + grid.length), g.dtype)
        at_places = grid.at_places(late[..., grid.reach :], out)
        at_places[...] = g.reshape(at_places.shape)
        g_x = g_weight = None
        if needs[0]:
            g_lines = np.zeros((math.prod(places.stride), groups, channels, grid.length), g.dtype)
            for line in set(grid.line):
                elements = [k for k, its_line in enumerate(grid.line) if its_line == line]
                arrived = [late[..., grid.reach - grid.shift[k] :][..., : grid.length] for k in elements]
                _sum_of_products(kernel[..., elements].swapaxes(1, 2), arrived, g_lines[line])
            g_x = _from_lines(g_lines, places, grid, xs.shape).reshape(x.shape)
        if needs[1]:
            g_sums = late[..., grid.reach : grid.length]
            seen = grid.seen(_lines(xs, places, grid), groups)
            g_weight = np.stack([g_sums @ part.swapaxes(1, 2) for part in seen], axis=-1).reshape(weight.shape)
        g_bias = late.sum(axis=2).reshape(out) if bias is not None and needs[2] else None
        return (g_x, g_weight, g_bias)[: len(needs)]

    return y.reshape(*x.shape[: -len(sizes) - 1], *y.shape[1:]), pullback


class _Grid(NamedTuple):
    """Where each element of a kernel reads; see the explanation at the top of the file.

    Attributes:
        shape: Examples, then how many elements a line has of each axis.
        places: How many places of the kernel there are on each axis, from the first on.
        line: For each element of the kernel, which line it reads.
        shift: For each element of the kernel, how far after the place it reads.
        reach: The largest shift.
    """

    shape: tuple[int, ...]
    places: tuple[int, ...]
    line: tuple[int, ...]
    shift: tuple[int, ...]
    reach: int

    @property
    def length(self) -> int:
        """How many elements a line has."""
        return math.prod(self.shape)

    def seen(self, lines: Array, groups: int) -> list[Array]:
        """Return what each element of the kernel sees of lines (S, C, N · A ...), of shape (G, C / G, places)."""
        by_group = lines.reshape(len(lines), groups, lines.shape[1] // groups, self.length)
        return [
            by_group[line, :, :, shift : shift + self.length - self.reach]
            for line, shift in zip(self.line, self.shift, strict=True)
        ]

    def at_places(self, sums: Array, out: int) -> Array:
        """Return a view (N, O, places ...) on lines (G, O / G, N · A ...): what has been computed for real places."""
        return sums.reshape(out, *self.shape)[:, :, *map(slice, self.places)].swapaxes(0, 1)


@lru_cache(maxsize=256)
def _grid(places: Windows, examples: int, count: tuple[int, ...]) -> _Grid:
    """Return where a kernel reads that has the given places on each of some examples.

    It is kept: for a small convolution, working it out takes a quarter of the time.
    """
    reads = [
        [divmod(e * d, s) for e, d, s in zip(element, places.dilation, places.stride, strict=True)]
        for element in np.ndindex(places.size)
    ]
    shape = tuple(n + q for n, (q, _) in zip(count, reads[-1], strict=True))
    line = [int(np.ravel_multi_index([r for _, r in read], places.stride)) for read in reads]
    shift = [int(np.ravel_multi_index([q for q, _ in read], shape)) for read in reads]
    return _Grid((examples, *shape), count, tuple(line), tuple(shift), shift[-1])


def _lines(x: Array, places: Windows, grid: _Grid) -> Array:
    """Return the lines (S, C, N · A ...) of examples (N, C, sizes ...), padded, without what no place reads."""
    axes = len(places.size)
    shape = [a * s for a, s in zip(grid.shape[1:], places.stride, strict=True)]
    if any(places.before) or list(x.shape[2:]) != shape:
        padded = np.zeros((x.shape[1], x.shape[0], *shape), x.dtype)
        inside, kept = _inside(x.shape[2:], places.before, shape)
        padded[inside] = x[kept].swapaxes(0, 1)
    else:
        padded = x.swapaxes(0, 1)
    split = [size for pair in zip(grid.shape[1:], places.stride, strict=True) for size in pair]
    order = (*range(3, 3 + 2 * axes, 2), 0, 1, *range(2, 2 + 2 * axes, 2))
    lines = padded.reshape(*padded.shape[:2], *split).transpose(order)
    return lines.reshape(math.prod(places.stride), x.shape[1], grid.length)


def _from_lines(lines: Array, places: Windows, grid: _Grid, shape: tuple[int, ...]) -> Array:
    """Return the examples (N, C, sizes ...) for their lines, with 0 for what no place reads."""
    axes = len(places.size)
    order = (axes, axes + 1, *(axis for i in range(axes) for axis in (axes + 2 + i, i)))
    split = lines.reshape(*places.stride, shape[1], *grid.shape).transpose(order)
    wide = [a * s for a, s in zip(grid.shape[1:], places.stride, strict=True)]
    padded = split.reshape(shape[1], shape[0], *wide)
    inside, kept = _inside(shape[2:], places.before, wide)
    x = np.zeros(shape, lines.dtype)
    x[kept] = padded[inside].swapaxes(0, 1)
    return x


def _inside(sizes: Sequence[int], before: Sequence[int], wide: Sequence[int]) -> tuple[Any, Any]:
    """Return where in padded arrays of wide sizes an array lies, and what of the array lies there."""
    kept = [max(0, min(n, w - b)) for n, b, w in zip(sizes, before, wide, strict=True)]
    inside = (slice(b, b + n) for b, n in zip(before, kept, strict=True))
    return (..., *inside), (..., *map(slice, kept))


def _sum_of_products(kernel: Array, parts: Sequence[Array], result: Array) -> None:
    """Write Σ_k kernel[..., k] · parts[k] to result, the parts put one below another, some columns at a time.

    Args:
        kernel: Shape (G, O, C, K).
        parts: K arrays of shape (G, C, L).
        result: Shape (G, O, L).
    """
    groups, rows, length = len(kernel), len(parts) * kernel.shape[2], result.shape[2]
    stacked = kernel.swapaxes(2, 3).reshape(groups, kernel.shape[1], rows)
    if len(parts) == 1:
        np.matmul(stacked, parts[0], out=result)
        return
    width = max(_NARROWEST, _BLOCK // (result.itemsize * groups * rows))
    block = np.empty((groups, rows, min(width, length)), parts[0].dtype)
    for start in range(0, length, width):
        columns = block[..., : length - start]
        for k, part in enumerate(parts):
            columns[:, k * kernel.shape[2] : (k + 1) * kernel.shape[2]] = part[..., start : start + width]
        np.matmul(stacked, columns, out=result[..., start : start + width])


_conv1d = operator(_convolution, name="Conv1d")
_conv2d = operator(_convolution, name="Conv2d")
