"""Gated recurrent units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node
from spago.mat import Array, GRUSteps, gru_backward, gru_forward
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import stacked_xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import HiddenState, Recurrent, check_sizes
from spago.nn._side_by_side import Given, Gradients, Needs, Pullback, Rule, last_rows, rows_before


class GRU(Recurrent[HiddenState]):
    """Gated recurrent units: what an LSTM does, with two gates and no cell state.

        r = σ(W_r·x + R_r·h⁻ + b_r)
        z = σ(W_z·x + R_z·h⁻ + b_z)
        n = tanh(W_n·x + b_n + R_n·(r ⊙ h⁻))
        h = (1 - z) ⊙ n + z ⊙ h⁻

    PyTorch's layer, like Keras' and cuDNN's, resets after the product, which then has a bias of its own; this is
    reset_after=True, and runs faster:

        n = tanh(W_n·x + b_n + r ⊙ (R_n·h⁻ + d_n))

    There `bias` is the sum of PyTorch's two biases for r and z, and its bias_ih for n. The reference's partition gate
    is 1 - z.

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        h: (..., H)
        weight_ih: (3H, D), the W of r, z, n one below the other, Xavier-uniform at first
        weight_hh: (3H, H), the R, likewise
        bias: (3H,), 0 at first
        bias_hn: (H,), d_n, 0 at first; None unless reset_after

    Source:
        K. Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder", arXiv:1406.1078, eq. 5 to 8;
        reset_after: its first version, arXiv:1406.1078v1.

    Args:
        input_size: D.
        hidden_size: H.
        reset_after: Whether the reset gate comes after the product, as in PyTorch.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> gru = nn.GRU(3, 5)
        >>> ys, state = gru(np.ones((2, 7, 3), np.float32), lengths=[7, 4])
        >>> ys.shape, state.h.shape
        ((2, 7, 5), (2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reset_after: bool = False,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("GRU", input_size, hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = Param(
            stacked_xavier_uniform(3, hidden_size, input_size, rng=rng, dtype=dtype), name="weight_ih"
        )
        self.weight_hh = Param(
            stacked_xavier_uniform(3, hidden_size, hidden_size, rng=rng, dtype=dtype), name="weight_hh"
        )
        self.bias = Param(np.zeros(3 * hidden_size, dtype), name="bias")
        self.bias_hn = Param(np.zeros(hidden_size, dtype), name="bias_hn") if reset_after else None

    @property
    def reset_after(self) -> bool:
        """Whether the reset gate comes after the product."""
        return self.bias_hn is not None

    def project(self, x: Node) -> Node:
        """Return W·x + b for r, z, n."""
        a: Node = ag.linear(x, self.weight_ih, self.bias)
        return a

    def gates(self, a: Node, state: HiddenState) -> tuple[Node, Node, Node]:
        """Return r, z, n for what `project` returned and the state before."""
        h = self.hidden_size
        r, z = ag.split(ag.sigmoid(a[..., : 2 * h] + ag.linear(state.h, self.weight_hh[: 2 * h])), 2)
        if self.bias_hn is None:
            product = ag.linear(r * state.h, self.weight_hh[2 * h :])
        else:
            product = r * ag.linear(state.h, self.weight_hh[2 * h :], self.bias_hn)
        return r, z, ag.tanh(a[..., 2 * h :] + product)

    def step(self, a: Node, state: HiddenState) -> HiddenState:
        """Return the state after one step; the equations are in the class."""
        _, z, n = self.gates(a, state)
        return HiddenState((1 - z) * n + z * state.h)

    def rule(self) -> tuple[Rule, tuple[Node, ...]] | None:
        """The rule for whole sequences, save for subclasses with another step."""
        if type(self).step is not GRU.step:
            return None
        parameters = (self.weight_ih, self.weight_hh, self.bias)
        return _grus, parameters if self.bias_hn is None else (*parameters, self.bias_hn)

    def extra_repr(self) -> str:
        """The sizes, and where the reset gate is."""
        return f"{self.input_size}, {self.hidden_size}{', reset_after=True' if self.reset_after else ''}"


def _grus(given: Given) -> tuple[Array, tuple[Array, ...], Pullback]:
    """The rule of GRUs side by side."""
    inputs, parameters, states, packing = given
    steps = gru_forward(inputs, parameters, packing.sizes, states, keep=ag.is_grad_enabled())
    weights_ih, weights_hh, _, *biases_hn = zip(*parameters, strict=True)

    def pullback(g_outputs: Array | None, g_last: Sequence[Array | None], needs: Needs) -> Gradients:
        # Of a_r, a_z, a_n; before them, with the reset gate after the product, that of the product.
        g_gates, g_h = gru_backward(steps, weights_hh, packing.sizes, g_outputs, g_last[0])
        h = g_h.shape[-1]
        of_inputs = [g[:, -3 * h :] @ w for g, w in zip(g_gates, weights_ih, strict=True)] if needs.inputs else []
        of_parameters = [
            (
                g[:, -3 * h :].T @ x if needed[0] else None,
                _gradient_of_weight_hh(g, steps, rows_before(steps.outputs[j], packing, steps.initial[j]), j)
                if needed[1]
                else None,
                g[:, -3 * h :].sum(axis=0) if needed[2] else None,
                *([g[:, :h].sum(axis=0) if needed[3] else None] if biases_hn else []),
            )
            for j, (g, x, needed) in enumerate(zip(g_gates, inputs, needs.parameters, strict=True))
        ]
        return Gradients(of_inputs, of_parameters, (g_h,))

    return steps.outputs, (last_rows(steps.outputs, packing),), pullback


def _gradient_of_weight_hh(g: Array, steps: GRUSteps, before: Array, layer: int) -> Array:
    """Return the gradient (3H, H) of weight_hh.

    Args:
        g: (N, 3H) or (N, 4H), what `gru_backward` returned for the layer.
        steps: What `gru_forward` returned.
        before: (N, H), the hidden states before each step.
        layer: Which of those side by side.
    """
    h = before.shape[1]
    if g.shape[1] > 3 * h:
        # That of the product comes first, and belongs to n, which comes last.
        return np.roll(g[:, : 3 * h].T @ before, -h, axis=0)
    assert steps.gates is not None
    reset: Array = steps.gates[0, layer] * before
    return np.concatenate([g[:, : 2 * h].T @ before, g[:, 2 * h :].T @ reset])
