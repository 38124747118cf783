"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import Array, Packing, lstm_backward, lstm_forward, lstm_gate_layout
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import xavier_uniform
from spago.nn._param import Param
from spago.nn._recurrent import Recurrent, as_sequences, check_batch_of_lengths


class LSTMState(NamedTuple):
    """The state of an LSTM.

    Attributes:
        h: The hidden state, which is the output, shape (..., hidden_size).
        c: The cell state, shape (..., hidden_size).
    """

    h: Node
    c: Node


class LSTM(Recurrent):
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

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if input_size < 1 or hidden_size < 1:
            raise ShapeError(f"LSTM: expected sizes of at least 1, got {input_size} and {hidden_size}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = Param(_stacked_weights(hidden_size, input_size, rng, dtype), name="weight_ih")
        self.weight_hh = Param(_stacked_weights(hidden_size, hidden_size, rng, dtype), name="weight_hh")
        self.bias = Param(np.zeros(4 * hidden_size, dtype), name="bias")

    def next(self, x: Operand, state: LSTMState | None = None) -> LSTMState:
        """Return the state after one step; the equations are in the class.

        Args:
            x: Shape (..., D).
            state: The state after the step before, or None.
        """
        a = ag.linear(x, self.weight_ih, self.bias)
        if state is not None:
            a = a + ag.linear(state.h, self.weight_hh)
        h = self.hidden_size
        i, f, o = (ag.sigmoid(a[..., k * h : (k + 1) * h]) for k in (0, 1, 3))
        g = ag.tanh(a[..., 2 * h : 3 * h])
        c = i * g if state is None else f * state.c + i * g
        return LSTMState(o * ag.tanh(c), c)

    def forward(
        self,
        xs: Operand | Sequence[Operand],
        state: LSTMState | None = None,
        lengths: npt.ArrayLike | None = None,
        *,
        reverse: bool = False,
    ) -> tuple[Node, LSTMState]:
        """Run over whole sequences as one node of the graph; see `Recurrent.forward`."""
        xs = as_sequences(xs, self.input_size, "LSTM")
        return run_lstms((self,), (reverse,), xs, [state], lengths)[0]

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"


def run_lstms(
    layers: Sequence[LSTM],
    reverse: Sequence[bool],
    xs: Node,
    states: Sequence[LSTMState | None],
    lengths: npt.ArrayLike | None,
) -> list[tuple[Node, LSTMState]]:
    """Run LSTMs of equal size side by side over the same sequences, as one node of the graph.

    Two of them take half as many calls of NumPy as one after the other.

    Returns:
        For each LSTM what its `forward` returns.
    """
    batched = xs.ndim == 3
    if lengths is not None:
        counts = check_batch_of_lengths(lengths, xs, "LSTM")
    else:
        counts = np.full(xs.shape[0] if batched else 1, xs.shape[-2])
    packing = Packing.of(counts, xs.shape[-2])
    given = [state is not None for state in states]
    if any(given) and not all(given):
        raise ValueError("LSTM: expected a state for both directions or for none")
    operands = [xs]
    for layer in layers:
        operands += [layer.weight_ih, layer.weight_hh, layer.bias]
    for state in states:
        if state is not None:
            _check_state(state, (*xs.shape[:-2], layers[0].hidden_size))
            operands += [state.h, state.c]
    results = _lstms(*operands, packing=packing, reverse=tuple(reverse))
    k = len(layers)
    return [(ys, LSTMState(h, c)) for ys, h, c in zip(results[:k], results[k : 2 * k], results[2 * k :], strict=True)]


@ag.operator
def _lstms(*operands: Array, packing: Packing, reverse: tuple[bool, ...]) -> Any:
    """The rule of `run_lstms`: the outputs of all directions, then their last hidden, then their last cell states."""
    k = len(reverse)
    xs, parameters, initial = operands[0], operands[1 : 1 + 3 * k], operands[1 + 3 * k :]
    weights_ih, weights_hh, biases = parameters[0::3], parameters[1::3], parameters[2::3]
    dtype = np.result_type(*operands)
    h = weights_hh[0].shape[1]
    lead = xs.shape[:-2]
    batch = packing.shape[0]

    indices = [packing.backward if backwards else packing.forward for backwards in reverse]
    packed = [packing.pack(xs, index).astype(dtype, copy=False) for index in indices]
    gates = np.empty((k, len(packed[0]), 4 * h), dtype)
    for j in range(k):
        np.matmul(packed[j], lstm_gate_layout(weights_ih[j].astype(dtype, copy=False)).T, out=gates[j])
        gates[j] += lstm_gate_layout(biases[j])
    recurrent = np.stack([lstm_gate_layout(w.astype(dtype, copy=False)).T for w in weights_hh])
    h_0, c_0 = (
        np.stack([part.reshape(batch, h)[packing.order] for part in initial[i::2]]).astype(dtype) if initial else None
        for i in range(2)
    )
    steps = lstm_forward(gates, recurrent, packing.sizes, h_0, c_0)
    ys = [
        packing.unpack(rows, index).reshape(*xs.shape[:-1], h)
        for rows, index in zip(steps.outputs, indices, strict=True)
    ]
    last_h = [rows[packing.last].reshape(*lead, h) for rows in steps.outputs]
    last_c = [rows[packing.last].reshape(*lead, h) for rows in steps.cells]

    def pullback(g: tuple[Array | None, ...], needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        weight = np.stack([w.astype(dtype, copy=False) for w in weights_hh])
        g_outputs = _stacked([None if d is None else packing.pack(d, i) for d, i in zip(g[:k], indices, strict=True)])
        g_last = [
            _stacked([None if d is None else d.reshape(batch, h)[packing.order] for d in g[start : start + k]])
            for start in (k, 2 * k)
        ]
        g_gates, g_h, g_c = lstm_backward(steps, weight, packing.sizes, c_0, g_outputs, (g_last[0], g_last[1]))
        g_xs = (
            _scattered(packing, indices, [z @ w for z, w in zip(g_gates, weights_ih, strict=True)])
            if needs[0]
            else None
        )
        gradients: list[Array | None] = [None if g_xs is None else g_xs.reshape(xs.shape)]
        for j in range(k):
            need_ih, need_hh, need_bias = needs[1 + 3 * j : 4 + 3 * j]
            gradients += [
                g_gates[j].T @ packed[j] if need_ih else None,
                _recurrent_gradient(g_gates[j], steps.outputs[j], packing, None if h_0 is None else h_0[j])
                if need_hh
                else None,
                g_gates[j].sum(axis=0) if need_bias else None,
            ]
        if initial:
            for j in range(k):
                gradients += [part[j][packing.place].reshape(*lead, h) for part in (g_h, g_c)]
        return tuple(gradients)

    return (*ys, *last_h, *last_c), pullback


def _recurrent_gradient(g_gates: Array, outputs: Array, packing: Packing, h_0: Array | None) -> Array:
    """The gradient of weight_hh: one product over all steps of gate gradients and the hidden states before them."""
    first = packing.shape[0]
    g_weight: Array = g_gates[first:].T @ outputs[packing.previous]
    if h_0 is not None:
        g_weight += g_gates[:first].T @ h_0
    return g_weight


def _scattered(packing: Packing, indices: Sequence[Any], rows: Sequence[Array]) -> Array:
    """Return the sum of the directions' packed gradients (N, D) as (B·T, D)."""
    total: Array = np.zeros((packing.shape[0] * packing.shape[1], rows[0].shape[1]), rows[0].dtype)
    total[indices[0]] = rows[0]
    for index, part in zip(indices[1:], rows[1:], strict=True):
        total[index] += part
    return total


def _stacked(parts: Sequence[Array | None]) -> Array | None:
    """Return the gradients of all directions as one array, zeros where there is none; None where there are none."""
    known = next((part for part in parts if part is not None), None)
    if known is None:
        return None
    return np.stack([np.zeros_like(known) if part is None else part for part in parts])


def _check_state(state: LSTMState, shape: tuple[int, ...]) -> None:
    for name, part in zip(("h", "c"), state, strict=True):
        if part.shape != shape:
            raise ShapeError(f"LSTM: expected a state with {name} of shape {shape}, got {part.shape}")


def _stacked_weights(out: int, size: int, rng: LockedRand | None, dtype: npt.DTypeLike) -> Array:
    """Return the initial weights of the four gates, each drawn for itself, one below the other."""
    return np.concatenate([xavier_uniform((out, size), rng=rng, dtype=dtype) for _ in range(4)])
