"""The steps of gated recurrent units over packed sequences, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spago.mat._types import Array


@dataclass(frozen=True, slots=True)
class GRUSteps:
    """What the forward steps leave for the backward ones. K GRUs run side by side; see `gru_forward`.

    Attributes:
        outputs: (K, N, H), the hidden states h.
        gates: (K, N, 3H), the activated gates in the order r, z, n.
        initial: (K, B, H), h before the first step.
        products: (K, N, H), R_n·h⁻ + b, where the reset gate comes after the product; else None.
    """

    outputs: Array
    gates: Array
    initial: Array
    products: Array | None


def gru_gate_layout(stacked: Array) -> Array:
    """Return weights or biases stacked as r, z, n along axis 0, or as r, z, in the layout of `gru_forward`.

    What feeds the two sigmoids is halved: as σ(a) = ½ tanh(½a) + ½, tanh, which NumPy has vectorised, then serves them.
    """
    laid = stacked.copy()
    laid[: 2 * (len(stacked) // 3)] *= 0.5
    return laid


def gru_forward(
    gates: Array, weight: Array, sizes: Sequence[int], h_0: Array | None = None, bias_n: Array | None = None
) -> GRUSteps:
    """Run K independent GRUs of equal size side by side over packed sequences.

        r, z = σ(a_r + R_r·h⁻), σ(a_z + R_z·h⁻)             where a = gates, and R_r, R_z, R_n = weight
        n = tanh(a_n + R_n·(r ⊙ h⁻))                        without bias_n
        n = tanh(a_n + r ⊙ (R_n·h⁻ + bias_n))               with it
        h = (1 - z) ⊙ n + z ⊙ h⁻

    Error: at most 2e-6 (float32) or 4e-15 (float64) absolute a step, that of tanh and the products.

    Args:
        gates: (K, N, 3H), what the inputs give to the gates, in the layout of `gru_gate_layout`. Overwritten.
        weight: (K, H, 3H), from the previous hidden state to the gates, in the same layout.
        sizes: The number of rows of each time step, descending, as in `Packing`; their sum is N.
        h_0: (K, B, H), the states before the first step; zeros when None.
        bias_n: (K, H), for the form with the reset gate after the product.
    """
    k, n_rows, h3 = gates.shape
    h, batch = h3 // 3, sizes[0]
    initial = np.zeros((k, batch, h), gates.dtype) if h_0 is None else h_0
    outputs = np.empty((k, n_rows, h), gates.dtype)
    products = None if bias_n is None else np.empty((k, n_rows, h), gates.dtype)
    recurrent = np.empty((k, batch, h3 if bias_n is not None else 2 * h), gates.dtype)
    scratch, reset = (np.empty((k, batch, h), gates.dtype) for _ in range(2))
    weight_rz, weight_n = (np.ascontiguousarray(part) for part in np.split(weight, [2 * h], axis=-1))
    before = initial
    start = 0
    for n in sizes:
        rows = slice(start, start + n)
        rz, candidate = gates[:, rows, : 2 * h], gates[:, rows, 2 * h :]
        before, a, s = before[:, :n], recurrent[:, :n], scratch[:, :n]
        np.matmul(before, weight_rz if products is None else weight, out=a)
        rz += a[..., : 2 * h]
        np.tanh(rz, out=rz)
        rz *= 0.5
        rz += 0.5
        if products is None or bias_n is None:
            candidate += np.matmul(np.multiply(rz[..., :h], before, out=reset[:, :n]), weight_n, out=s)
        else:
            product: Array = np.add(a[..., 2 * h :], bias_n[:, None], out=products[:, rows])
            candidate += np.multiply(rz[..., :h], product, out=s)
        np.tanh(candidate, out=candidate)
        # n + z ⊙ (h⁻ - n)
        y = np.subtract(before, candidate, out=outputs[:, rows])
        y *= rz[..., h:]
        y += candidate
        before = y
        start += n
    return GRUSteps(outputs, gates, initial, products)


def gru_backward(
    steps: GRUSteps, weight: Array, sizes: Sequence[int], g_outputs: Array | None, g_last: Array | None = None
) -> tuple[Array, Array]:
    """Return the gradients of the gates before activation, and of the states before the first step.

    Args:
        steps: What `gru_forward` returned.
        weight: (K, 3H, H), from the previous hidden state to the gates in the order r, z, n, not halved.
        sizes: As for `gru_forward`.
        g_outputs: (K, N, H), the gradient of all hidden states, or None.
        g_last: The gradients (K, B, H) of each sequence's last hidden state, in sorted order, or None.

    Returns:
        (K, N, 3H), the gradients of a in the order n, r, z; or (K, N, 4H) with the reset gate after the product: the
        fourth is that of the product, so that the last three are those of R·h⁻. And (K, B, H), that of h_0.
    """
    k, n_rows, h = steps.outputs.shape
    batch = sizes[0]
    dtype = steps.outputs.dtype
    products = steps.products
    g_gates = np.empty((k, n_rows, 3 * h if products is None else 4 * h), dtype)
    # Rows of sequences that end before step t keep the gradient of their last state until their own last step comes.
    g_h = np.zeros((k, batch, h), dtype) if g_last is None else g_last.astype(dtype)
    slope = np.empty((k, batch, 2 * h), dtype)
    scratch, g_reset = (np.empty((k, batch, h), dtype) for _ in range(2))
    weight_rz, weight_n = weight[:, : 2 * h], weight[:, 2 * h :]
    stop = n_rows
    for t in reversed(range(len(sizes))):
        n = sizes[t]
        start = stop - n
        activated = steps.gates[:, start:stop]
        rz, r, z, candidate = (activated[..., i * h : j * h] for i, j in ((0, 2), (0, 1), (1, 2), (2, 3)))
        before = steps.outputs[:, start - sizes[t - 1] : start - sizes[t - 1] + n] if t else steps.initial
        g_n, g_rz = g_gates[:, start:stop, :h], g_gates[:, start:stop, h : 3 * h]
        g_r, g_z = g_rz[..., :h], g_rz[..., h:]
        g, s = g_h[:, :n], scratch[:, :n]
        if g_outputs is not None:
            g += g_outputs[:, start:stop]
        # h = n + z ⊙ (h⁻ - n)
        np.subtract(before, candidate, out=g_z)
        g_z *= g
        np.multiply(candidate, candidate, out=s)
        np.subtract(1, s, out=s)
        s *= g
        g *= z
        np.subtract(1, z, out=g_n)
        g_n *= s
        # Through the reset gate, and σ' = σ(1 - σ).
        if products is None:
            by_reset = np.matmul(g_n, weight_n, out=g_reset[:, :n])
            np.multiply(by_reset, before, out=g_r)
            by_reset *= r
            g += by_reset
        else:
            np.multiply(g_n, products[:, start:stop], out=g_r)
            np.multiply(g_n, r, out=g_gates[:, start:stop, 3 * h :])
        by_sigmoid = np.subtract(1, rz, out=slope[:, :n])
        by_sigmoid *= rz
        g_rz *= by_sigmoid
        if products is None:
            g += np.matmul(g_rz, weight_rz, out=s)
        else:
            g += np.matmul(g_gates[:, start:stop, h:], weight, out=s)
        stop = start
    return g_gates, g_h
