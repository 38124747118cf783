"""The long-term memory network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import stacked_xavier_uniform, xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import Recurrent, check_sizes


class LTMState(NamedTuple):
    """The state of an LTM.

    Attributes:
        h: The hidden state, which is the output, shape (..., input_size).
        c: The cell state, shape (..., input_size).
    """

    h: Node
    c: Node


class LTM(Recurrent[LTMState]):
    """The long-term memory network: a cell that forgets nothing, kept in bounds by a sigmoid.

        l_1, l_2, l_3 = σ(W_1·(x + h⁻)), σ(W_2·(x + h⁻)), σ(W_3·(x + h⁻))
        c̃ = l_1 ⊙ l_2 + c⁻
        c = σ(W_c·c̃)
        h = c ⊙ l_3

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h, c: (..., D)
        weight: (3D, D), the W of l_1, l_2, l_3 one below the other, Xavier-uniform at first
        weight_c: (D, D), likewise

    Source:
        A. Nugaliyadde et al. (2019), "Language modeling through long term memory network", arXiv:1904.08936.

    Args:
        input_size: D.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    state_type = LTMState

    def __init__(self, input_size: int, *, rng: LockedRand | None = None, dtype: npt.DTypeLike = np.float32) -> None:
        check_sizes("LTM", input_size)
        self.input_size = input_size
        self.hidden_size = input_size
        self.weight = Param(stacked_xavier_uniform(3, input_size, input_size, rng=rng, dtype=dtype), name="weight")
        self.weight_c = Param(xavier_uniform((input_size, input_size), rng=rng, dtype=dtype), name="weight_c")

    def gates(self, x: Node, state: LTMState) -> tuple[Node, Node, Node]:
        """Return l_1, l_2, l_3 for the input and the state before."""
        l_1, l_2, l_3 = ag.split(ag.sigmoid(ag.linear(x + state.h, self.weight)), 3)
        return l_1, l_2, l_3

    def step(self, x: Node, state: LTMState) -> LTMState:
        """Return the state after one step; the equations are in the class."""
        l_1, l_2, l_3 = self.gates(x, state)
        c = ag.sigmoid(ag.linear(l_1 * l_2 + state.c, self.weight_c))
        return LTMState(c * l_3, c)

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.input_size}"
