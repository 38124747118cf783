"""Where in its sequence a vector stands: what attention does not know by itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import Array
from spago.mat.rand import LockedRand, default_rng
from spago.nn._module import Module
from spago.nn._param import Param


class SinusoidalPositions(Module):
    """Adds waves of many lengths, whose phases tell the position.

        y_t = x_t + p_t,  p_t[2i] = sin(t / base^(2i/D)),  p_t[2i+1] = cos(t / base^(2i/D))

    Shapes:
        x, y: (..., T, D)

    Source:
        A. Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, section 3.5.

    Args:
        num_features: D.
        base: How much longer the longest wave is than the shortest.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.SinusoidalPositions(4)(np.zeros((1, 4))).value
        array([[0., 1., 0., 1.]])
    """

    def __init__(self, num_features: int, *, base: float = 10_000.0) -> None:
        if num_features < 1:
            raise ShapeError(f"SinusoidalPositions: expected at least 1 feature, got {num_features}")
        self.num_features = num_features
        self.base = base

    def forward(self, x: Operand, start: int = 0) -> Node:
        """Return y for x; the equations are in the class.

        Args:
            x: Shape (..., T, D).
            start: The position of the first vector.

        Raises:
            ShapeError: When x has another shape.
        """
        node = _steps(x, self.num_features, "SinusoidalPositions")
        t = np.arange(start, start + node.shape[-2])[:, None]
        i = np.arange(self.num_features) // 2
        phase = t / self.base ** (2 * i / self.num_features)
        waves = np.where(np.arange(self.num_features) % 2, np.cos(phase), np.sin(phase))
        return node + waves.astype(node.dtype)

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.num_features}"


class LearnedPositions(Module):
    """Adds a vector for each position that training finds.

        y_t = x_t + weight[t]

    Shapes:
        x, y: (..., T, D), T at most num_positions
        weight: (num_positions, D), normal with deviation 0.02 at first

    Source:
        J. Devlin et al. (2019), "BERT", arXiv:1810.04805, section 3.

    Args:
        num_positions: The number of positions.
        num_features: D.
        rng: Where initial vectors are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        num_positions: int,
        num_features: int,
        *,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_positions < 1 or num_features < 1:
            raise ShapeError(f"LearnedPositions: expected sizes of at least 1, got {num_positions} and {num_features}")
        self.num_positions = num_positions
        self.num_features = num_features
        weight = (rng or default_rng()).normal((num_positions, num_features), dtype=dtype)
        weight *= 0.02
        self.weight = Param(weight, name="weight")

    def forward(self, x: Operand, start: int = 0) -> Node:
        """Return y for x; the equation is in the class.

        Args:
            x: Shape (..., T, D).
            start: The position of the first vector.

        Raises:
            ShapeError: When x has another shape, or more positions than there are.
        """
        node = _steps(x, self.num_features, "LearnedPositions")
        stop = start + node.shape[-2]
        if start < 0 or stop > self.num_positions:
            raise ShapeError(
                f"LearnedPositions: expected positions up to {self.num_positions}, num_positions, "
                f"got {start} to {stop}; cut the sequence"
            )
        return node + self.weight[start:stop]

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_positions}, {self.num_features}"


class RotaryPositions(Module):
    """Turns pairs of features by angles that grow with the position, so that products depend on distances.

        y_t[a] = x_t[a] cos θ - x_t[b] sin θ
        y_t[b] = x_t[a] sin θ + x_t[b] cos θ,    θ = t / base^(2i/D)

    where the pair i is a, b = i, i + D/2, as in GPT-NeoX and Llama; or 2i, 2i + 1, as in the paper, if interleaved.
    For queries and keys, not for values.

    Shapes:
        x, y: (..., T, F), F at least D: the features after the first D stay as they are; or (..., T, H·F) with H heads

    Source:
        J. Su et al. (2021), "RoFormer", arXiv:2104.09864, eq. 34.

    Args:
        num_features: D, an even number.
        base: How much slower the slowest pair turns than the fastest.
        interleaved: Whether pairs are neighbours.
    """

    def __init__(self, num_features: int, *, base: float = 10_000.0, interleaved: bool = False) -> None:
        if num_features < 2 or num_features % 2:
            raise ShapeError(f"RotaryPositions: expected an even number of features, got {num_features}")
        self.num_features = num_features
        self.base = base
        self.interleaved = interleaved

    def forward(self, x: Operand, start: int = 0, *, heads: int = 1) -> Node:
        """Return y for x; the equations are in the class.

        Args:
            x: Shape (..., T, F), or (..., T, H·F).
            start: The position of the first vector.
            heads: H, the number of vectors side by side that are turned each for itself.

        Raises:
            ShapeError: When x has too few features, or heads do not divide them.
        """
        node = x if isinstance(x, Node) else ag.var(x)
        if node.ndim < 2 or node.shape[-1] % heads or node.shape[-1] // heads < self.num_features:
            raise ShapeError(
                f"RotaryPositions: expected x of shape (..., T, {heads} · F) with F at least {self.num_features}, "
                f"num_features, got {node.shape}"
            )
        t = np.arange(start, start + node.shape[-2])[:, None, None]
        angle = t / self.base ** (2 * np.arange(self.num_features // 2) / self.num_features)
        cos, sin = np.cos(angle).astype(node.dtype), np.sin(angle).astype(node.dtype)
        return _turn(node, cos, sin, heads, self.interleaved)

    def extra_repr(self) -> str:
        """The size, and which features are pairs where they are neighbours."""
        return f"{self.num_features}{', interleaved=True' if self.interleaved else ''}"


@ag.unary
def _turn(x: Array, cos: Array, sin: Array, heads: int, interleaved: bool) -> ag.Unary:
    """Turn pairs of features, of each head, by angles given as cos and sin of shape (T, 1, D/2)."""
    half = cos.shape[-1]
    first, second = (
        (slice(0, 2 * half, 2), slice(1, 2 * half, 2)) if interleaved else (slice(half), slice(half, 2 * half))
    )

    def turned(x: Array, sin: Array) -> Array:
        vectors = x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)
        y = vectors.copy()
        a, b = vectors[..., first], vectors[..., second]
        y[..., first] = a * cos - b * sin
        y[..., second] = a * sin + b * cos
        return y.reshape(x.shape)

    # The way back turns by the opposite angle.
    return turned(x, sin), lambda g: turned(g, -sin)


def _steps(x: Operand, num_features: int, layer: str) -> Node:
    node = x if isinstance(x, Node) else ag.var(x)
    if node.ndim < 2 or node.shape[-1] != num_features:
        raise ShapeError(
            f"{layer}: expected x of shape (..., T, {num_features}), got {node.shape}; features are the last axis"
        )
    return node
