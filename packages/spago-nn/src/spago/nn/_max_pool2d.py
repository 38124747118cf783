"""MaxPool2d: the maximum of each window of a matrix."""

from __future__ import annotations

from spago import ag
from spago.ag import Node, Operand
from spago.mat import Sizes, Windows
from spago.nn._module import Module


class MaxPool2d(Module):
    """The maximum of each window on the last two axes.

        y[l, m] = max_i max_j x[s · l + d · i, s' · m + d' · j]

    Of equals in a window, the first one row by row has the gradient. The reference's layer has windows that must tile
    the matrix; here, what remains at the ends is not read.

    Shapes:
        x: (..., N, M), in PyTorch's order: channels come before positions
        y: (..., L, L'), each size as that of `MaxPool1d`

    Args:
        kernel_size: Height and width of a window: one number for both, or a pair; so are the next three.
        stride: Steps s from one window to the next; by default kernel_size.
        padding: How many -inf on all sides of x, at most half of a window.
        dilation: Steps d from one element of a window to the next.
        ceil_mode: Whether there are last windows for what remains at the ends, which else is not read.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.MaxPool2d((1, 2))(np.array([[3.0, 1.0], [2.0, 5.0]])).value
        array([[3.],
               [5.]])
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        *,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode
        Windows.of("MaxPool2d", kernel_size, 2, stride=self.stride, padding=padding, dilation=dilation)

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When a window is larger than the padded x.
        """
        return ag.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.kernel_size}, stride={self.stride}, padding={self.padding}"
