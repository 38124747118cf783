"""Formulas of many array operations, kept inside the processor's cache."""

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec

import numpy as np

from spago.mat._types import Array

P = ParamSpec("P")

_PIECE = 128 * 1024
"""Bytes of a piece: its few temporary arrays fit the second-level cache."""

piece_size = ContextVar("piece_size", default=_PIECE)
"""Bytes of a piece in the current context.

Threads that work side by side need larger ones: between two operations each needs the interpreter for a moment, and to
wait for it can cost as much as an operation on a small piece.
"""


def in_pieces(formula: Callable[Concatenate[Array, P], Array]) -> Callable[Concatenate[Array, P], Array]:
    """Make an element-wise formula work through a large array piece by piece, and without floating-point warnings.

    Further arguments that are arrays of the shape of x are cut as x is. For 10⁶ elements ln(1 + exp(x)) runs 1.6 times
    faster so, and the 60 operations of erfc 4 times.
    """

    @functools.wraps(formula)
    @np.errstate(all="ignore")
    def in_pieces_of(x: Array, /, *args: P.args, **kwargs: P.kwargs) -> Array:
        if x.ndim and x.nbytes <= _PIECE:
            return formula(x, *args, **kwargs)
        flat, size = x.reshape(-1), piece_size.get() // x.itemsize
        others = [_flattened(argument, x) for argument in args]
        y = np.empty_like(flat)
        for start in range(0, flat.size, size):
            piece = slice(start, start + size)
            cut: Any = (_cut(argument, flat, piece) for argument in others)
            y[piece] = formula(flat[piece], *cut, **kwargs)
        return y.reshape(x.shape)

    return in_pieces_of


def _flattened(argument: Any, x: Array) -> Any:
    return argument.reshape(-1) if getattr(argument, "shape", None) == x.shape else argument


def _cut(argument: Any, flat: Array, piece: slice) -> Any:
    return argument[piece] if getattr(argument, "shape", None) == flat.shape else argument
