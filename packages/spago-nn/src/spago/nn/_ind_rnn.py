"""The independently recurrent network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat.rand import LockedRand, default_rng
from spago.nn._initial_weights import xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import HiddenState, Recurrent, check_sizes


class IndRNN(Recurrent[HiddenState]):
    """The independently recurrent network: each unit reads its own last output, and no other's.

        h = act(W·x + r ⊙ h⁻ + b)

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., H)
        weight_ih: (H, D), the W, Xavier-uniform at first
        weight_hh: (H,), the r, uniform over [0, 1] at first
        bias: (H,), 0 at first

    Source:
        S. Li et al. (2018), "Independently recurrent neural network (IndRNN)", arXiv:1803.04831.

    Args:
        input_size: D.
        hidden_size: H.
        activation: A function from node to node, element by element.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: Callable[[Node], Node] = ag.relu,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("IndRNN", input_size, hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.activation = activation
        self.weight_ih = Param(xavier_uniform((hidden_size, input_size), rng=rng, dtype=dtype), name="weight_ih")
        self.weight_hh = Param((rng or default_rng()).uniform((hidden_size,), 0, 1, dtype), name="weight_hh")
        self.bias = Param(np.zeros(hidden_size, dtype), name="bias")

    def project(self, x: Node) -> Node:
        """Return W·x + b."""
        a: Node = ag.linear(x, self.weight_ih, self.bias)
        return a

    def step(self, a: Node, state: HiddenState) -> HiddenState:
        """Return the state after one step; the equation is in the class."""
        return HiddenState(self.activation(a + self.weight_hh * state.h))
