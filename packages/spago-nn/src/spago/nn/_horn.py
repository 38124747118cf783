"""The higher-order recurrent network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import Recurrent, check_sizes

DECAY = 0.6
"""What an output loses in weight with each step."""


class HORNState(NamedTuple):
    """The state of a HORN.

    Attributes:
        h: The hidden state, which is the output, shape (..., hidden_size).
        earlier: Those of the steps before, latest first, shape (..., order - 1, hidden_size); 0 before the first step.
    """

    h: Node
    earlier: Node


class HORN(Recurrent[HORNState]):
    """The higher-order recurrent network: a layer that reads its own last outputs, the older the fainter.

        h_t = tanh(W·x_t + Σ_k R_k·(0.6^k · h_(t-k)) + b),    k = 1 … order

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., H)
        weight_ih: (H, D), the W, Xavier-uniform at first
        weight_hh: (order, H, H), the R_k, likewise
        bias: (H,), 0 at first

    Source:
        R. Soltani, H. Jiang (2016), "Higher order recurrent neural networks", arXiv:1605.00064; the decay is the
        reference's.

    Args:
        input_size: D.
        hidden_size: H.
        order: How many outputs are read.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    state_type = HORNState

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        order: int,
        *,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("HORN", input_size, hidden_size, order)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.order = order
        self.weight_ih = Param(xavier_uniform((hidden_size, input_size), rng=rng, dtype=dtype), name="weight_ih")
        weights = [xavier_uniform((hidden_size, hidden_size), rng=rng, dtype=dtype) for _ in range(order)]
        self.weight_hh = Param(np.stack(weights), name="weight_hh")
        self.bias = Param(np.zeros(hidden_size, dtype), name="bias")

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """(H,) and (order - 1, H)."""
        return (self.hidden_size,), (self.order - 1, self.hidden_size)

    def project(self, x: Node) -> Node:
        """Return W·x + b."""
        a: Node = ag.linear(x, self.weight_ih, self.bias)
        return a

    def step(self, a: Node, state: HORNState) -> HORNState:
        """Return the state after one step; the equation is in the class."""
        last = ag.concat([state.h[..., None, :], state.earlier], axis=-2)
        faint = last * DECAY ** np.arange(1, self.order + 1, dtype=a.dtype)[:, None]
        h = ag.tanh(a + ag.einsum("khj,...kj->...h", self.weight_hh, faint))
        return HORNState(h, last[..., :-1, :])

    def extra_repr(self) -> str:
        """The sizes and the order."""
        return f"{self.input_size}, {self.hidden_size}, {self.order}"
