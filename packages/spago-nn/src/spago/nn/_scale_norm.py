"""Normalization of lengths: FixNorm and ScaleNorm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago.ag import Node, Operand, ShapeError
from spago.mat import RowScaling
from spago.nn._module import Module
from spago.nn._normalize import normalize
from spago.nn._param import Param


class FixNorm(Module):
    """Vectors brought to length 1, without parameters.

        y = x / (√(Σ x²) + eps)

    Where x is 0, the derivative of the root counts as 0.

    Shapes:
        x, y: (..., D)

    Source:
        T. Q. Nguyen, J. Salazar (2019), "Transformers without Tears", arXiv:1910.05895, section 2.3.

    Args:
        eps: Added to the length.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.FixNorm()(np.array([3.0, 4.0])).value
        array([0.6, 0.8])
    """

    def __init__(self, *, eps: float = 1e-10) -> None:
        self.eps = eps

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When x has no features.
        """
        return normalize(x, kind=_length(self.eps), layer="FixNorm")

    def extra_repr(self) -> str:
        """The eps."""
        return f"eps={self.eps:g}"


class ScaleNorm(Module):
    """Vectors brought to length 1, then scaled.

        y = x / (√(Σ x²) + eps) ⊙ gain

    The paper has one gain for all features, and starts it at √D. Where x is 0, the derivative of the root counts as 0.

    Shapes:
        x, y: (..., D)
        gain: (D,), 1 at first

    Source:
        T. Q. Nguyen, J. Salazar (2019), "Transformers without Tears", arXiv:1910.05895, eq. 3.

    Args:
        num_features: D.
        eps: Added to the length.
        dtype: float32 or float64.
    """

    def __init__(self, num_features: int, *, eps: float = 1e-10, dtype: npt.DTypeLike = np.float32) -> None:
        if num_features < 1:
            raise ShapeError(f"ScaleNorm: expected at least 1 feature, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.gain = Param(np.ones(num_features, dtype), name="gain")

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When the last axis of x has not num_features elements.
        """
        return normalize(x, self.num_features, self.gain, kind=_length(self.eps), layer="ScaleNorm")

    def extra_repr(self) -> str:
        """The size and eps."""
        return f"{self.num_features}, eps={self.eps:g}"


def _length(eps: float) -> RowScaling:
    return RowScaling(eps, centred=False, averaged=False, eps_outside=True)
