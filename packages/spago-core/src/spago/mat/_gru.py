"""Gated recurrent units over packed sequences, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spago.mat._recurrence import GatesToHidden, HiddenToGates, room_for_gates, runs, with_bias, with_ones
from spago.mat._types import Array

_BLOCK = 1 << 15
"""Elements of a state in the steps for which `gru_backward` looks ahead: all that it needs fits the cache."""


@dataclass(frozen=True, slots=True)
class GRUSteps:
    """What the forward steps give. K GRUs run side by side; see `gru_forward`.

    Attributes:
        outputs: (K, N, H), the hidden states h.
        initial: (K, B, H), h before the first step.
        gates: For the backward steps, None where nothing is kept: (3, K, N, H), the gates r, z, n; or (4, K, N, H) with
            the reset gate after the product, which is the first: R_n·h⁻ + d, r, z, n.
    """

    outputs: Array
    initial: Array
    gates: Array | None


def gru_forward(
    inputs: Sequence[Array],
    parameters: Sequence[Sequence[Array]],
    sizes: Sequence[int],
    states: Sequence[Array] = (),
    *,
    keep: bool = True,
) -> GRUSteps:
    """Run K independent GRUs of equal size side by side over packed sequences.

        r, z = σ(a_r + R_r·h⁻), σ(a_z + R_z·h⁻)             where a = W·x + b
        n = tanh(a_n + R_n·(r ⊙ h⁻))                        without d
        n = tanh(a_n + r ⊙ (R_n·h⁻ + d))                    with it
        h = (1 - z) ⊙ n + z ⊙ h⁻

    As in `lstm_forward`, σ(a) = ½ tanh(½a) + ½, and what is alike lies side by side in memory.

    Error: at most 2e-6 (float32) or 4e-15 (float64) absolute a step, that of tanh and the products.

    Args:
        inputs: For each GRU its x, (N, D).
        parameters: For each GRU W (3H, D), R (3H, H) and b (3H,), those of r, z, n one below the other; and d (H,) for
            the form with the reset gate after the product.
        sizes: The number of rows of each time step, descending, as in `Packing`; their sum is N.
        states: h before the first step, (K, B, H); nothing for zeros.
        keep: Whether what the backward steps need is kept.
    """
    k, n_rows, h, batch = len(inputs), len(inputs[0]), parameters[0][1].shape[1], sizes[0]
    reset_after = len(parameters[0]) > 3
    dtype = inputs[0].dtype
    gates = room_for_gates((4 if reset_after else 3, k, n_rows, h), dtype, batch=batch)
    for j, (x, (weight_ih, _, bias, *bias_hn)) in enumerate(zip(inputs, parameters, strict=True)):
        np.matmul(with_ones(x), with_bias(_laid_out(weight_ih), _laid_out(bias)), out=gates[-3:, j])
        if reset_after:
            gates[0, j] = bias_hn[0]
    weights = [_laid_out(weight_hh) for _, weight_hh, *_ in parameters]
    initial = states[0] if states else np.zeros((k, batch, h), dtype)
    outputs = np.empty((k, n_rows, h), dtype)
    take_steps = _with_reset_after if reset_after else _with_reset_before
    parts = ([2, 0, 1],) if reset_after else ([0, 1], [2])
    products = [HiddenToGates([weight[part] for weight in weights], batch) for part in parts]
    hidden = initial
    for run in runs(sizes):
        ys = run.of(outputs)
        take_steps(products, run.of(gates), hidden[:, : run.batch], ys, keep=keep)
        hidden = ys[-1]
    return GRUSteps(outputs, initial, gates if keep else None)


def _with_reset_after(products: Sequence[HiddenToGates], given: Array, hidden: Array, ys: Array, *, keep: bool) -> None:
    """Take the steps of a run, with the reset gate after the product.

    Args:
        products: With R_n, R_r and R_z.
        given: (steps, 4, K, B, H), of each step d, a_r, a_z, a_n; overwritten by what is kept.
        hidden: (K, B, H), the states before.
        ys: (steps, K, B, H), where to write the states after each step.
        keep: Whether anything is kept.
    """
    add, multiply, subtract, tanh, copyto = np.add, np.multiply, np.subtract, np.tanh, np.copyto
    (recurrent,) = products
    product, weight, half = recurrent.product, recurrent.weight, np.array(0.5, hidden.dtype)
    work = np.empty((4, *hidden.shape), hidden.dtype)
    p_r_z, r_z = work[:3], work[1:3]
    p, r, z, n = work[0], work[1], work[2], work[3]
    from_hidden = recurrent.of(p_r_z)
    befores = [hidden, *ys[:-1]]
    lefts = recurrent.lefts(hidden[None]) + recurrent.lefts(ys[:-1])
    for before, left, kept, d_a_r_z, a_n, y in zip(
        befores, lefts, list(given), list(given[:, :3]), list(given[:, 3]), list(ys), strict=True
    ):
        product(left, weight, from_hidden)
        add(p_r_z, d_a_r_z, p_r_z)
        tanh(r_z, r_z)
        multiply(r_z, half, r_z)
        add(r_z, half, r_z)
        multiply(r, p, n)
        add(n, a_n, n)
        tanh(n, n)
        if keep:
            copyto(kept, work)
        # n + z ⊙ (h⁻ - n)
        subtract(before, n, y)
        multiply(y, z, y)
        add(y, n, y)


def _with_reset_before(
    products: Sequence[HiddenToGates], given: Array, hidden: Array, ys: Array, *, keep: bool
) -> None:
    """Take the steps of a run, with the reset gate before the product.

    Args:
        products: With R_r and R_z; with R_n.
        given: (steps, 3, K, B, H), of each step a_r, a_z, a_n; overwritten by what is kept.
        hidden: As for `_with_reset_after`; so are ys and keep.
        ys: Likewise.
        keep: Likewise.
    """
    add, multiply, subtract, tanh, copyto = np.add, np.multiply, np.subtract, np.tanh, np.copyto
    of_r_z, of_n = products
    product, weight_r_z, weight_n, half = of_r_z.product, of_r_z.weight, of_n.weight, np.array(0.5, hidden.dtype)
    work = np.empty((3, *hidden.shape), hidden.dtype)
    r_z, r, z, n = work[:2], work[0], work[1], work[2]
    reset = np.empty_like(r)
    from_hidden, from_reset, (left_reset,) = of_r_z.of(r_z), of_n.of(work[2:]), of_n.lefts(reset[None])
    befores = [hidden, *ys[:-1]]
    lefts = of_r_z.lefts(hidden[None]) + of_r_z.lefts(ys[:-1])
    for before, left, kept, a_r_z, a_n, y in zip(
        befores, lefts, list(given), list(given[:, :2]), list(given[:, 2]), list(ys), strict=True
    ):
        product(left, weight_r_z, from_hidden)
        add(r_z, a_r_z, r_z)
        tanh(r_z, r_z)
        multiply(r_z, half, r_z)
        add(r_z, half, r_z)
        multiply(r, before, reset)
        product(left_reset, weight_n, from_reset)
        add(n, a_n, n)
        tanh(n, n)
        if keep:
            copyto(kept, work)
        # n + z ⊙ (h⁻ - n)
        subtract(before, n, y)
        multiply(y, z, y)
        add(y, n, y)


def gru_backward(
    steps: GRUSteps,
    weights_hh: Sequence[Array],
    sizes: Sequence[int],
    g_outputs: Array | None,
    g_last: Array | None = None,
) -> tuple[Array, Array]:
    """Return the gradients of the gates before activation, and of the states before the first step.

    What a step's gradients are multiplied by does not depend on later steps, and is computed for many steps at once.

    Args:
        steps: What `gru_forward` returned.
        weights_hh: For each GRU its R (3H, H), as for `gru_forward`.
        sizes: As for `gru_forward`.
        g_outputs: (K, N, H), the gradient of all hidden states, or None.
        g_last: The gradients (K, B, H) of each sequence's last hidden state, in sorted order, or None.

    Returns:
        (K, N, 3H), the gradients of a_r, a_z, a_n; or (K, N, 4H) with the reset gate after the product, whose gradient
        is the first, so that the first three are those of R·h⁻, in the order n, r, z. And (K, B, H), that of h_0.
    """
    assert steps.gates is not None
    k, n_rows, h = steps.outputs.shape
    dtype, batch, n_gates = steps.outputs.dtype, sizes[0], len(steps.gates)
    go_back = _back_with_reset_after if n_gates == 4 else _back_with_reset_before
    parts = ([2, 0, 1],) if n_gates == 4 else ([1, 0], [2])
    products = [GatesToHidden([weight.reshape(3, h, h)[part] for weight in weights_hh], batch) for part in parts]
    g_gates = np.empty((k, n_rows, n_gates, h), dtype)
    # Rows of sequences that end before step t keep the gradient of their last state until their own last step comes.
    g_h = np.zeros((k, batch, h), dtype) if g_last is None else g_last.astype(dtype)
    for run in reversed(runs(sizes, most=_BLOCK // (k * h))):
        states = run.before(steps.outputs, steps.initial)
        g_ys = None if g_outputs is None else run.of(g_outputs)
        of_gates = go_back(products, run.of(steps.gates), states, g_ys, g_h[:, : run.batch])
        apart = g_gates[:, run.rows].reshape(k, run.steps, run.batch, n_gates, h)
        apart[...] = of_gates.transpose(2, 0, 3, 1, 4)
    return g_gates.reshape(k, n_rows, n_gates * h), g_h


def _back_with_reset_after(
    products: Sequence[GatesToHidden], gates: Array, before: Array, g_ys: Array | None, g_hidden: Array
) -> Array:
    """Go back through a run, from the gradient (K, B, H) of the state after it to that before it, in place.

    Returns:
        (steps, 4, K, B, H), the gradients of the product, of a_r, a_z and a_n.
    """
    (recurrent,) = products
    add, multiply, total, product, weight = np.add, np.multiply, np.add.reduce, recurrent.product, recurrent.weight
    p, r, z, n = gates.swapaxes(0, 1)
    # The derivatives by h: of h⁻ through z, of the product, of a_r, a_z and a_n.
    factors = np.empty((len(gates), 5, *before.shape[1:]), before.dtype)
    factors[:, 0] = z
    factors[:, 4] = (1 - z) * (1 - n * n)
    factors[:, 3] = (before - n) * z * (1 - z)
    factors[:, 1] = factors[:, 4] * r
    factors[:, 2] = factors[:, 1] * (1 - r) * p
    back = factors[::-1]
    g_h = g_hidden.copy()
    parts, by_weight = recurrent.of(g_h)
    for g_y, by_g_h, through_z, of_gates in zip(
        [None] * len(gates) if g_ys is None else list(g_ys[::-1]),
        list(back),
        list(back[:, 0]),
        recurrent.lefts(back[:, 1:4]),
        strict=True,
    ):
        if g_y is not None:
            add(g_h, g_y, g_h)
        multiply(by_g_h, g_h, by_g_h)
        product(of_gates, weight, by_weight)
        if parts is not None:
            total(parts, 0, out=g_h)
        add(g_h, through_z, g_h)
    g_hidden[...] = g_h
    return factors[:, 1:]


def _back_with_reset_before(
    products: Sequence[GatesToHidden], gates: Array, before: Array, g_ys: Array | None, g_hidden: Array
) -> Array:
    """Go back through a run, from the gradient (K, B, H) of the state after it to that before it, in place.

    Returns:
        (steps, 3, K, B, H), the gradients of a_r, a_z and a_n.
    """
    recurrent, of_n = products
    add, multiply, total, product = np.add, np.multiply, np.add.reduce, recurrent.product
    weight, weight_n = recurrent.weight, of_n.weight
    r, z, n = gates.swapaxes(0, 1)
    # The derivatives by h: of h⁻ through z, of a_n and a_z; then those by r ⊙ h⁻: of a_r, of h⁻ through r.
    factors = np.empty((len(gates), 5, *before.shape[1:]), before.dtype)
    factors[:, 0] = z
    factors[:, 1] = (1 - z) * (1 - n * n)
    factors[:, 2] = (before - n) * z * (1 - z)
    factors[:, 3] = before * r * (1 - r)
    factors[:, 4] = r
    back = factors[::-1]
    g_h, g_reset = g_hidden.copy(), np.empty_like(g_hidden)
    parts, by_weight = recurrent.of(g_h)
    part, by_weight_n = of_n.of(g_reset)
    for g_y, by_g_h, by_g_reset, through_z, through_r, of_gate_n, of_gates in zip(
        [None] * len(gates) if g_ys is None else list(g_ys[::-1]),
        list(back[:, :3]),
        list(back[:, 3:]),
        list(back[:, 0]),
        list(back[:, 4]),
        of_n.lefts(back[:, 1:2]),
        recurrent.lefts(back[:, 2:4]),
        strict=True,
    ):
        if g_y is not None:
            add(g_h, g_y, g_h)
        multiply(by_g_h, g_h, by_g_h)
        product(of_gate_n, weight_n, by_weight_n)
        multiply(by_g_reset, g_reset if part is None else part[0], by_g_reset)
        product(of_gates, weight, by_weight)
        if parts is not None:
            total(parts, 0, out=g_h)
        add(g_h, through_z, g_h)
        add(g_h, through_r, g_h)
    g_hidden[...] = g_h
    return factors[:, 3:0:-1]


def _laid_out(stacked: Array) -> Array:
    """Return weights or biases (3H, ...) of r, z, n as (3, H, ...), halved where they feed a σ."""
    laid = stacked.reshape(3, len(stacked) // 3, *stacked.shape[1:]).copy()
    laid[:2] *= 0.5
    return laid
