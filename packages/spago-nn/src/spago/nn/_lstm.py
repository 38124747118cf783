"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, ShapeError
from spago.mat import Array, lstm_backward, lstm_forward
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import stacked_xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import Recurrent, check_sizes
from spago.nn._side_by_side import Given, Gradients, Needs, Pullback, Rule, last_rows, rows_before


class LSTMState(NamedTuple):
    """The state of an LSTM.

    Attributes:
        h: The hidden state, which is the output, shape (..., hidden_size).
        c: The cell state, shape (..., hidden_size).
    """

    h: Node
    c: Node


class LSTM(Recurrent[LSTMState]):
    """Long short-term memory: a cell that learns what to keep, what to forget and what to show.

        i = σ(W_i·x + R_i·h⁻ + b_i)
        f = σ(W_f·x + R_f·h⁻ + b_f)
        g = tanh(W_g·x + R_g·h⁻ + b_g)
        o = σ(W_o·x + R_o·h⁻ + b_o)
        c = f ⊙ c⁻ + i ⊙ g
        h = o ⊙ tanh(c)

    PyTorch's layer has two biases, whose sum is the one here.

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h, c: (..., H)
        weight_ih: (4H, D), the W of the gates i, f, g, o one below the other, Xavier-uniform at first
        weight_hh: (4H, H), the R, likewise
        bias: (4H,), 0 at first

    Source:
        S. Hochreiter, J. Schmidhuber (1997), "Long short-term memory"; the forget gate from F. A. Gers,
        J. Schmidhuber, F. Cummins (2000), "Learning to forget", eq. 3.1 to 3.4.

    Args:
        input_size: D.
        hidden_size: H.
        refined_gates: Whether i and o are multiplied by x, element by element, before they are used; for D = H. Such
            layers run step by step.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> lstm = nn.LSTM(3, 5)
        >>> ys, state = lstm(np.ones((2, 7, 3), np.float32), lengths=[7, 4])
        >>> ys.shape, state.h.shape
        ((2, 7, 5), (2, 5))
    """

    state_type = LSTMState

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        refined_gates: bool = False,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("LSTM", input_size, hidden_size)
        if refined_gates and input_size != hidden_size:
            raise ShapeError(f"LSTM: expected equal sizes with refined gates, got {input_size} and {hidden_size}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.refined_gates = refined_gates
        self.weight_ih = Param(
            stacked_xavier_uniform(4, hidden_size, input_size, rng=rng, dtype=dtype), name="weight_ih"
        )
        self.weight_hh = Param(
            stacked_xavier_uniform(4, hidden_size, hidden_size, rng=rng, dtype=dtype), name="weight_hh"
        )
        self.bias = Param(np.zeros(4 * hidden_size, dtype), name="bias")

    def project(self, x: Node) -> Node:
        """Return W·x + b for all gates; with refined gates, followed by x."""
        a = ag.linear(x, self.weight_ih, self.bias)
        return ag.concat([a, x]) if self.refined_gates else a

    def gates(self, a: Node, state: LSTMState) -> tuple[Node, Node, Node, Node]:
        """Return i, f, g, o for what `project` returned and the state before."""
        h = self.hidden_size
        z = a[..., : 4 * h] + ag.linear(state.h, self.weight_hh)
        i, f, o = (ag.sigmoid(z[..., k * h : (k + 1) * h]) for k in (0, 1, 3))
        if self.refined_gates:
            x = a[..., 4 * h :]
            i, o = i * x, o * x
        return i, f, ag.tanh(z[..., 2 * h : 3 * h]), o

    def step(self, a: Node, state: LSTMState) -> LSTMState:
        """Return the state after one step; the equations are in the class."""
        i, f, g, o = self.gates(a, state)
        c = f * state.c + i * g
        return LSTMState(o * ag.tanh(c), c)

    def rule(self) -> tuple[Rule, tuple[Node, ...]] | None:
        """The rule for whole sequences, save for refined gates and for subclasses with another step."""
        if self.refined_gates or type(self).step is not LSTM.step:
            return None
        return _lstms, (self.weight_ih, self.weight_hh, self.bias)

    def extra_repr(self) -> str:
        """The sizes, and whether gates are refined."""
        return f"{self.input_size}, {self.hidden_size}{', refined_gates=True' if self.refined_gates else ''}"


def _lstms(given: Given) -> tuple[Array, tuple[Array, ...], Pullback]:
    """The rule of LSTMs side by side."""
    inputs, parameters, states, packing = given
    steps = lstm_forward(inputs, parameters, packing.sizes, states, keep=ag.is_grad_enabled())
    weights_ih, weights_hh, _ = zip(*parameters, strict=True)

    def pullback(g_outputs: Array | None, g_last: Sequence[Array | None], needs: Needs) -> Gradients:
        g_gates, *g_states = lstm_backward(steps, weights_hh, packing.sizes, g_outputs, g_last)
        of_parameters = [
            (
                g.T @ inputs[j] if need_ih else None,
                g.T @ rows_before(steps.outputs[j], packing, states[0][j] if states else None) if need_hh else None,
                g.sum(axis=0) if need_bias else None,
            )
            for j, (g, (need_ih, need_hh, need_bias)) in enumerate(zip(g_gates, needs.parameters, strict=True))
        ]
        of_inputs = [g @ weight for g, weight in zip(g_gates, weights_ih, strict=True)] if needs.inputs else []
        return Gradients(of_inputs, of_parameters, g_states)

    return steps.outputs, (last_rows(steps.outputs, packing), steps.last_cells), pullback
