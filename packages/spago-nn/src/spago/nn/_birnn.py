"""Sequences read in both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.nn._module import Module
from spago.nn._recurrent import Recurrent, run_layers

if TYPE_CHECKING:
    from spago.nn._stacked import Stacked

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

    Each of the two may be a `Stacked`; then the directions meet at the top alone, as in ELMo, while in a `Stacked` of
    `BiRNN` layers they meet in each of them, as in PyTorch.

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

    def __init__(
        self,
        forward_layer: Recurrent[Any] | Stacked,
        backward_layer: Recurrent[Any] | Stacked,
        *,
        merge: Merge = "concat",
    ) -> None:
        if merge not in _MERGES:
            raise ValueError(f"BiRNN: expected merge to be one of {', '.join(_MERGES)}, got {merge!r}")
        sizes = [(layer.input_size, layer.output_size) for layer in (forward_layer, backward_layer)]
        if sizes[0][0] != sizes[1][0] or (merge != "concat" and sizes[0] != sizes[1]):
            raise ShapeError(f"BiRNN: expected two layers of the same sizes, got {sizes[0]} and {sizes[1]}")
        self.forward_layer = forward_layer
        self.backward_layer = backward_layer
        self.merge = merge

    @property
    def input_size(self) -> int:
        """Features of the input."""
        return self.forward_layer.input_size

    @property
    def output_size(self) -> int:
        """Features of the merged output."""
        there, back = self.forward_layer.output_size, self.backward_layer.output_size
        return there + back if self.merge == "concat" else there

    def forward(
        self,
        xs: Operand | Sequence[Operand],
        state: BiState | None = None,
        lengths: npt.ArrayLike | None = None,
        *,
        reverse: bool = False,
    ) -> tuple[Node, BiState]:
        """Run over whole sequences.

        Args:
            xs: Shape (T, D), or a padded batch (B, T, D); or a list of T nodes (D,).
            state: The states before the first step of each direction, or None.
            lengths: The number of real steps of each sequence, shape (B,), or a mask of booleans (B, T), True for them;
                all T of them by default.
            reverse: Whether the directions are exchanged: the forward layer reads from the last real step on.

        Returns:
            The merged outputs, 0 where there is padding; and the last state of each direction: that of the backward
            layer is the one at step 0.

        Raises:
            ShapeError: When sizes do not agree, or a length is below 1 or above T.
        """
        before, directions = state or BiState(None, None), (reverse, not reverse)
        layers: Any = (self.forward_layer, self.backward_layer)
        results: Any
        if all(isinstance(layer, Recurrent) for layer in layers):
            results = run_layers(layers, xs, before, lengths, reverse=directions, name="BiRNN")
        else:
            one_by_one = zip(layers, before, directions, strict=True)
            results = [layer(xs, of_layer, lengths, reverse=backwards) for layer, of_layer, backwards in one_by_one]
        (a, after), (b, back_after) = results
        return _MERGES[self.merge](a, b), BiState(after, back_after)

    def extra_repr(self) -> str:
        """The merge."""
        return repr(self.merge)
