"""Conv1d: convolution along time."""

from __future__ import annotations

from spago import ag
from spago.nn._convolution import Convolution


class Conv1d(Convolution):
    """Convolution along the last axis.

        y[o, l] = bias[o] + Σ_c Σ_i weight[o, c, i] · x[c, stride · l + dilation · i]

    PyTorch's layer; as there, channels come before positions: for xs of shape (..., T, D), take `xs.swapaxes(-1, -2)`.
    The reference adds a bias once for each input channel, which is the same as their sum here, and drops nothing at the
    end of x: it refuses what does not divide.

    Shapes:
        x: (..., C, N)
        y: (..., O, L), L = ⌊(N + 2 padding - dilation (K - 1) - 1) / stride⌋ + 1
        weight: (O, C / groups, K), Xavier-uniform at first
        bias: (O,), 0 at first; None where bias is False

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K.
        stride: Steps from one place of the kernel to the next. What remains at the end of x is not read.
        padding: How many elements on both sides of x; `"same"` for as many as give y the size of x, an odd one at the
            end; `"valid"` for none.
        dilation: Steps from one element of the kernel to the next.
        groups: Into how many equal parts channels are cut; each part of y sees the same part of x alone. With as many
            groups as in_channels, each channel has its own kernels: a depth-wise convolution.
        bias: Whether a bias is added.
        padding_mode: What to pad with: zeros; or elements of x, counted from the edge ("reflect"), that at the edge
            ("replicate"), or those at the other end ("circular").
        mask: Which input channels are read, a boolean each; the others count as 0, whatever is in them. By default all.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> nn.Conv1d(3, 8, 5, padding="same")(np.zeros((2, 3, 20), np.float32)).shape
        (2, 8, 20)
    """

    axes = 1
    operator = staticmethod(ag.conv1d)
