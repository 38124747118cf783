"""The chaos-free network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import stacked_xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import HiddenState, Recurrent, check_sizes


class CFN(Recurrent[HiddenState]):
    """The chaos-free network: gates as in an LSTM, and a state that fades without input.

        i = σ(W_i·x + R_i·h⁻ + b_i)
        f = σ(W_f·x + R_f·h⁻ + b_f)
        c = tanh(W_c·x)
        h = i ⊙ c + f ⊙ tanh(h⁻)

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., H)
        weight_ih: (3H, D), the W of i, f, c one below the other, Xavier-uniform at first
        weight_hh: (2H, H), the R of i, f, likewise
        bias: (2H,), of i, f, 0 at first

    Source:
        T. Laurent, J. von Brecht (2016), "A recurrent neural network without chaos", arXiv:1612.06212.

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
        check_sizes("CFN", input_size, hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = Param(
            stacked_xavier_uniform(3, hidden_size, input_size, rng=rng, dtype=dtype), name="weight_ih"
        )
        self.weight_hh = Param(
            stacked_xavier_uniform(2, hidden_size, hidden_size, rng=rng, dtype=dtype), name="weight_hh"
        )
        self.bias = Param(np.zeros(2 * hidden_size, dtype), name="bias")

    def project(self, x: Node) -> Node:
        """Return W·x for i, f, c, activated already for c."""
        h = self.hidden_size
        a = ag.linear(x, self.weight_ih)
        return ag.concat([a[..., : 2 * h], ag.tanh(a[..., 2 * h :])])

    def gates(self, a: Node, state: HiddenState) -> tuple[Node, Node, Node]:
        """Return i, f, c for what `project` returned and the state before."""
        h = self.hidden_size
        i, f = ag.split(ag.sigmoid(a[..., : 2 * h] + ag.linear(state.h, self.weight_hh, self.bias)), 2)
        return i, f, a[..., 2 * h :]

    def step(self, a: Node, state: HiddenState) -> HiddenState:
        """Return the state after one step; the equations are in the class."""
        i, f, c = self.gates(a, state)
        return HiddenState(i * c + f * ag.tanh(state.h))
