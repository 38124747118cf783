"""The L2 penalty ½ λ ‖w‖², as an addition to the gradient."""

import numpy as np

from spago.mat import Array


def decayed(g: Array, w: Array, weight_decay: float, out: Array) -> Array:
    """Return g + λ w, in out; or g itself where λ is 0."""
    if not weight_decay:
        return g
    np.multiply(w, weight_decay, out=out)
    out += g
    return out
