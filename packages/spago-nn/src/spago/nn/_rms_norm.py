"""Root-mean-square normalization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import RowScaling
from spago.nn._module import Module
from spago.nn._normalize import normalize
from spago.nn._param import Param


class RMSNorm(Module):
    """Root-mean-square normalization: layer normalization that leaves the mean as it is.

        y = x / √(Σ x² / D + eps) ⊙ weight

    The reference's has a bias, and eps beside the root; these are bias=True, eps=1e-10, eps_outside=True:

        y = x / (√(Σ x² / D) + eps) ⊙ weight + bias

    Where the root is 0, its derivative then counts as 0.

    Shapes:
        x, y: (..., D)
        weight: (D,), 1 at first
        bias: (D,), 0 at first; None where bias is False

    Source:
        B. Zhang, R. Sennrich (2019), "Root Mean Square Layer Normalization", arXiv:1910.07467, eq. 4.

    Args:
        num_features: D.
        eps: Keeps the divisor from 0; None, as in PyTorch, is the machine epsilon of the dtype of x.
        bias: Whether a bias is added.
        eps_outside: Whether eps is added to the root, else under it.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.RMSNorm(2)(np.array([3.0, 4.0])).value
        array([0.84852814, 1.13137085])
    """

    def __init__(
        self,
        num_features: int,
        *,
        eps: float | None = None,
        bias: bool = False,
        eps_outside: bool = False,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_features < 1:
            raise ShapeError(f"RMSNorm: expected at least 1 feature, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.eps_outside = eps_outside
        self.weight = Param(np.ones(num_features, dtype), name="weight")
        self.bias = Param(np.zeros(num_features, dtype), name="bias") if bias else None

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equations are in the class.

        Raises:
            ShapeError: When the last axis of x has not num_features elements.
        """
        node = x if isinstance(x, Node) else ag.var(x)
        eps = float(np.finfo(node.dtype).eps) if self.eps is None else self.eps
        kind = RowScaling(eps, centred=False, eps_outside=self.eps_outside)
        return normalize(node, self.num_features, self.weight, self.bias, kind=kind, layer="RMSNorm")

    def extra_repr(self) -> str:
        """The size and eps."""
        return f"{self.num_features}" + ("" if self.eps is None else f", eps={self.eps:g}")
