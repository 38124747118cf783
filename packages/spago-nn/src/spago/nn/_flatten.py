"""Flatten: several axes made one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.nn._module import Module


class Flatten(Module):
    """Several axes made one, its elements in row-major order.

    Shapes:
        x: any, with these axes
        y: the same with all axes from start_axis to end_axis as one

    Of several arrays in a list or tuple, each is flattened by itself, and the results are joined along their last axis;
    with start_axis 0 this is what the reference's layer does.

    Args:
        start_axis: The first of the axes; by default, the one before it is the batch.
        end_axis: The last of them.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.Flatten()(np.zeros((5, 4, 3), np.float32)).shape
        (5, 12)
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis = start_axis
        self.end_axis = end_axis

    def forward(self, x: Operand | Sequence[Operand]) -> Node:
        """Return y for x, or for all of several.

        Raises:
            ShapeError: When x has no such axes, or flattened arrays cannot be joined.
        """
        if isinstance(x, Sequence):
            return ag.concat([self._flatten(part) for part in x])
        return self._flatten(x)

    def _flatten(self, x: Operand) -> Node:
        shape = np.shape(x)
        # An array without axes is flattened as a vector of one element.
        axes = range(max(1, len(shape)))
        if self.start_axis not in range(-len(axes), len(axes)) or self.end_axis not in range(-len(axes), len(axes)):
            raise ShapeError(
                f"Flatten: expected x with axes {self.start_axis} and {self.end_axis}, start_axis and end_axis, "
                f"got shape {shape}"
            )
        start, end = axes[self.start_axis], axes[self.end_axis]
        if start > end:
            raise ShapeError(f"Flatten: expected start_axis before end_axis, got {start} and {end} of shape {shape}")
        return ag.reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self) -> str:
        """The axes."""
        return f"{self.start_axis}, {self.end_axis}"
