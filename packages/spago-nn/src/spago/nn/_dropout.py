"""Dropout: noise against relying on any one feature."""

from __future__ import annotations

import numpy as np

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._module import Module


class Dropout(Module):
    """In training, set elements to 0 at random and scale the others up, so that the expectation stays.

        y = x ⊙ m,    m = 0 with probability p, else 1 / (1 - p)

    After `eval()`, and with p = 0, y is x itself.

    Shapes:
        x, y: any
        m: that of x, with size 1 along shared_axis

    Source:
        N. Srivastava et al. (2014), "Dropout", JMLR 15, section 4; Y. Gal, Z. Ghahramani (2016), "A theoretically
        grounded application of dropout in recurrent neural networks", arXiv:1512.05287, for masks that steps share.

    Args:
        p: Probability of a zero, from 0 to 1.
        shared_axis: An axis along which all elements share one mask: -2 drops the same features at all time steps.
        rng: Where masks are drawn from; by default the generator of `mat.rand`.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> dropout = nn.Dropout(0.5)
        >>> sorted(set(dropout(np.ones(100, np.float32)).value.tolist()))
        [0.0, 2.0]
        >>> dropout.eval()(np.ones(2, np.float32)).value
        array([1., 1.], dtype=float32)
    """

    def __init__(self, p: float = 0.5, *, shared_axis: int | None = None, rng: LockedRand | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: expected a probability p from 0 to 1, got {p}")
        self.p = p
        self.shared_axis = shared_axis
        self.rng = rng

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When x has no axis shared_axis.
        """
        node = x if isinstance(x, Node) else ag.Constant(x)
        if not self.training or self.p == 0:
            return node
        if self.shared_axis is None:
            return ag.dropout(node, self.p, rng=self.rng)
        return node * ag.dropout(np.ones(self._mask_shape(node), node.dtype), self.p, rng=self.rng)

    def _mask_shape(self, x: Node) -> list[int]:
        shape, axis = list(x.shape), self.shared_axis
        if axis is None or not -x.ndim <= axis < x.ndim:
            raise ShapeError(f"Dropout: expected x with an axis {axis}, shared_axis, got shape {x.shape}")
        shape[axis] = 1
        return shape

    def extra_repr(self) -> str:
        """The probability, and the axis where there is one."""
        return f"{self.p}" if self.shared_axis is None else f"{self.p}, shared_axis={self.shared_axis}"
