"""MaxPool1d: the maximum of each window along time."""

from __future__ import annotations

from spago import ag
from spago.ag import Node, Operand
from spago.mat import Sizes, Windows
from spago.nn._module import Module


class MaxPool1d(Module):
    """The maximum of each window on the last axis.

        y[l] = max_i x[stride · l + dilation · i],  0 ≤ i < kernel_size

    Of equals in a window, the first has the gradient.

    Shapes:
        x: (..., N), in PyTorch's order: channels come before positions
        y: (..., L), L = ⌊(N + 2 padding - dilation (kernel_size - 1) - 1) / stride⌋ + 1

    Args:
        kernel_size: How many elements a window has.
        stride: Steps from one window to the next; by default kernel_size.
        padding: How many -inf on both sides of x, at most half of a window.
        dilation: Steps from one element of a window to the next.
        ceil_mode: Whether there is a last window for what remains at the end, which else is not read.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.MaxPool1d(2)(np.array([3.0, 1.0, 2.0, 5.0, 9.0])).value
        array([3., 5.])
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
        Windows.of("MaxPool1d", kernel_size, 1, stride=self.stride, padding=padding, dilation=dilation)

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When a window is larger than the padded x.
        """
        return ag.max_pool1d(
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
