"""What all recurrent layers have in common: one step at a time, or whole padded batches of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.mat import Array, Packing, check_lengths
from spago.nn._module import Module
from spago.nn._side_by_side import Rule, run_side_by_side

StateT = TypeVar("StateT", bound=tuple[Any, ...])


class HiddenState(NamedTuple):
    """The state of a layer that remembers its last output and nothing else.

    Attributes:
        h: The hidden state, which is the output, shape (..., hidden_size).
    """

    h: Node


class Recurrent(Module, Generic[StateT]):
    """A layer with a state: a cell for single steps, a layer for sequences.

        a = project(x)
        state = step(a, state⁻)

    A subclass gives these two. `project` is what the input contributes by itself, and is done for all steps of a batch
    of sequences at once; `step` is the rest of the equations. Over sequences, steps are taken one by one, on the real
    rows of a padded batch alone, unless the subclass has a rule for all of them.

    The state is a named tuple whose first element is the output of the step. Before the first step all of it is 0.

    Attributes:
        state_type: The class of the state.
        input_size: Features of the input.
        hidden_size: Features of the hidden state.
    """

    state_type: ClassVar[type[Any]] = HiddenState
    input_size: int
    hidden_size: int

    @property
    def output_size(self) -> int:
        """Features of the output, which are those of the hidden state unless the layer says otherwise."""
        return self.hidden_size

    def project(self, x: Node) -> Node:
        """Return what the input contributes by itself; here the input.

        Args:
            x: Shape (..., input_size).

        Returns:
            Shape (..., A), for any A.
        """
        return x

    def step(self, a: Node, state: StateT, /) -> StateT:
        """Return the state after one step.

        Args:
            a: What `project` returned for the input of the step, shape (..., A).
            state: The state after the step before.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method step, which computes one step")

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each part of the state of one sequence: (hidden_size,), unless the layer says otherwise."""
        return ((self.hidden_size,),) * len(self.state_type._fields)

    def rule(self) -> tuple[Rule, tuple[Node, ...]] | None:
        """The rule that computes whole sequences as one node, with the parameters that it takes; None if there is none.

        It must agree with `project` and `step`: a subclass that changes these has no rule, or its own.
        """
        return None

    def initial_state(self, *batch: int, dtype: npt.DTypeLike = np.float32) -> StateT:
        """Return the state before the first step: zeros, of shape (*batch, …)."""
        state: StateT = self.state_type(*(ag.Constant(np.zeros(batch + s, dtype)) for s in self.state_shapes()))
        return state

    def next(self, x: Operand, state: StateT | None = None) -> StateT:
        """Return the state after one step; the equations are in the class.

        Args:
            x: The input of the step, shape (..., input_size).
            state: The state after the step before, or None for the first step.

        Raises:
            ShapeError: When sizes do not agree.
            TypeError: When the state is that of another layer.
        """
        node = x if isinstance(x, Node) else ag.var(x)
        if not node.ndim or node.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: expected x of shape (..., {self.input_size}) for input_size, "
                f"got {node.shape}; features are the last axis"
            )
        a = self.project(node)
        if state is None:
            return self.step(a, self.initial_state(*node.shape[:-1], dtype=a.dtype))
        check_state(self, state, node.shape[:-1])
        return self.step(a, state)

    def forward(
        self,
        xs: Operand | Sequence[Operand],
        state: StateT | None = None,
        lengths: npt.ArrayLike | None = None,
        *,
        reverse: bool = False,
    ) -> tuple[Node, StateT]:
        """Run over whole sequences.

        What stands in the padding does not matter, whatever it is.

        Args:
            xs: Shape (T, input_size), or a padded batch (B, T, input_size); or a list of T nodes (input_size,).
            state: The state before the first step, with arrays of shape (hidden_size,) or (B, hidden_size), or None.
            lengths: The number of real steps of each sequence, shape (B,), or a mask of booleans (B, T), True for them;
                all T of them by default.
            reverse: Whether sequences are read from their last real step to their first. Results stay at the places
                of their inputs.

        Returns:
            The outputs, shape (T, output_size) or (B, T, output_size), 0 where there is padding; and the state after
            the step of each sequence that was read last.

        Raises:
            ShapeError: When sizes do not agree, or a length is below 1 or above T.
            TypeError: When lengths are neither integers nor booleans, or the state is that of another layer.
        """
        return run_layers((self,), xs, (state,), lengths, reverse=(reverse,), name=type(self).__name__)[0]

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"


def run_layers(
    layers: Sequence[Recurrent[Any]],
    xs: Operand | Sequence[Operand],
    states: Sequence[Any],
    lengths: npt.ArrayLike | None,
    *,
    reverse: Sequence[bool],
    name: str,
) -> list[tuple[Node, Any]]:
    """Run layers over the same sequences: as one node of the graph where they have one rule, else step by step.

    Args:
        layers: Of one input size.
        xs: As for `Recurrent.forward`.
        states: For each layer the state before the first step, or None.
        lengths: As for `Recurrent.forward`.
        reverse: For each layer, whether it reads from the last step to the first.
        name: Who is at fault when xs or lengths are.

    Returns:
        For each layer what its `forward` returns.
    """
    xs = as_sequences(xs, layers[0].input_size, name)
    for layer, state in zip(layers, states, strict=True):
        if state is not None:
            check_state(layer, state, xs.shape[:-2])
    steps = xs.shape[-2]
    if lengths is None:
        packing = Packing.equal(xs.shape[0] if xs.ndim == 3 else 1, steps)
    else:
        packing = Packing.of(check_batch_of_lengths(lengths, xs, name), steps)
    if (rule := _common_rule(layers)) is not None:
        if any(state is not None for state in states):
            lead, dtype = xs.shape[:-2], xs.dtype
            states = [s or layer.initial_state(*lead, dtype=dtype) for layer, s in zip(layers, states, strict=True)]
        name = type(layers[0]).__name__
        results = run_side_by_side(*rule, xs, states, packing=packing, reverse=reverse, name=name)
        return [(ys, layer.state_type(*last)) for layer, (ys, *last) in zip(layers, results, strict=True)]
    return [
        _step_by_step(layer, xs, state, packing, packing.backward if backwards else packing.forward)
        for layer, backwards, state in zip(layers, reverse, states, strict=True)
    ]


def _common_rule(layers: Sequence[Recurrent[Any]]) -> tuple[Rule, list[tuple[Node, ...]]] | None:
    """Return the rule of layers that have the same one and equal sizes, with the parameters of each."""
    rules = [rule for layer in layers if (rule := layer.rule()) is not None]
    kinds = {(rule, *(parameter.shape for parameter in parameters)) for rule, parameters in rules}
    if len(rules) < len(layers) or len(kinds) > 1:
        return None
    return rules[0][0], [parameters for _, parameters in rules]


def _step_by_step(
    layer: Recurrent[StateT], xs: Node, state: StateT | None, packing: Packing, index: npt.NDArray[np.int64]
) -> tuple[Node, StateT]:
    """Run one layer over sequences by its `step`, each time on those sequences that are still running."""
    lead, batch, make = xs.shape[:-2], packing.shape[0], layer.state_type
    a = layer.project(_packed(xs, packing, index))
    now = layer.initial_state(batch, dtype=a.dtype)
    if state is not None:
        flat = [ag.reshape(part, (batch, *part.shape[len(lead) :])) for part in state]
        now = make(*(_reordered(part, packing.order, packing.place) for part in flat))
    outputs: list[Node] = []
    ended: list[list[Node]] = []
    running = batch
    for a_t, n in zip(ag.split(a, packing.sizes, axis=0), packing.sizes, strict=True):
        if n < running:
            ended.append([part[n:] for part in now])
            now = make(*(part[:n] for part in now))
            running = n
        now = layer.step(a_t, now)
        outputs.append(now[0])
    ys = _unpacked(ag.concat(outputs, axis=0), packing, index)
    # Those that ended last are the longest, and so come first.
    parts = [ag.concat(pieces, axis=0) for pieces in zip(now, *reversed(ended), strict=True)]
    last = [_reordered(part, packing.place, packing.order) for part in parts]
    return (
        ag.reshape(ys, (*xs.shape[:-1], ys.shape[-1])),
        make(*(ag.reshape(part, (*lead, *part.shape[1:])) for part in last)),
    )


@ag.unary
def _packed(xs: Array, packing: Packing, index: npt.NDArray[np.int64]) -> ag.Unary:
    """The real rows (N, D) of padded sequences, time step by time step."""
    return packing.pack(xs, index), lambda g: packing.unpack(g, index).reshape(xs.shape)


@ag.unary
def _unpacked(rows: Array, packing: Packing, index: npt.NDArray[np.int64]) -> ag.Unary:
    """Packed rows (N, D) as a padded batch (B, T, D), 0 where there is padding."""
    return packing.unpack(rows, index), lambda g: packing.pack(g, index)


@ag.unary
def _reordered(x: Array, order: npt.NDArray[np.int64], inverse: npt.NDArray[np.int64]) -> ag.Unary:
    """Rows in another order."""
    return x[order], lambda g: g[inverse]


# What is checked before anything is computed


def check_sizes(layer: str, *sizes: int) -> None:
    """Raise a `ShapeError` that names the layer when a size is below 1."""
    if min(sizes) < 1:
        raise ShapeError(f"{layer}: expected sizes of at least 1, got {' and '.join(map(str, sizes))}")


def check_state(layer: Recurrent[Any], state: Any, lead: tuple[int, ...]) -> None:
    """Check that a state is one of the layer, for inputs with these axes of batch.

    Raises:
        TypeError: When it is of another class.
        ShapeError: When a part of it has another shape.
    """
    name, wanted = type(layer).__name__, layer.state_type
    if not isinstance(state, wanted):
        raise TypeError(f"{name}: expected a state of class {wanted.__name__}, got {type(state).__name__}")
    for part, shape, value in zip(wanted._fields, layer.state_shapes(), state, strict=True):
        if np.shape(value) != lead + shape:
            raise ShapeError(f"{name}: expected a state with {part} of shape {lead + shape}, got {np.shape(value)}")


def as_sequences(xs: Operand | Sequence[Operand], input_size: int, layer: str) -> Node:
    """Return sequences as one node (T, D) or (B, T, D).

    Raises:
        ShapeError: Names the layer, when the shape is another or there are no steps.
    """
    if isinstance(xs, Node):
        node = xs
    elif isinstance(xs, Sequence):
        if not xs:
            raise ShapeError(f"{layer}: expected at least one step, got an empty list")
        node = ag.stack(xs, axis=-2)
    else:
        node = ag.var(xs)
    if node.ndim not in (2, 3) or node.shape[-1] != input_size:
        raise ShapeError(
            f"{layer}: expected xs of shape (T, {input_size}) or (B, T, {input_size}) for input_size, "
            f"got {node.shape}; features are the last axis"
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
