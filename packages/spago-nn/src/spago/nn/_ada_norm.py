"""AdaNorm: layer normalization with a factor that depends on what is normalized."""

from __future__ import annotations

from spago.ag import Node, Operand
from spago.mat import RowScaling
from spago.nn._module import Module
from spago.nn._normalize import normalize


class AdaNorm(Module):
    """Layer normalization with a factor that depends on what is normalized, instead of weight and bias.

        z = (x - μ) / (√(Σ (x - μ)² / D) + eps)
        y = z ⊙ scale (1 - k z)

    No gradient flows through the factor. Where the root is 0, its derivative counts as 0.

    Shapes:
        x, y: (..., D)

    Source:
        J. Xu et al. (2019), "Understanding and Improving Layer Normalization", arXiv:1911.07013, eq. 9.

    Args:
        scale: C of the paper.
        k: How strongly the factor falls with z.
        eps: Added to the standard deviation.
    """

    def __init__(self, scale: float = 1.0, *, k: float = 0.1, eps: float = 1e-10) -> None:
        self.scale = scale
        self.k = k
        self.eps = eps

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equations are in the class.

        Raises:
            ShapeError: When x has no features.
        """
        z = normalize(x, kind=RowScaling(self.eps, eps_outside=True), layer="AdaNorm")
        return z * (self.scale * (1 - self.k * z.value))

    def extra_repr(self) -> str:
        """The scale."""
        return f"{self.scale:g}"
