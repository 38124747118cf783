"""The Delta-RNN."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import HiddenState, Recurrent, check_sizes


class DeltaRNN(Recurrent[HiddenState]):
    """The Delta-RNN: a gate, of the input alone, between what was and what is proposed.

        v = W·x,  u = R·h⁻
        d_1 = β_1 ⊙ v + β_2 ⊙ u
        d_2 = α ⊙ v ⊙ u
        c = tanh(d_1 + d_2 + b)
        p = σ(v + b_p)
        h = tanh(p ⊙ c + (1 - p) ⊙ h⁻)

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., H)
        weight_ih: (H, D), the W, Xavier-uniform at first
        weight_hh: (H, H), the R, likewise
        bias, bias_p: (H,), 0 at first
        alpha, beta_1, beta_2: (H,), 1 at first

    Source:
        A. G. Ororbia II, T. Mikolov, D. Reitter (2017), "Learning simpler language models with the differential state
        framework", arXiv:1703.08864.

    Args:
        input_size: D.
        hidden_size: H.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("DeltaRNN", input_size, hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = Param(xavier_uniform((hidden_size, input_size), rng=rng, dtype=dtype), name="weight_ih")
        self.weight_hh = Param(xavier_uniform((hidden_size, hidden_size), rng=rng, dtype=dtype), name="weight_hh")
        self.bias = Param(np.zeros(hidden_size, dtype), name="bias")
        self.bias_p = Param(np.zeros(hidden_size, dtype), name="bias_p")
        self.alpha = Param(np.ones(hidden_size, dtype), name="alpha")
        self.beta_1 = Param(np.ones(hidden_size, dtype), name="beta_1")
        self.beta_2 = Param(np.ones(hidden_size, dtype), name="beta_2")

    def project(self, x: Node) -> Node:
        """Return v."""
        v: Node = ag.linear(x, self.weight_ih)
        return v

    def gates(self, v: Node, state: HiddenState) -> tuple[Node, Node, Node, Node]:
        """Return d_1, d_2, c, p for what `project` returned and the state before."""
        u = ag.linear(state.h, self.weight_hh)
        d_1 = self.beta_1 * v + self.beta_2 * u
        d_2 = self.alpha * v * u
        return d_1, d_2, ag.tanh(d_1 + d_2 + self.bias), ag.sigmoid(v + self.bias_p)

    def step(self, v: Node, state: HiddenState) -> HiddenState:
        """Return the state after one step; the equations are in the class."""
        _, _, c, p = self.gates(v, state)
        return HiddenState(ag.tanh(p * c + (1 - p) * state.h))
