"""Recurrent linear attention."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import stacked_xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import Recurrent, check_sizes

EPS = 1e-12
"""What keeps the division from 0."""


class RLAState(NamedTuple):
    """The state of an RLA layer.

    Attributes:
        h: The output, shape (..., D).
        s: The sum of the products of keys and values, shape (..., D, D): key, value.
        z: The sum of the keys, shape (..., D).
    """

    h: Node
    s: Node
    z: Node


class RLA(Recurrent[RLAState]):
    """Recurrent linear attention: attention to all steps so far, at a cost that does not grow with them.

        k = φ(W_k·x + b_k),  v = W_v·x + b_v,  q = φ(W_q·x + b_q),    φ(a) = elu(a) + 1
        S = S⁻ + k·vᵀ
        z = z⁻ + k
        h = Sᵀ·q / (q·z + 1e-12)

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., D)
        weight: (3D, D), the W of k, v, q one below the other, Xavier-uniform at first
        bias: (3D,), 0 at first

    Source:
        A. Katharopoulos et al. (2020), "Transformers are RNNs", arXiv:2006.16236, eq. 16 to 20.

    Args:
        input_size: D.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    state_type = RLAState

    def __init__(self, input_size: int, *, rng: LockedRand | None = None, dtype: npt.DTypeLike = np.float32) -> None:
        check_sizes("RLA", input_size)
        self.input_size = input_size
        self.hidden_size = input_size
        self.weight = Param(stacked_xavier_uniform(3, input_size, input_size, rng=rng, dtype=dtype), name="weight")
        self.bias = Param(np.zeros(3 * input_size, dtype), name="bias")

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """(D,), (D, D) and (D,)."""
        d = self.input_size
        return (d,), (d, d), (d,)

    def project(self, x: Node) -> Node:
        """Return k, v, q."""
        k, v, q = ag.split(ag.linear(x, self.weight, self.bias), 3)
        return ag.concat([ag.positive_elu(k), v, ag.positive_elu(q)])

    def step(self, a: Node, state: RLAState) -> RLAState:
        """Return the state after one step; the equations are in the class."""
        k, v, q = ag.split(a, 3)
        s = state.s + k[..., :, None] * v[..., None, :]
        z = state.z + k
        h = ag.einsum("...k,...kv->...v", q, s) / (ag.sum(q * z, axis=-1, keepdims=True) + EPS)
        return RLAState(h, s, z)

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.input_size}"
