"""Batch normalization."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import Array
from spago.nn._module import Module
from spago.nn._param import Buffer, Param


class BatchNorm(Module):
    """Batch normalization: each feature brought to mean 0 and variance 1 over all vectors of a call.

        μ = Σ x / N,  σ² = Σ (x - μ)² / N                   (sums over all axes but the last; N vectors)
        y = (x - μ) / √(σ² + eps) ⊙ weight + bias
        running_mean ← (1 - momentum) running_mean + momentum μ
        running_var  ← (1 - momentum) running_var + momentum σ² N / (N - 1)

    After `eval()` the running statistics take the place of μ and σ², and stay as they are.

    With as_in_go, N is N + eps, eps is added to the root, and the running variance is the square of a running
    deviation: so it was in Go Spago, whose weight and running deviation start at 1e-5 and 0 and whose momentum is the
    share of the old value, 0.9. Where σ is 0, its derivative then counts as 0.

    Shapes:
        x, y: (..., D); padding counts as the other vectors do
        weight: (D,), 1 at first; None where affine is False
        bias: (D,), 0 at first; None where affine is False
        running_mean: (D,), a buffer, 0 at first
        running_var: (D,), a buffer, 1 at first

    Source:
        S. Ioffe, C. Szegedy (2015), "Batch Normalization", arXiv:1502.03167, algorithms 1 and 2.

    Args:
        num_features: D.
        momentum: The share of the new value in the running statistics.
        eps: Keeps the divisor from 0.
        affine: Whether there are weight and bias.
        as_in_go: Whether to compute as the reference does.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        num_features: int,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        as_in_go: bool = False,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_features < 1:
            raise ShapeError(f"BatchNorm: expected at least 1 feature, got {num_features}")
        self.num_features = num_features
        self.momentum = momentum
        self.eps = eps
        self.as_in_go = as_in_go
        self.weight = Param(np.ones(num_features, dtype), name="weight") if affine else None
        self.bias = Param(np.zeros(num_features, dtype), name="bias") if affine else None
        self.running_mean = Buffer(np.zeros(num_features, dtype), name="running_mean")
        self.running_var = Buffer(np.ones(num_features, dtype), name="running_var")

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equations are in the class.

        Raises:
            ShapeError: When the last axis of x has not num_features elements, or in training there are too few vectors.
        """
        node = x if isinstance(x, Node) else ag.var(x)
        if node.shape[-1:] != (self.num_features,):
            raise ShapeError(
                f"BatchNorm: expected x of shape (..., {self.num_features}), num_features, got {node.shape}; "
                "features are the last axis"
            )
        if not self.training:
            return self._scaled(node)
        count = node.size // self.num_features
        if count < (1 if self.as_in_go else 2):
            raise ShapeError(f"BatchNorm: expected at least 2 vectors in training, got x of shape {node.shape}")
        moments = _moments(node.value.reshape(count, self.num_features), self.eps, self.as_in_go)
        self._follow(moments)
        y: Node = _batch_norm(node, self.weight, self.bias, moments=moments)
        return y

    def _scaled(self, x: Node) -> Node:
        """Return y by the running statistics."""
        variance = self.running_var.value
        scale = 1 / (np.sqrt(variance) + self.eps if self.as_in_go else np.sqrt(variance + self.eps))
        y = (x - self.running_mean) * (scale if self.weight is None else self.weight * scale)
        return y if self.bias is None else y + self.bias

    def _follow(self, moments: _Moments) -> None:
        """Move the running statistics towards those of a batch."""
        mean, variance = self.running_mean.value, self.running_var.value
        new = moments.variance
        if self.as_in_go:
            deviation = np.sqrt(variance)
            variance = np.square(deviation + self.momentum * (np.sqrt(new) - deviation))
        else:
            n = len(moments.normal)
            variance = variance + self.momentum * (new * (n / (n - 1)) - variance)
        self.running_var.value = variance.astype(self.running_var.dtype, copy=False)
        mean = mean + self.momentum * (moments.mean - mean)
        self.running_mean.value = mean.astype(self.running_mean.dtype, copy=False)

    def extra_repr(self) -> str:
        """The size, eps and momentum."""
        return f"{self.num_features}, eps={self.eps:g}, momentum={self.momentum:g}"


class _Moments(NamedTuple):
    """What a batch of N vectors has in common.

    Attributes:
        normal: x̂ = (x - μ) ⊙ scale, (N, D).
        mean: μ, (D,).
        variance: σ², (D,).
        scale: 1 over the standard deviation, with eps, (D,).
        slope: What x̂ Σ g x̂ is multiplied by in the gradient, (D,).
        n: N, as it is used.
    """

    normal: Array
    mean: Array
    variance: Array
    scale: Array
    slope: Array
    n: float


@np.errstate(all="ignore")
def _moments(x: Array, eps: float, as_in_go: bool) -> _Moments:
    count = len(x) + (eps if as_in_go else 0.0)
    mean: Array = np.add.reduce(x, axis=0) / count
    normal: Array = x - mean
    variance: Array = np.einsum("nd,nd->d", normal, normal) / count
    root = np.sqrt(variance if as_in_go else variance + eps)
    scale = 1 / (root + eps if as_in_go else root)
    slope = np.where(root > 0, 1 / (count * root), 0)
    normal *= scale
    return _Moments(normal, mean, variance, scale, slope, count)


@ag.operator
def _batch_norm(x: Array, weight: Array | None, bias: Array | None, *, moments: _Moments) -> ag.Joint:
    normal = moments.normal
    y = normal.copy() if weight is None else normal * weight
    if bias is not None:
        y += bias

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        g = g.reshape(normal.shape)
        g_x = None
        if needs[0]:
            h = g if weight is None else g * weight
            g_x = h * moments.scale - normal * (moments.slope * np.einsum("nd,nd->d", h, normal))
            g_x -= np.add.reduce(g_x, axis=0) / moments.n
            g_x = g_x.reshape(x.shape)
        return (
            g_x,
            np.einsum("nd,nd->d", g, normal) if needs[1] else None,
            np.add.reduce(g, axis=0) if needs[2] else None,
        )

    return y.reshape(x.shape), pullback
