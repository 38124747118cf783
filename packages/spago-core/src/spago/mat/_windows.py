"""Windows on the last axes of an array, as convolution and pooling look through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from spago.mat._types import Array

Sizes: TypeAlias = int | Sequence[int]
"""One number for all axes, or one an axis."""

Padding: TypeAlias = Sizes | Literal["valid", "same"]
"""How many elements on both sides of each axis; none; or as many as keep the number of places at that of elements."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The places of a window on the last axes of an array; all attributes have one number an axis.

    Attributes:
        size: How many elements a window has.
        stride: Steps from one place to the next.
        dilation: Steps from one element of a window to the next.
        before: Elements of padding before the array.
        after: Elements of padding after it.

    Examples:
        >>> from spago.mat import Windows
        >>> Windows.of("Conv1d", 3, axes=1, stride=2, padding=1).count([10])
        (5,)
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(
        cls, name: str, size: Sizes, axes: int, *, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1
    ) -> Windows:
        """Return the windows on a number of axes that a user describes.

        Args:
            name: What messages begin with.
            size: How many elements a window has.
            axes: The number of axes.
            stride: Steps from one place to the next.
            padding: As PyTorch has it; where `"same"` needs an odd number, the odd one comes after the array.
            dilation: Steps from one element of a window to the next.

        Raises:
            ValueError: Names the setting that is none.
        """
        size = _one_an_axis(name, "kernel_size", size, axes, 1)
        stride = _one_an_axis(name, "stride", stride, axes, 1)
        dilation = _one_an_axis(name, "dilation", dilation, axes, 1)
        if padding == "same":
            if max(stride) > 1:
                raise ValueError(f"{name}: expected stride 1 for padding 'same', got {stride}")
            total = [d * (k - 1) for d, k in zip(dilation, size, strict=True)]
            return cls(size, stride, dilation, tuple(t // 2 for t in total), tuple(t - t // 2 for t in total))
        if isinstance(padding, str) and padding != "valid":
            raise ValueError(f"{name}: expected padding 'valid', 'same' or numbers, got {padding!r}")
        both = _one_an_axis(name, "padding", 0 if isinstance(padding, str) else padding, axes, 0)
        return cls(size, stride, dilation, both, both)

    @property
    def extent(self) -> tuple[int, ...]:
        """How many elements of the array there are from the first to the last one of a window."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.size, strict=True))

    def count(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Return how many places there are on an array of the given sizes; below 1 where a window is larger."""
        axes = zip(sizes, self.extent, self.stride, self.before, self.after, strict=True)
        return tuple((n + b + a - extent) // s + 1 for n, extent, s, b, a in axes)

    def pad(self, x: Array, value: float) -> Array:
        """Return x with a value put before and after it along its last axes; x itself where there is no padding."""
        if not any(self.before) and not any(self.after):
            return x
        sizes = x.shape[-len(self.size) :]
        wide = (n + b + a for n, b, a in zip(sizes, self.before, self.after, strict=True))
        padded = np.full((*x.shape[: -len(sizes)], *wide), value, x.dtype)
        padded[self.inside(sizes)] = x
        return padded

    def inside(self, sizes: Sequence[int]) -> tuple[Any, ...]:
        """Return the index of an array of the given sizes in what `pad` makes of it."""
        return (..., *(slice(b, b + n) for b, n in zip(self.before, sizes, strict=True)))

    def seen(self, element: Sequence[int], count: Sequence[int]) -> tuple[Any, ...]:
        """Return the index, in a padded array, of what one element of the window sees from its places."""
        axes = zip(element, count, self.stride, self.dilation, strict=True)
        return (..., *(slice(e * d, e * d + (n - 1) * s + 1, s) for e, n, s, d in axes))


def _one_an_axis(name: str, setting: str, value: Sizes, axes: int, least: int) -> tuple[int, ...]:
    """Return a setting as one number an axis.

    Raises:
        ValueError: When there are more or fewer numbers, or one is not whole or too small.
    """
    sizes: tuple[Any, ...] = (value,) * axes if isinstance(value, int | np.integer) else tuple(value)
    if len(sizes) != axes or any(not isinstance(size, int | np.integer) or size < least for size in sizes):
        numbers = "a whole number" if axes == 1 else f"a whole number or {axes} of them"
        raise ValueError(f"{name}: expected {setting} to be {numbers}, at least {least}, got {value!r}")
    return tuple(int(size) for size in sizes)
