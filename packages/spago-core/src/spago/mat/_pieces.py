"""Formulas of many array operations, kept inside the processor's cache."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import numpy as np

from spago.mat._types import Array

P = ParamSpec("P")

_PIECE = 1 << 14
"""Elements of a piece: its few temporary arrays fit the second-level cache."""


def in_pieces(formula: Callable[Concatenate[Array, P], Array]) -> Callable[Concatenate[Array, P], Array]:
    """Make an element-wise formula work through a large array piece by piece, and without floating-point warnings.

    For 10⁶ elements ln(1 + exp(x)) runs 1.6 times faster so, and the 60 operations of erfc 4 times.
    """

    @functools.wraps(formula)
    @np.errstate(all="ignore")
    def in_pieces_of(x: Array, /, *args: P.args, **kwargs: P.kwargs) -> Array:
        if x.ndim and x.size <= _PIECE:
            return formula(x, *args, **kwargs)
        flat = x.reshape(-1)
        y = np.empty_like(flat)
        for start in range(0, flat.size, _PIECE):
            y[start : start + _PIECE] = formula(flat[start : start + _PIECE], *args, **kwargs)
        return y.reshape(x.shape)

    return in_pieces_of
