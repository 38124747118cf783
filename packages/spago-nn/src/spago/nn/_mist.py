"""The mixed-history recurrent network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import stacked_xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import Recurrent, check_sizes


class MISTState(NamedTuple):
    """The state of a MIST layer.

    Attributes:
        h: The hidden state, which is the output, shape (..., hidden_size).
        earlier: Those of the steps before, latest first, as many as the longest delay reaches: shape
            (..., 2^(delays - 1) - 1, hidden_size); 0 before the first step.
    """

    h: Node
    earlier: Node


class MIST(Recurrent[MISTState]):
    """The mixed-history recurrent network: a layer that reads a mixture of outputs 1, 2, 4, 8, … steps ago.

        a = softmax(W_a·x_t + R_a·h_(t-1) + b_a)
        r = σ(W_r·x_t + R_r·h_(t-1) + b_r)
        m = Σ_k a_k · h_(t-2^k),    k = 0 … delays - 1
        h_t = tanh(W_h·x_t + R_h·(r ⊙ m) + b_h)

    In the paper a has `delays` elements; here it has H, of which the first are used, as in the reference.

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., H)
        weight_ih: (3H, D), the W of a, r, h one below the other, Xavier-uniform at first
        weight_hh: (3H, H), the R, likewise
        bias: (3H,), 0 at first

    Source:
        R. DiPietro et al. (2017), "Analyzing and exploiting NARX recurrent neural networks for long-term dependencies",
        arXiv:1702.07805.

    Args:
        input_size: D.
        hidden_size: H.
        delays: How many outputs are mixed, at most H.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    state_type = MISTState

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        delays: int,
        *,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("MIST", input_size, hidden_size, delays)
        if delays > hidden_size:
            raise ShapeError(f"MIST: expected at most hidden_size = {hidden_size} delays, got {delays}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.delays = delays
        self.weight_ih = Param(
            stacked_xavier_uniform(3, hidden_size, input_size, rng=rng, dtype=dtype), name="weight_ih"
        )
        self.weight_hh = Param(
            stacked_xavier_uniform(3, hidden_size, hidden_size, rng=rng, dtype=dtype), name="weight_hh"
        )
        self.bias = Param(np.zeros(3 * hidden_size, dtype), name="bias")

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """(H,) and (2^(delays - 1) - 1, H)."""
        return (self.hidden_size,), (2 ** (self.delays - 1) - 1, self.hidden_size)

    def project(self, x: Node) -> Node:
        """Return W·x + b for a, r, h."""
        z: Node = ag.linear(x, self.weight_ih, self.bias)
        return z

    def step(self, z: Node, state: MISTState) -> MISTState:
        """Return the state after one step; the equations are in the class."""
        n = self.hidden_size
        z_a, z_r = ag.split(z[..., : 2 * n] + ag.linear(state.h, self.weight_hh[: 2 * n]), 2)
        a, r = ag.softmax(z_a), ag.sigmoid(z_r)
        last = ag.concat([state.h[..., None, :], state.earlier], axis=-2)
        delayed = last[..., [2**k - 1 for k in range(self.delays)], :]
        m = ag.einsum("...k,...kh->...h", a[..., : self.delays], delayed)
        h = ag.tanh(z[..., 2 * n :] + ag.linear(r * m, self.weight_hh[2 * n :]))
        return MISTState(h, last[..., :-1, :])

    def extra_repr(self) -> str:
        """The sizes and the number of delays."""
        return f"{self.input_size}, {self.hidden_size}, {self.delays}"
