"""The recurrent additive network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand
from spago.mat import Array
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import stacked_xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import Recurrent, as_sequences, check_sizes


class RANState(NamedTuple):
    """The state of a RAN.

    Attributes:
        h: The hidden state, which is the output, shape (..., hidden_size).
        c: The cell state, shape (..., hidden_size).
    """

    h: Node
    c: Node


class RAN(Recurrent[RANState]):
    """The recurrent additive network: an LSTM whose cell is a weighted sum of the inputs, and nothing more.

        i = σ(W_i·x + R_i·h⁻ + b_i)
        f = σ(W_f·x + R_f·h⁻ + b_f)
        c = i ⊙ (W_c·x + b_c) + f ⊙ c⁻
        h = tanh(c)

    So the share of each input in each state can be told: see `importance`.

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h, c: (..., H)
        weight_ih: (3H, D), the W of i, f, c one below the other, Xavier-uniform at first
        weight_hh: (2H, H), the R of i, f, likewise
        bias: (3H,), 0 at first

    Source:
        K. Lee, O. Levy, L. Zettlemoyer (2017), "Recurrent additive networks", arXiv:1705.07393.

    Args:
        input_size: D.
        hidden_size: H.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    state_type = RANState

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("RAN", input_size, hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = Param(
            stacked_xavier_uniform(3, hidden_size, input_size, rng=rng, dtype=dtype), name="weight_ih"
        )
        self.weight_hh = Param(
            stacked_xavier_uniform(2, hidden_size, hidden_size, rng=rng, dtype=dtype), name="weight_hh"
        )
        self.bias = Param(np.zeros(3 * hidden_size, dtype), name="bias")

    def project(self, x: Node) -> Node:
        """Return W·x + b for i, f, c."""
        a: Node = ag.linear(x, self.weight_ih, self.bias)
        return a

    def gates(self, a: Node, h: Node) -> tuple[Node, Node, Node]:
        """Return i, f and W_c·x + b_c for what `project` returned and the output before."""
        n = 2 * self.hidden_size
        i, f = ag.split(ag.sigmoid(a[..., :n] + ag.linear(h, self.weight_hh)), 2)
        return i, f, a[..., n:]

    def step(self, a: Node, state: RANState) -> RANState:
        """Return the state after one step; the equations are in the class."""
        i, f, candidate = self.gates(a, state.h)
        c = i * candidate + f * state.c
        return RANState(ag.tanh(c), c)

    def importance(self, xs: Operand | Sequence[Operand]) -> Array:
        """Return how much each input weighs in each state, at the unit where it weighs most.

            w[t, s] = max over units of i_s ⊙ f_(s+1) ⊙ … ⊙ f_t    for s ≤ t, and 0 after

        Args:
            xs: As for `forward`; steps of padding come last, and those before do not depend on them.

        Returns:
            Shape (T, T) or (B, T, T): step of the state, step of the input.
        """
        with ag.no_grad():
            node = as_sequences(xs, self.input_size, "RAN")
            ys, _ = self(node)
            before = np.concatenate([np.zeros_like(ys.value[..., :1, :]), ys.value[..., :-1, :]], axis=-2)
            i, f, _ = (gate.value for gate in self.gates(self.project(node), ag.Constant(before)))
        steps = node.shape[-2]
        weights = np.zeros((*node.shape[:-1], steps), i.dtype)
        shares = np.empty_like(i)
        for t in range(steps):
            shares[..., :t, :] *= f[..., t : t + 1, :]
            shares[..., t, :] = i[..., t, :]
            weights[..., t, : t + 1] = shares[..., : t + 1, :].max(axis=-1)
        return weights
