"""Conv2d: convolution of matrices, such as images."""

from __future__ import annotations

from spago import ag
from spago.nn._convolution import Convolution


class Conv2d(Convolution):
    """Convolution over the last two axes, with strides s and s', and dilations d and d'.

        y[o, l, m] = bias[o] + Σ_c Σ_i Σ_j weight[o, c, i, j] · x[c, s · l + d · i, s' · m + d' · j]

    PyTorch's layer. The reference adds a bias once for each input channel, which is the same as their sum here, and
    refuses sizes where something remains at the ends.

    Shapes:
        x: (..., C, N, M)
        y: (..., O, L, L'), each size as that of `Conv1d`
        weight: (O, C / groups, K, K'), Xavier-uniform at first
        bias: (O,), 0 at first; None where bias is False

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K and K': one number for both, or a pair; so are stride, padding and dilation.
        stride: Steps from one place of the kernel to the next. What remains at the ends of x is not read.
        padding: How many elements on all sides of x; `"same"` for as many as give y the sizes of x, an odd one at the
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
        >>> nn.Conv2d(3, 8, (3, 5), padding=(1, 2))(np.zeros((2, 3, 20, 30), np.float32)).shape
        (2, 8, 20, 30)
    """

    axes = 2
    operator = staticmethod(ag.conv2d)
