"""Recurrent layers one above the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy.typing as npt

from spago.ag import Node, Operand, ShapeError
from spago.nn._birnn import BiRNN
from spago.nn._containers import ModuleList
from spago.nn._dropout import Dropout
from spago.nn._module import Module
from spago.nn._recurrent import Recurrent


class Stacked(Module):
    """Recurrent layers one above the other, with dropout between them.

        ys_1 = layer_1(xs)
        ys_k = layer_k(dropout(ys_(k-1)))

    The layers may be of any kinds, in one direction or in both. PyTorch's num_layers=2, dropout=0.3 is here

        nn.Stacked([nn.LSTM(D, H), nn.LSTM(H, H)], dropout=0.3)

    Shapes:
        xs: (T, D) or (B, T, D), with D the input size of the first layer
        ys: (T, H) or (B, T, H), with H the output size of the last layer

    Source:
        Dropout between layers, not between steps: W. Zaremba, I. Sutskever, O. Vinyals (2014), "Recurrent neural
        network regularization", arXiv:1409.2329.

    Args:
        layers: From the lowest to the highest; the input size of each is the output size of the one below.
        dropout: Probability of a zero between two layers, in training; or a `Dropout`, such as one with shared_axis=-2
            for the same mask at all steps.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> stacked = nn.Stacked([nn.BiLSTM(3, 5), nn.GRU(10, 4)], dropout=0.3)
        >>> ys, states = stacked(np.ones((2, 7, 3), np.float32), lengths=[7, 4])
        >>> ys.shape, len(states)
        ((2, 7, 4), 2)
    """

    def __init__(self, layers: Iterable[Recurrent[Any] | BiRNN], *, dropout: float | Dropout = 0.0) -> None:
        self.layers = ModuleList(layers)
        self.dropout = dropout if isinstance(dropout, Dropout) else Dropout(dropout)
        if not len(self.layers):
            raise ShapeError("Stacked: expected at least one layer, got none")
        for k in range(1, len(self.layers)):
            below, above = self.layers[k - 1].output_size, self.layers[k].input_size
            if below != above:
                raise ShapeError(
                    f"Stacked: expected layer {k} to take the {below} features of the one below, got {above}"
                )

    @property
    def input_size(self) -> int:
        """Features of the input."""
        size: int = self.layers[0].input_size
        return size

    @property
    def output_size(self) -> int:
        """Features of the output."""
        size: int = self.layers[-1].output_size
        return size

    def next(self, x: Operand, states: Sequence[Any] | None = None) -> tuple[Any, ...]:
        """Return the states of all layers after one step; the output is the first part of the last of them.

        Args:
            x: The input of the step, shape (..., D).
            states: The states after the step before, or None.

        Raises:
            TypeError: When a layer reads in both directions, and so has no single steps.
        """
        after: list[Any] = []
        for layer, state in zip(self.layers, self._given(states), strict=True):
            if isinstance(layer, BiRNN):
                raise TypeError("Stacked: expected layers of one direction for single steps, got a BiRNN")
            after.append(layer.next(self.dropout(after[-1][0]) if after else x, state))
        return tuple(after)

    def forward(
        self,
        xs: Operand | Sequence[Operand],
        states: Sequence[Any] | None = None,
        lengths: npt.ArrayLike | None = None,
        *,
        reverse: bool = False,
    ) -> tuple[Node, tuple[Any, ...]]:
        """Run over whole sequences.

        Args:
            xs: Shape (T, D), or a padded batch (B, T, D); or a list of T nodes (D,).
            states: For each layer its state before the first step, or None; None for all of them.
            lengths: The number of real steps of each sequence, shape (B,), or a mask of booleans (B, T), True for them;
                all T of them by default.
            reverse: Whether all layers read sequences from their last real step to their first. Results stay at the
                places of their inputs.

        Returns:
            The outputs of the last layer, 0 where there is padding; and the last state of each layer.

        Raises:
            ShapeError: When sizes do not agree, or a length is below 1 or above T.
        """
        ys: Any = xs
        after: list[Any] = []
        for layer, state in zip(self.layers, self._given(states), strict=True):
            ys, last = layer(self.dropout(ys) if after else ys, state, lengths, reverse=reverse)
            after.append(last)
        return ys, tuple(after)

    def _given(self, states: Sequence[Any] | None) -> Sequence[Any]:
        if states is None:
            return [None] * len(self.layers)
        if len(states) != len(self.layers):
            raise ShapeError(f"Stacked: expected {len(self.layers)} states, one a layer, got {len(states)}")
        return states
