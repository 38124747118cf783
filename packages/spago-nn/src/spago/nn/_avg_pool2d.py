"""AvgPool2d: the mean of each window of a matrix."""

from __future__ import annotations

from spago import ag
from spago.ag import Node, Operand
from spago.mat import Sizes, Windows
from spago.nn._module import Module


class AvgPool2d(Module):
    """The mean of each window on the last two axes.

        y[l, m] = mean over i and j of x[s · l + i, s' · m + j]

    Shapes:
        x: (..., N, M), in PyTorch's order: channels come before positions
        y: (..., L, L'), each size as that of `AvgPool1d`

    Args:
        kernel_size: Height and width of a window: one number for both, or a pair; so are the next two.
        stride: Steps s from one window to the next; by default kernel_size.
        padding: How many zeros on all sides of x, at most half of a window.
        ceil_mode: Whether there are last windows for what remains at the ends, over what there is of it.
        count_include_pad: Whether the zeros of the padding count as elements.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.AvgPool2d(2)(np.array([[3.0, 1.0], [2.0, 6.0]])).value
        array([[3.]])
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
        Windows.of("AvgPool2d", kernel_size, 2, stride=self.stride, padding=padding)

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When a window is larger than the padded x.
        """
        return ag.avg_pool2d(
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
