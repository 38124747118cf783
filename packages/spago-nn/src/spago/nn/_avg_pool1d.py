"""AvgPool1d: the mean of each window along time."""

from __future__ import annotations

from spago import ag
from spago.ag import Node, Operand
from spago.mat import Sizes, Windows
from spago.nn._module import Module


class AvgPool1d(Module):
    """The mean of each window on the last axis.

        y[l] = Σ_i x[stride · l + i] / kernel_size,  0 ≤ i < kernel_size

    Shapes:
        x: (..., N), in PyTorch's order: channels come before positions
        y: (..., L), L = ⌊(N + 2 padding - kernel_size) / stride⌋ + 1

    Args:
        kernel_size: How many elements a window has.
        stride: Steps from one window to the next; by default kernel_size.
        padding: How many zeros on both sides of x, at most half of a window.
        ceil_mode: Whether there is a last window for what remains at the end, over what there is of it.
        count_include_pad: Whether the zeros of the padding count as elements.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.AvgPool1d(2)(np.array([3.0, 1.0, 2.0, 5.0, 9.0])).value
        array([2. , 3.5])
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        *,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        Windows.of("AvgPool1d", kernel_size, 1, stride=self.stride, padding=padding)

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When a window is larger than the padded x.
        """
        return ag.avg_pool1d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.kernel_size}, stride={self.stride}, padding={self.padding}"
