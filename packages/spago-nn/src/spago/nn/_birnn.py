"""Sequences read in both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat.rand import LockedRand
from spago.nn._lstm import LSTM
from spago.nn._module import Module
from spago.nn._recurrent import Recurrent, run_layers

Merge: TypeAlias = Literal["concat", "sum", "prod", "avg"]

_MERGES: dict[str, Callable[[Node, Node], Node]] = {
    "concat": lambda a, b: ag.concat((a, b), axis=-1),
    "sum": lambda a, b: a + b,
    "prod": lambda a, b: a * b,
    "avg": lambda a, b: (a + b) * 0.5,
}


class BiState(NamedTuple):
    """The states of both directions after the step that each of them read last."""

    forward: Any
    backward: Any


class BiRNN(Module):
    """Two recurrent layers over the same sequences, one from the first step to the last, one the other way round.

        y_t = merge(forward(x)_t, backward(x)_t)

    Shapes:
        xs: (T, D) or (B, T, D)
        ys: (T, 2H) or (B, T, 2H) for the merge "concat", with H instead of 2H for "sum", "prod" and "avg"

    Source:
        M. Schuster, K. K. Paliwal (1997), "Bidirectional recurrent neural networks".

    Args:
        forward_layer: Reads from the first step on.
        backward_layer: Reads from the last step on; of the same sizes.
        merge: How the two outputs of a step become one.
    """

    def __init__(self, forward_layer: Recurrent, backward_layer: Recurrent, *, merge: Merge = "concat") -> None:
        if merge not in _MERGES:
            raise ValueError(f"BiRNN: expected merge to be one of {', '.join(_MERGES)}, got {merge!r}")
        sizes = [(layer.input_size, layer.hidden_size) for layer in (forward_layer, backward_layer)]
        if sizes[0][0] != sizes[1][0] or (merge != "concat" and sizes[0] != sizes[1]):
            raise ShapeError(f"BiRNN: expected two layers of the same sizes, got {sizes[0]} and {sizes[1]}")
        self.forward_layer = forward_layer
        self.backward_layer = backward_layer
        self.merge = merge

    def forward(
        self,
        xs: Operand | Sequence[Operand],
        state: BiState | None = None,
        lengths: npt.ArrayLike | None = None,
    ) -> tuple[Node, BiState]:
        """Run over whole sequences.

        Args:
            xs: Shape (T, D), or a padded batch (B, T, D); or a list of T nodes (D,).
            state: The states before the first step of each direction, or None.
            lengths: The number of real steps of each sequence, shape (B,); all T of them by default.

        Returns:
            The merged outputs, 0 where there is padding; and the last state of each direction: that of the backward
            layer is the one at step 0.

        Raises:
            ShapeError: When sizes do not agree, or a length is below 1 or above T.
        """
        layers, before = (self.forward_layer, self.backward_layer), state or BiState(None, None)
        (a, after), (b, back_after) = run_layers(layers, (False, True), xs, before, lengths, "BiRNN")
        return _MERGES[self.merge](a, b), BiState(after, back_after)

    def extra_repr(self) -> str:
        """The merge."""
        return repr(self.merge)


def BiLSTM(  # noqa: N802 - reads as the layer that it makes
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
    there, back = (LSTM(input_size, hidden_size, rng=rng, dtype=dtype) for _ in range(2))
    return BiRNN(there, back, merge=merge)
