"""Initializers: functions that fill an array, or the value of an `nn.Param`, in place and return it.

Random numbers come from `rng`, or from the process's default generator (`spago.mat.rand`), one after the other in
row-major order. They are computed in float64 and rounded to the dtype of the array, so that a seed gives the same
weights everywhere, those of the reference to the last bit.

Examples:
    >>> import numpy as np
    >>> from spago import initializers
    >>> from spago.mat.rand import LockedRand
    >>> initializers.uniform(np.empty(2, np.float32), -1, 1, rng=LockedRand(42))
    array([-0.22087336, -0.9451151 ], dtype=float32)
"""

from spago.initializers._constant import constant, ones, zeros
from spago.initializers._distributions import achlioptas, normal, uniform
from spago.initializers._gain import gain
from spago.initializers._kaiming import Mode, kaiming_normal, kaiming_uniform
from spago.initializers._orthogonal import orthogonal
from spago.initializers._xavier import xavier_normal, xavier_uniform

__all__ = [
    "Mode",
    "achlioptas",
    "constant",
    "gain",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "orthogonal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
