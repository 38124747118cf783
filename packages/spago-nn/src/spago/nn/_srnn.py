"""Shuffling recurrent networks, in one direction and in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand
from spago.mat.rand import LockedRand
from spago.nn._birnn import BiState
from spago.nn._containers import Sequential
from spago.nn._layer_norm import LayerNorm
from spago.nn._linear import Linear
from spago.nn._module import Module
from spago.nn._recurrent import (
    HiddenState,
    Recurrent,
    as_sequences,
    check_batch_of_lengths,
    check_sizes,
    run_layers,
)


class SRNNState(NamedTuple):
    """The state of an SRNN.

    Attributes:
        y: The output, shape (..., output_size).
        h: The hidden state, shape (..., hidden_size).
    """

    y: Node
    h: Node


class SRNN(Recurrent[SRNNState]):
    """The shuffling recurrent network: a hidden state that moves on by one place a step, with nothing to learn there.

        b = f(x)                          or f(x) ⊙ σ(W_m·x + b_m) with multi_head
        h = relu(b + roll(h⁻))            where roll(h)_i = h_(i-1), and roll(h)_0 is the last one
        y = W_y·h + b_y

    f is num_layers times Linear, LayerNorm and relu, and one more Linear.

    Shapes:
        x: (..., D), xs: (T, D) or (B, T, D)
        y: (..., O), the output; h: (..., H)
        transform: f, from D by way of hyper_size to H
        gate: W_m (H, D) and b_m (H,); None unless multi_head
        output: W_y (O, H) and b_y (O,)

    Source:
        M. Rotman, L. Wolf (2020), "Shuffling recurrent neural networks", arXiv:2007.07324.

    Args:
        input_size: D.
        hidden_size: H.
        output_size: O.
        hyper_size: Features between the layers of f.
        num_layers: How many such layers f has.
        multi_head: Whether b is gated.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    state_type = SRNNState

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        hyper_size: int,
        num_layers: int = 1,
        multi_head: bool = False,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("SRNN", input_size, hidden_size, output_size, hyper_size, num_layers)
        self.input_size = input_size
        self.hidden_size = hidden_size
        sizes = (input_size, *[hyper_size] * num_layers, hidden_size)
        self.transform = _transform(sizes, normalized=True, rng=rng, dtype=dtype)
        self.gate = Linear(input_size, hidden_size, rng=rng, dtype=dtype) if multi_head else None
        self.output = Linear(hidden_size, output_size, rng=rng, dtype=dtype)

    @property
    def output_size(self) -> int:
        """O."""
        return self.output.out_features

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """(O,) and (H,)."""
        return (self.output_size,), (self.hidden_size,)

    def project(self, x: Node) -> Node:
        """Return b."""
        return _gated(self.transform, self.gate, x)

    def step(self, b: Node, state: SRNNState) -> SRNNState:
        """Return the state after one step; the equations are in the class."""
        h = _shuffled(b, state.h)
        return SRNNState(self.output(h), h)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}, {self.output_size}"


class BiSRNN(Module):
    """The shuffling recurrent network in both directions, over the same b.

        b = f(x)                          or f(x) ⊙ σ(W_m·x + b_m) with multi_head
        h→_t = relu(b_t + roll(h→_(t-1))),  h←_t = relu(b_t + roll(h←_(t+1)))
        y = LayerNorm(W_y·[h→, h←] + b_y)

    f is as in `SRNN`, without LayerNorm.

    Shapes:
        xs: (T, D) or (B, T, D)
        ys: (T, O) or (B, T, O)
        transform: f, from D by way of hyper_size to H
        gate: W_m (H, D) and b_m (H,); None unless multi_head
        output: W_y (O, 2H) and b_y (O,)
        norm: weight and bias (O,)

    Source:
        M. Rotman, L. Wolf (2020), "Shuffling recurrent neural networks", arXiv:2007.07324.

    Args:
        input_size: D.
        hidden_size: H.
        output_size: O.
        hyper_size: Features between the layers of f.
        num_layers: How many such layers f has.
        multi_head: Whether b is gated.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        hyper_size: int,
        num_layers: int = 1,
        multi_head: bool = False,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("BiSRNN", input_size, hidden_size, output_size, hyper_size, num_layers)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = output_size
        sizes = (input_size, *[hyper_size] * num_layers, hidden_size)
        self.transform = _transform(sizes, normalized=False, rng=rng, dtype=dtype)
        self.gate = Linear(input_size, hidden_size, rng=rng, dtype=dtype) if multi_head else None
        self.output = Linear(2 * hidden_size, output_size, rng=rng, dtype=dtype)
        self.norm = LayerNorm(output_size, dtype=dtype)

    def forward(
        self,
        xs: Operand | Sequence[Operand],
        state: BiState | None = None,
        lengths: npt.ArrayLike | None = None,
    ) -> tuple[Node, BiState]:
        """Run over whole sequences.

        Args:
            xs: Shape (T, D), or a padded batch (B, T, D); or a list of T nodes (D,).
            state: The states before the first step of each direction, each a `HiddenState`, or None.
            lengths: The number of real steps of each sequence, shape (B,), or a mask of booleans (B, T), True for them;
                all T of them by default.

        Returns:
            The outputs, 0 where there is padding; and the last hidden state of each direction.

        Raises:
            ShapeError: When sizes do not agree, or a length is below 1 or above T.
            TypeError: When lengths are neither integers nor booleans, or a state is that of another layer.
        """
        xs = as_sequences(xs, self.input_size, "BiSRNN")
        real = None
        if lengths is not None:
            real = np.arange(xs.shape[1])[:, None] < check_batch_of_lengths(lengths, xs, "BiSRNN")[:, None, None]
            xs = ag.where(real, xs, 0.0)
        b = _gated(self.transform, self.gate, xs)
        shuffling, before = _Shuffling(self.hidden_size), state or BiState(None, None)
        (there, last), (back, first) = run_layers(
            (shuffling, shuffling), b, before, lengths, reverse=(False, True), name="BiSRNN"
        )
        ys = self.norm(self.output(ag.concat([there, back])))
        return ys if real is None else ag.where(real, ys, 0.0), BiState(last, first)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}, {self.output_size}"


class _Shuffling(Recurrent[HiddenState]):
    """What both directions do with b."""

    def __init__(self, size: int) -> None:
        self.input_size = self.hidden_size = size

    def step(self, b: Node, state: HiddenState) -> HiddenState:
        return HiddenState(_shuffled(b, state.h))


def _shuffled(b: Node, h: Node) -> Node:
    return ag.relu(b + ag.roll(h, 1))


def _gated(transform: Sequential, gate: Linear | None, x: Node) -> Node:
    b: Node = transform(x)
    return b if gate is None else b * ag.sigmoid(gate(x))


def _transform(sizes: Sequence[int], *, normalized: bool, rng: LockedRand | None, dtype: npt.DTypeLike) -> Sequential:
    f = Sequential()
    for k in range(len(sizes) - 2):
        f.append(Linear(sizes[k], sizes[k + 1], rng=rng, dtype=dtype))
        if normalized:
            f.append(LayerNorm(sizes[k + 1], dtype=dtype))
        f.append(ag.relu)
    return f.append(Linear(sizes[-2], sizes[-1], rng=rng, dtype=dtype))
