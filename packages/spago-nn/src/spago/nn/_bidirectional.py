"""Layers in both directions, by one name each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from spago.mat.rand import LockedRand
from spago.nn._birnn import BiRNN, Merge
from spago.nn._cfn import CFN
from spago.nn._dropout import Dropout
from spago.nn._gru import GRU
from spago.nn._lstm import LSTM
from spago.nn._ltm import LTM
from spago.nn._mist import MIST
from spago.nn._ran import RAN
from spago.nn._recurrent import Recurrent
from spago.nn._stacked import Stacked


def BiLSTM(  # noqa: N802 - reads as the layer that it makes, as all functions here
    input_size: int,
    hidden_size: int,
    *,
    merge: Merge = "concat",
    rng: LockedRand | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> BiRNN:
    """Return a `BiRNN` of two `LSTM` layers.

    Args:
        input_size: Features of the input.
        hidden_size: Features of each direction's output.
        merge: How the two outputs of a step become one.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> ys, _ = nn.BiLSTM(3, 5)(np.ones((2, 7, 3), np.float32), lengths=[7, 4])
        >>> ys.shape
        (2, 7, 10)
    """
    return _both(lambda: LSTM(input_size, hidden_size, rng=rng, dtype=dtype), merge)


def BiGRU(  # noqa: N802
    input_size: int,
    hidden_size: int,
    *,
    reset_after: bool = False,
    merge: Merge = "concat",
    rng: LockedRand | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> BiRNN:
    """Return a `BiRNN` of two `GRU` layers; arguments as for `BiLSTM` and `GRU`."""
    return _both(lambda: GRU(input_size, hidden_size, reset_after=reset_after, rng=rng, dtype=dtype), merge)


def BiRAN(  # noqa: N802
    input_size: int,
    hidden_size: int,
    *,
    merge: Merge = "concat",
    rng: LockedRand | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> BiRNN:
    """Return a `BiRNN` of two `RAN` layers; arguments as for `BiLSTM`."""
    return _both(lambda: RAN(input_size, hidden_size, rng=rng, dtype=dtype), merge)


def BiCFN(  # noqa: N802
    input_size: int,
    hidden_size: int,
    *,
    merge: Merge = "concat",
    rng: LockedRand | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> BiRNN:
    """Return a `BiRNN` of two `CFN` layers; arguments as for `BiLSTM`."""
    return _both(lambda: CFN(input_size, hidden_size, rng=rng, dtype=dtype), merge)


def BiLTM(  # noqa: N802
    input_size: int,
    *,
    merge: Merge = "concat",
    rng: LockedRand | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> BiRNN:
    """Return a `BiRNN` of two `LTM` layers; arguments as for `BiLSTM`."""
    return _both(lambda: LTM(input_size, rng=rng, dtype=dtype), merge)


def BiMIST(  # noqa: N802
    input_size: int,
    hidden_size: int,
    delays: int,
    *,
    merge: Merge = "concat",
    rng: LockedRand | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> BiRNN:
    """Return a `BiRNN` of two `MIST` layers; arguments as for `BiLSTM` and `MIST`."""
    return _both(lambda: MIST(input_size, hidden_size, delays, rng=rng, dtype=dtype), merge)


def BiBiLSTM(  # noqa: N802
    input_size: int,
    hidden_size: int,
    *,
    merge: Merge = "concat",
    dropout: float | Dropout = 0.0,
    rng: LockedRand | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Stacked:
    """Return two `BiLSTM` layers, one above the other; the lower one concatenates.

    Args:
        input_size: Features of the input.
        hidden_size: Features of each direction's output, in both layers.
        merge: How the two outputs of a step become one in the upper layer.
        dropout: Between the two, as for `Stacked`.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """
    lower = BiLSTM(input_size, hidden_size, rng=rng, dtype=dtype)
    upper = BiLSTM(2 * hidden_size, hidden_size, merge=merge, rng=rng, dtype=dtype)
    return Stacked([lower, upper], dropout=dropout)


def _both(make: Callable[[], Recurrent[Any]], merge: Merge) -> BiRNN:
    return BiRNN(make(), make(), merge=merge)
