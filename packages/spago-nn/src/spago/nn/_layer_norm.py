"""Layer normalization: each vector brought to mean 0 and variance 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago.ag import Node, Operand, ShapeError
from spago.mat import RowScaling
from spago.nn._module import Module
from spago.nn._normalize import normalize
from spago.nn._param import Param


class LayerNorm(Module):
    """Layer normalization: each vector brought to mean 0 and variance 1, then scaled and shifted.

        μ = Σ x / D,  σ² = Σ (x - μ)² / D
        y = (x - μ) / √(σ² + eps) ⊙ weight + bias

    Shapes:
        x, y: (..., D)
        weight: (D,), 1 at first; None where affine is False
        bias: (D,), 0 at first; None where bias or affine is False

    Source:
        J. L. Ba, J. R. Kiros, G. E. Hinton (2016), "Layer Normalization", arXiv:1607.06450, eq. 4.

    Args:
        num_features: D.
        eps: Added to the variance.
        bias: Whether a bias is added.
        affine: Whether there are weight and bias at all.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.LayerNorm(3, eps=0.0)(np.array([1.0, 2.0, 3.0])).value
        array([-1.22474487,  0.        ,  1.22474487])
    """

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        bias: bool = True,
        affine: bool = True,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_features < 1:
            raise ShapeError(f"LayerNorm: expected at least 1 feature, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.weight = Param(np.ones(num_features, dtype), name="weight") if affine else None
        self.bias = Param(np.zeros(num_features, dtype), name="bias") if affine and bias else None

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equations are in the class.

        Raises:
            ShapeError: When the last axis of x has not num_features elements.
        """
        return normalize(x, self.num_features, self.weight, self.bias, kind=RowScaling(self.eps), layer="LayerNorm")

    def extra_repr(self) -> str:
        """The size and eps."""
        return f"{self.num_features}, eps={self.eps:g}"


class LayerNormSimple(Module):
    """Layer normalization without parameters.

        s = √(Σ (x - μ)² / D)
        y = (x - μ) / (s + eps)

    Where s is 0, its derivative counts as 0.

    Shapes:
        x, y: (..., D)

    Source:
        J. Xu et al. (2019), "Understanding and Improving Layer Normalization", arXiv:1911.07013, section 3.

    Args:
        eps: Added to the standard deviation.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.LayerNormSimple()(np.array([1.0, 2.0, 3.0])).value
        array([-1.22474487,  0.        ,  1.22474487])
    """

    def __init__(self, *, eps: float = 1e-10) -> None:
        self.eps = eps

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equations are in the class.

        Raises:
            ShapeError: When x has no features.
        """
        return normalize(x, kind=RowScaling(self.eps, eps_outside=True), layer="LayerNormSimple")

    def extra_repr(self) -> str:
        """The eps."""
        return f"eps={self.eps:g}"
