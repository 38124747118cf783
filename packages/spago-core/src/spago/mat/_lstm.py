"""The steps of long short-term memory over packed sequences, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spago.mat._types import Array


@dataclass(frozen=True, slots=True)
class LSTMSteps:
    """What the forward steps leave for the backward ones. K LSTMs run side by side; see `lstm_forward`.

    Attributes:
        outputs: (K, N, H), the hidden states h.
        cells: (K, N, H), the cell states c.
        gates: (K, N, 4H), the activated gates in the order i, f, o, g.
        tanh_cells: (K, N, H), tanh(c).
    """

    outputs: Array
    cells: Array
    gates: Array
    tanh_cells: Array


def lstm_gate_layout(stacked: Array) -> Array:
    """Return weights or biases stacked as i, f, g, o along axis 0, in the layout of `lstm_forward`.

    There the order is i, f, o, g, and what feeds the three sigmoids is halved: as σ(a) = ½ tanh(½a) + ½, one call of
    tanh, which NumPy has vectorised, then serves all four gates.
    """
    h = len(stacked) // 4
    laid: Array = np.concatenate([stacked[: 2 * h], stacked[3 * h :], stacked[2 * h : 3 * h]])
    laid[: 3 * h] *= 0.5
    return laid


def lstm_forward(
    gates: Array, weight: Array, sizes: Sequence[int], h_0: Array | None = None, c_0: Array | None = None
) -> LSTMSteps:
    """Run K independent LSTMs of equal size side by side over packed sequences.

        i, f, o = σ(a_i), σ(a_f), σ(a_o);   g = tanh(a_g)        where a = gates + h_{t-1} · weight
        c_t = f ⊙ c_{t-1} + i ⊙ g
        h_t = o ⊙ tanh(c_t)

    Error: at most 2e-6 (float32) or 4e-15 (float64) absolute a step, that of tanh and the products.

    Args:
        gates: (K, N, 4H), what the inputs give to the gates, in the layout of `lstm_gate_layout`. Overwritten.
        weight: (K, H, 4H), from the previous hidden state to the gates, in the same layout.
        sizes: The number of rows of each time step, descending, as in `Packing`; their sum is N.
        h_0, c_0: (K, B, H), the states before the first step; zeros when None.
    """
    k, n_rows, h4 = gates.shape
    h = h4 // 4
    batch = sizes[0]
    outputs, cells, tanh_cells = (np.empty((k, n_rows, h), gates.dtype) for _ in range(3))
    recurrent = np.empty((k, batch, h4), gates.dtype)
    scratch = np.empty((k, batch, h), gates.dtype)
    before, cell_before = h_0, c_0
    start = 0
    for n in sizes:
        rows = slice(start, start + n)
        z = gates[:, rows]
        if before is not None:
            z += np.matmul(before[:, :n], weight, out=recurrent[:, :n])
        np.tanh(z, out=z)
        sigmoids = z[..., : 3 * h]
        sigmoids *= 0.5
        sigmoids += 0.5
        c = np.multiply(z[..., :h], z[..., 3 * h :], out=cells[:, rows])
        if cell_before is not None:
            c += np.multiply(z[..., h : 2 * h], cell_before[:, :n], out=scratch[:, :n])
        tanh_c = np.tanh(c, out=tanh_cells[:, rows])
        before = np.multiply(z[..., 2 * h : 3 * h], tanh_c, out=outputs[:, rows])
        cell_before = c
        start += n
    return LSTMSteps(outputs, cells, gates, tanh_cells)


def lstm_backward(  # noqa: PLR0917 - what the mathematics needs
    steps: LSTMSteps,
    weight: Array,
    sizes: Sequence[int],
    c_0: Array | None,
    g_outputs: Array | None,
    g_last: tuple[Array | None, Array | None] = (None, None),
) -> tuple[Array, Array, Array]:
    """Return the gradients of the gates before activation, and of the states before the first step.

    Args:
        steps: What `lstm_forward` returned.
        weight: (K, 4H, H), from the previous hidden state to the gates in the order i, f, o, g, not halved.
        sizes: As for `lstm_forward`.
        c_0: As for `lstm_forward`.
        g_outputs: (K, N, H), the gradient of all hidden states, or None.
        g_last: The gradients (K, B, H) of each sequence's last hidden and cell state, in sorted order, or None.

    Returns:
        (K, N, 4H) in the order i, f, o, g; (K, B, H) of h_0; (K, B, H) of c_0.
    """
    k, n_rows, h = steps.outputs.shape
    batch = sizes[0]
    dtype = steps.outputs.dtype
    g_gates = np.empty((k, n_rows, 4 * h), dtype)
    # Rows of sequences that end before step t keep the gradient of their last state until their own last step comes.
    g_h, g_c = (np.zeros((k, batch, h), dtype) if g is None else g.astype(dtype) for g in g_last)
    slope = np.empty((k, batch, 3 * h), dtype)
    scratch = np.empty((k, batch, h), dtype)
    stop = n_rows
    for t in reversed(range(len(sizes))):
        n = sizes[t]
        rows = slice(stop - n, stop)
        z, tanh_c, g_z = steps.gates[:, rows], steps.tanh_cells[:, rows], g_gates[:, rows]
        i, f, o, g = (z[..., j * h : (j + 1) * h] for j in range(4))
        g_i, g_f, g_g, g_o = (g_z[..., j * h : (j + 1) * h] for j in range(4))
        g_h_t, g_c_t, s = g_h[:, :n], g_c[:, :n], scratch[:, :n]
        if g_outputs is not None:
            g_h_t += g_outputs[:, rows]
        # h = o ⊙ tanh(c)
        np.multiply(g_h_t, tanh_c, out=g_o)
        np.multiply(tanh_c, tanh_c, out=s)
        np.subtract(1, s, out=s)
        s *= g_h_t
        s *= o
        g_c_t += s
        # c = f ⊙ c_before + i ⊙ g
        np.multiply(g_c_t, g, out=g_i)
        if t:
            np.multiply(g_c_t, steps.cells[:, stop - n - sizes[t - 1] : stop - sizes[t - 1]], out=g_f)
        elif c_0 is not None:
            np.multiply(g_c_t, c_0, out=g_f)
        else:
            g_f[...] = 0
        np.multiply(g_c_t, i, out=g_g)
        # Through σ' = σ(1 - σ) and tanh' = 1 - tanh².
        np.subtract(1, z[..., : 3 * h], out=slope[:, :n])
        slope[:, :n] *= z[..., : 3 * h]
        g_z[..., : 2 * h] *= slope[:, :n, : 2 * h]
        g_o *= slope[:, :n, 2 * h :]
        np.multiply(g, g, out=s)
        np.subtract(1, s, out=s)
        g_g *= s
        np.matmul(g_z, weight, out=g_h_t)
        g_c_t *= f
        stop -= n
    return g_gates, g_h, g_c
