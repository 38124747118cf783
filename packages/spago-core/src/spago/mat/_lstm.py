"""Long short-term memory over packed sequences, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spago.mat._recurrence import GatesToHidden, HiddenToGates, Run, room_for_gates, runs, with_bias, with_ones
from spago.mat._types import Array

_BLOCK = 1 << 15
"""Elements of a state in the steps for which `lstm_backward` looks ahead: all that it needs fits the cache."""


@dataclass(frozen=True, slots=True)
class LSTMSteps:
    """What the forward steps give. K LSTMs run side by side; see `lstm_forward`.

    Attributes:
        outputs: (K, N, H), the hidden states h.
        last_cells: (K, B, H), the cell state c after each sequence's last step, in sorted order.
        gates: (5, K, N, H), for the backward steps: o, i, f, g and the cell state before each step. None where nothing
            is kept, as the next.
        tanh_cells: (K, N, H), for the backward steps: tanh(c).
    """

    outputs: Array
    last_cells: Array
    gates: Array | None
    tanh_cells: Array | None


def lstm_forward(
    inputs: Sequence[Array],
    parameters: Sequence[Sequence[Array]],
    sizes: Sequence[int],
    states: Sequence[Array] = (),
    *,
    keep: bool = True,
) -> LSTMSteps:
    """Run K independent LSTMs of equal size side by side over packed sequences.

        i, f, o = σ(a_i), σ(a_f), σ(a_o);   g = tanh(a_g)        where a = W·x + R·h⁻ + b
        c = f ⊙ c⁻ + i ⊙ g
        h = o ⊙ tanh(c)

    As σ(a) = ½ tanh(½a) + ½, one call of tanh serves all four gates: W, R and b are halved ahead where they feed a σ.
    Gates lie one after the other in memory, in the order o, i, f, g, so that a call treats all that are alike.

    Error: at most 2e-6 (float32) or 4e-15 (float64) absolute a step, that of tanh and the products.

    Args:
        inputs: For each LSTM its x, (N, D).
        parameters: For each LSTM W (4H, D), R (4H, H) and b (4H,), those of the gates i, f, g, o one below the other.
        sizes: The number of rows of each time step, descending, as in `Packing`; their sum is N.
        states: h and c before the first step, (K, B, H) each; nothing for zeros.
        keep: Whether what the backward steps need is kept.
    """
    k, n_rows, h, batch = len(inputs), len(inputs[0]), parameters[0][1].shape[1], sizes[0]
    dtype = inputs[0].dtype
    gates = room_for_gates((5 if keep else 4, k, n_rows, h), dtype, batch=batch)
    for j, (x, (weight_ih, _, bias)) in enumerate(zip(inputs, parameters, strict=True)):
        np.matmul(with_ones(x), with_bias(_laid_out(weight_ih), _laid_out(bias)), out=gates[:4, j])
    recurrent = HiddenToGates([_laid_out(weight_hh) for _, weight_hh, _ in parameters], batch)
    outputs = np.empty((k, n_rows, h), dtype)
    tanh_cells = np.empty((k, n_rows, h), dtype) if keep else None
    hidden, cells = (part.copy() for part in states) if states else np.zeros((2, k, batch, h), dtype)
    for run in runs(sizes):
        ys, tanh_cs = run.of(outputs), None if tanh_cells is None else run.of(tanh_cells)
        _take_steps(recurrent, run.of(gates), (hidden[:, : run.batch], cells[:, : run.batch]), ys, tanh_cs)
        hidden = ys[-1]
    return LSTMSteps(outputs, cells, gates if keep else None, tanh_cells)


def _take_steps(
    recurrent: HiddenToGates, given: Array, states: tuple[Array, Array], ys: Array, tanh_cs: Array | None
) -> None:
    """Take the steps of a run.

    Args:
        recurrent: The product with R.
        given: (steps, 4 or 5, K, B, H), of each step a_o, a_i, a_f, a_g; overwritten by what is kept.
        states: h and c before, (K, B, H) each; c is overwritten by that after the last step.
        ys: (steps, K, B, H), where to write the hidden states after each step.
        tanh_cs: (steps, K, B, H), where to write tanh(c); None where nothing is kept.
    """
    hidden, cells = states
    add, multiply, tanh, copyto = np.add, np.multiply, np.tanh, np.copyto
    product, weight, half = recurrent.product, recurrent.weight, np.array(0.5, cells.dtype)
    work = np.empty((5, *cells.shape), cells.dtype)
    a, sigmoids, i_f, g_c, o, c = work[:4], work[:3], work[1:3], work[3:], work[0], work[4]
    products = np.empty((2, *cells.shape), cells.dtype)
    i_g, f_c = products[0], products[1]
    from_hidden = recurrent.of(a)
    kept = [None] * len(ys) if tanh_cs is None else list(given)
    tanhs = [np.empty_like(c)] * len(ys) if tanh_cs is None else list(tanh_cs)
    lefts = recurrent.lefts(hidden[None]) + recurrent.lefts(ys[:-1])
    c[...] = cells
    for left, from_input, kept_gates, tanh_c, y in zip(lefts, list(given[:, :4]), kept, tanhs, list(ys), strict=True):
        product(left, weight, from_hidden)
        add(a, from_input, a)
        tanh(a, a)
        multiply(sigmoids, half, sigmoids)
        add(sigmoids, half, sigmoids)
        multiply(i_f, g_c, products)
        if kept_gates is not None:
            copyto(kept_gates, work)
        add(i_g, f_c, c)
        tanh(c, tanh_c)
        multiply(o, tanh_c, y)
    cells[...] = c


def lstm_backward(
    steps: LSTMSteps,
    weights_hh: Sequence[Array],
    sizes: Sequence[int],
    g_outputs: Array | None,
    g_last: Sequence[Array | None] = (None, None),
) -> tuple[Array, Array, Array]:
    """Return the gradients of the gates before activation, and of the states before the first step.

    What a step's gradients are multiplied by does not depend on later steps, and is computed for many steps at once.

    Args:
        steps: What `lstm_forward` returned.
        weights_hh: For each LSTM its R (4H, H), as for `lstm_forward`.
        sizes: As for `lstm_forward`.
        g_outputs: (K, N, H), the gradient of all hidden states, or None.
        g_last: The gradients (K, B, H) of each sequence's last hidden and cell state, in sorted order, or None.

    Returns:
        (K, N, 4H) in the order i, f, g, o; (K, B, H) of h_0; (K, B, H) of c_0.
    """
    k, n_rows, h = steps.outputs.shape
    dtype, batch = steps.outputs.dtype, sizes[0]
    recurrent = GatesToHidden([weight.reshape(4, h, h) for weight in weights_hh], batch)
    g_gates = np.empty((k, n_rows, 4, h), dtype)
    # Rows of sequences that end before step t keep the gradient of their last state until their own last step comes.
    g_h, g_c = (np.zeros((k, batch, h), dtype) if g is None else g.astype(dtype) for g in g_last)
    for run in reversed(runs(sizes, most=_BLOCK // (k * h))):
        g_ys = None if g_outputs is None else run.of(g_outputs)
        of_gates = _go_back(
            _factors(run, steps), recurrent, g_ys, g_hidden=g_h[:, : run.batch], g_cells=g_c[:, : run.batch]
        )
        apart = g_gates[:, run.rows].reshape(k, run.steps, run.batch, 4, h)
        apart[...] = of_gates.transpose(2, 0, 3, 1, 4)
    return g_gates.reshape(k, n_rows, 4 * h), g_h, g_c


def _go_back(factors: Array, recurrent: GatesToHidden, g_ys: Array | None, *, g_hidden: Array, g_cells: Array) -> Array:
    """Go back through a run, from the gradients of the states after it to those before it, in place.

    Returns:
        (steps, 4, K, B, H), the gradients of a_i, a_f, a_g, a_o; what `_factors` returned is overwritten.
    """
    add, multiply, total, product, weight = np.add, np.multiply, np.add.reduce, recurrent.product, recurrent.weight
    back = factors[::-1]
    g_h, g_c = g_hidden.copy(), g_cells
    parts, by_weight = recurrent.of(g_h)
    for g_y, by_g_h, g_c_of_h, by_g_c, g_c_before, of_gates in zip(
        [None] * len(factors) if g_ys is None else list(g_ys[::-1]),
        list(back[:, 4:]),
        list(back[:, 5]),
        list(back[:, :4]),
        list(back[:, 0]),
        recurrent.lefts(back[:, 1:5]),
        strict=True,
    ):
        if g_y is not None:
            add(g_h, g_y, g_h)
        multiply(by_g_h, g_h, by_g_h)
        add(g_c, g_c_of_h, g_c_of_h)
        multiply(by_g_c, g_c_of_h, by_g_c)
        g_c = g_c_before
        product(of_gates, weight, by_weight)
        if parts is not None:
            total(parts, 0, out=g_h)
    g_hidden[...], g_cells[...] = g_h, g_c
    return factors[:, 1:5]


def _factors(run: Run, steps: LSTMSteps) -> Array:
    """Return (steps, 6, K, B, H): the derivatives of c⁻, a_i, a_f, a_g by c, then those of a_o and c by h.

    f,  i (1 - i) g,  f (1 - f) c⁻,  (1 - g²) i;  o (1 - o) tanh(c),  (1 - tanh(c)²) o
    """
    assert steps.gates is not None
    assert steps.tanh_cells is not None
    gates, tanh_c = run.of(steps.gates), run.of(steps.tanh_cells)
    o, i, g = gates[:, 0], gates[:, 1], gates[:, 3]
    i_f, g_c = gates[:, 1:3], gates[:, 3:]
    factors = np.empty((run.steps, 6, *tanh_c.shape[1:]), tanh_c.dtype)
    factors[:, 0] = gates[:, 2]
    of_i_f, of_g, of_o, of_c = factors[:, 1:3], factors[:, 3], factors[:, 4], factors[:, 5]
    np.subtract(1, i_f, of_i_f)
    of_i_f *= i_f
    of_i_f *= g_c
    np.multiply(g, g, of_g)
    np.subtract(1, of_g, of_g)
    of_g *= i
    np.subtract(1, o, of_o)
    of_o *= o
    of_o *= tanh_c
    np.multiply(tanh_c, tanh_c, of_c)
    np.subtract(1, of_c, of_c)
    of_c *= o
    return factors


def _laid_out(stacked: Array) -> Array:
    """Return weights or biases (4H, ...) of i, f, g, o as (4, H, ...) of o, i, f, g, halved where they feed a σ."""
    given = stacked.reshape(4, len(stacked) // 4, *stacked.shape[1:])
    laid = np.empty_like(given)
    np.multiply(given[3], 0.5, laid[0])
    np.multiply(given[:2], 0.5, laid[1:3])
    laid[3] = given[2]
    return laid
