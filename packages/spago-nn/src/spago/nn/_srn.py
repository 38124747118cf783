"""The simple recurrent network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import HiddenState, Recurrent, check_sizes


class SRN(Recurrent[HiddenState]):
    """The simple recurrent network: a layer that also reads its own last output.

        h = tanh(W·x + R·h⁻ + b)

    PyTorch's RNN has two biases, whose sum is the one here.

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., H)
        weight_ih: (H, D), the W, Xavier-uniform at first
        weight_hh: (H, H), the R, likewise
        bias: (H,), 0 at first

    Source:
        J. L. Elman (1990), "Finding structure in time", Cognitive Science 14.

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
        check_sizes("SRN", input_size, hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = Param(xavier_uniform((hidden_size, input_size), rng=rng, dtype=dtype), name="weight_ih")
        self.weight_hh = Param(xavier_uniform((hidden_size, hidden_size), rng=rng, dtype=dtype), name="weight_hh")
        self.bias = Param(np.zeros(hidden_size, dtype), name="bias")

    def project(self, x: Node) -> Node:
        """Return W·x + b."""
        a: Node = ag.linear(x, self.weight_ih, self.bias)
        return a

    def step(self, a: Node, state: HiddenState) -> HiddenState:
        """Return the state after one step; the equation is in the class."""
        return HiddenState(ag.tanh(a + ag.linear(state.h, self.weight_hh)))
