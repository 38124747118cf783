"""The tensor product representation network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import HiddenState, Recurrent, check_sizes


class TPR(Recurrent[HiddenState]):
    """The tensor product representation network: at each step a symbol, bound to a role.

        a_s = σ(W_s·x + R_s·h⁻ + b_s)
        a_r = σ(W_r·x + R_r·h⁻ + b_r)
        s = S·a_s
        r = Q·a_r
        h = vec(s·rᵀ), row by row

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., H) with H = symbol_size · role_size
        weight_ih: (symbols + roles, D), W_s above W_r, both Xavier-uniform at first
        weight_hh: (symbols + roles, H), R_s above R_r, likewise
        bias: (symbols + roles,), 0 at first
        symbol_vectors: (symbol_size, symbols), S, Xavier-uniform at first
        role_vectors: (role_size, roles), Q, likewise

    Source:
        H. Palangi et al. (2018), "Question-answering with grammatically-interpretable representations",
        arXiv:1705.08432.

    Args:
        input_size: D.
        symbols: How many symbols there are.
        symbol_size: Features of a symbol.
        roles: How many roles there are.
        role_size: Features of a role.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        input_size: int,
        *,
        symbols: int,
        symbol_size: int,
        roles: int,
        role_size: int,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("TPR", input_size, symbols, symbol_size, roles, role_size)
        self.input_size = input_size
        self.hidden_size = symbol_size * role_size

        def stacked(size: int, name: str) -> Param:
            parts = [xavier_uniform((out, size), rng=rng, dtype=dtype) for out in (symbols, roles)]
            return Param(np.concatenate(parts), name=name)

        self.weight_ih = stacked(input_size, "weight_ih")
        self.weight_hh = stacked(self.hidden_size, "weight_hh")
        self.bias = Param(np.zeros(symbols + roles, dtype), name="bias")
        self.symbol_vectors = Param(xavier_uniform((symbol_size, symbols), rng=rng, dtype=dtype), name="symbol_vectors")
        self.role_vectors = Param(xavier_uniform((role_size, roles), rng=rng, dtype=dtype), name="role_vectors")

    def project(self, x: Node) -> Node:
        """Return W·x + b for a_s, a_r."""
        a: Node = ag.linear(x, self.weight_ih, self.bias)
        return a

    def gates(self, a: Node, state: HiddenState) -> tuple[Node, Node, Node, Node]:
        """Return a_s, a_r, s, r for what `project` returned and the state before."""
        symbols, roles = self.symbol_vectors.shape[1], self.role_vectors.shape[1]
        a_s, a_r = ag.split(ag.sigmoid(a + ag.linear(state.h, self.weight_hh)), (symbols, roles))
        return a_s, a_r, ag.linear(a_s, self.symbol_vectors), ag.linear(a_r, self.role_vectors)

    def step(self, a: Node, state: HiddenState) -> HiddenState:
        """Return the state after one step; the equations are in the class."""
        _, _, s, r = self.gates(a, state)
        h = s[..., :, None] * r[..., None, :]
        return HiddenState(ag.reshape(h, state.h.shape))

    def extra_repr(self) -> str:
        """The sizes."""
        (symbol_size, symbols), (role_size, roles) = self.symbol_vectors.shape, self.role_vectors.shape
        return f"{self.input_size}, {symbols=}, {symbol_size=}, {roles=}, {role_size=}"
