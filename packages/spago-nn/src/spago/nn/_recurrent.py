"""What all recurrent layers have in common: one step at a time, or whole padded batches of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import check_lengths
from spago.nn._module import Module


class Recurrent(Module):
    """A layer with a state: a cell for single steps, a layer for sequences.

    A subclass gives `next`, one step from its equations. Whole sequences then go through it step by step, unless the
    subclass has a faster way. The state is a named tuple whose first element is the output of the step; None stands for
    the state before the first step.

    Attributes:
        input_size: Features of the input.
        hidden_size: Features of the output.
    """

    input_size: int
    hidden_size: int

    def next(self, x: Operand, state: Any = None) -> Any:
        """Return the state after one step.

        Args:
            x: The input of the step, shape (..., input_size).
            state: The state after the step before, or None.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method next, which computes one step")

    def forward(
        self,
        xs: Operand | Sequence[Operand],
        state: Any = None,
        lengths: npt.ArrayLike | None = None,
        *,
        reverse: bool = False,
    ) -> tuple[Node, Any]:
        """Run over whole sequences.

        Args:
            xs: Shape (T, input_size), or a padded batch (B, T, input_size); or a list of T nodes (input_size,).
            state: The state before the first step, with arrays of shape (hidden_size,) or (B, hidden_size), or None.
            lengths: The number of real steps of each sequence, shape (B,); all T of them by default.
            reverse: Whether sequences are read from their last real step to their first. Results stay at the places
                of their inputs.

        Returns:
            The outputs, shape (T, hidden_size) or (B, T, hidden_size), 0 where there is padding; and the state after
            the step of each sequence that was read last.

        Raises:
            ShapeError: When sizes do not agree, or a length is below 1 or above T.
        """
        xs = as_sequences(xs, self.input_size, type(self).__name__)
        steps = xs.shape[-2]
        real = None if lengths is None else _mask(lengths, xs, type(self).__name__)
        outputs: list[Node] = []
        for t in reversed(range(steps)) if reverse else range(steps):
            after = self.next(xs[..., t, :], state)
            if real is not None and not real[:, t].all():
                after = _only(after, state, real[:, t, None])
                outputs.append(ag.where(real[:, t, None], after[0], 0.0))
            else:
                outputs.append(after[0])
            state = after
        return ag.stack(outputs[::-1] if reverse else outputs, axis=-2), state


def as_sequences(xs: Operand | Sequence[Operand], input_size: int, layer: str) -> Node:
    """Return sequences as one node (T, D) or (B, T, D).

    Raises:
        ShapeError: Names the layer, when the shape is another or there are no steps.
    """
    if isinstance(xs, list | tuple):
        if not xs:
            raise ShapeError(f"{layer}: expected at least one step, got an empty list")
        node = ag.stack(xs, axis=-2)
    else:
        node = xs if isinstance(xs, Node) else ag.var(xs)
    if node.ndim not in (2, 3) or node.shape[-1] != input_size:
        raise ShapeError(
            f"{layer}: expected xs of shape (T, {input_size}) or (B, T, {input_size}), got {node.shape}; "
            "features are the last axis"
        )
    if not node.size:
        raise ShapeError(f"{layer}: expected at least one sequence and one step, got xs of shape {node.shape}")
    return node


def check_batch_of_lengths(lengths: npt.ArrayLike, xs: Node, layer: str) -> npt.NDArray[np.int64]:
    """Return the lengths of a padded batch as integers.

    Raises:
        ShapeError: When xs is no batch, or lengths do not fit it.
    """
    if xs.ndim != 3:
        raise ShapeError(f"{layer}: expected a padded batch (B, T, D) with lengths, got xs of shape {xs.shape}")
    return check_lengths(lengths, xs.shape[1], xs.shape[0])


def _mask(lengths: npt.ArrayLike, xs: Node, layer: str) -> npt.NDArray[np.bool_]:
    """Return which steps (B, T) are real."""
    return np.arange(xs.shape[1]) < check_batch_of_lengths(lengths, xs, layer)[:, None]


def _only(after: Any, before: Any, real: npt.NDArray[np.bool_]) -> Any:
    """Return the state after a step for the sequences that have it, and the state before it for the others."""
    parts = before if before is not None else [None] * len(after)
    return type(after)(*(ag.where(real, a, 0.0 if b is None else b) for a, b in zip(after, parts, strict=True)))
