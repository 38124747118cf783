"""Recurrent layers that run over whole sequences as one node of the graph, several of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from spago import ag
from spago.ag import Node
from spago.mat import Array, Packing


class Given(NamedTuple):
    """What K equal layers are given, each its own; see `Rule`.

    Attributes:
        inputs: For each layer the packed inputs (N, D), in the order in which it reads.
        parameters: For each layer the values of its parameters.
        states: Each part (K, B, ...) of the states before the first step, sorted as the packing is; empty for zeros.
        packing: How the sequences are packed.
    """

    inputs: list[Array]
    parameters: list[tuple[Array, ...]]
    states: tuple[Array, ...]
    packing: Packing


class Gradients(NamedTuple):
    """The gradients of what is `Given`, in the same places.

    Attributes:
        inputs: As there; anything where they are not needed.
        parameters: As there; None for those that need none.
        states: As there, also for zeros.
    """

    inputs: Sequence[Array]
    parameters: Sequence[Sequence[Array | None]]
    states: Sequence[Array]


class Needs(NamedTuple):
    """Which gradients are asked for: that of the inputs, and those of each layer's parameters."""

    inputs: bool
    parameters: list[tuple[bool, ...]]


Pullback: TypeAlias = Callable[[Array | None, Sequence[Array | None], Needs], Gradients]
"""Takes the gradients of all outputs (K, N, H) and of each part (K, B, ...) of the last states, and what is needed."""

Rule: TypeAlias = Callable[[Given], tuple[Array, tuple[Array, ...], Pullback]]
"""From what K layers are given to all outputs (K, N, H) and each part (K, B, ...) of their last states, sorted."""


def run_side_by_side(
    rule: Rule,
    parameters: Sequence[Sequence[Node]],
    xs: Node,
    states: Sequence[Any],
    *,
    packing: Packing,
    reverse: Sequence[bool],
    name: str,
) -> list[tuple[Node, ...]]:
    """Run equal layers over the same sequences as one node of the graph.

    Two of them take half as many calls of NumPy as one after the other.

    Args:
        rule: That of the layers.
        parameters: Those of each layer that the rule takes.
        xs: Shape (T, D) or (B, T, D).
        states: The state of each layer before the first step; None for all or for none of them.
        packing: How the sequences of xs are packed.
        reverse: For each layer, whether it reads from the last step to the first.
        name: What to call the node in pictures and messages.

    Returns:
        For each layer its outputs, shape (T, H) or (B, T, H), and the parts of its last state.
    """
    k = len(reverse)
    given = [part for state in states if state is not None for part in state]
    operands = [xs, *(p for of_layer in parameters for p in of_layer), *given]
    results = _operator(name)(
        *operands, rule=rule, packing=packing, reverse=tuple(reverse), n_parameters=len(parameters[0])
    )
    return [results[j::k] for j in range(k)]


@cache
def _operator(name: str) -> Callable[..., Any]:
    """Return the operator of `run_side_by_side` under the name of the layers, for pictures and messages."""
    return ag.operator(_side_by_side, name=name)


def _side_by_side(
    *operands: Array, rule: Rule, packing: Packing, reverse: tuple[bool, ...], n_parameters: int
) -> tuple[tuple[Array, ...], Any]:
    """The rule of `run_side_by_side`: the outputs of all layers, then each part of the last states of all."""
    k, p = len(reverse), n_parameters
    xs, parameters, initial = operands[0], operands[1 : 1 + k * p], operands[1 + k * p :]
    n_parts = len(initial) // k
    dtype = np.result_type(*operands)
    lead, batch = xs.shape[:-2], packing.shape[0]
    indices = [packing.backward if backwards else packing.forward for backwards in reverse]

    def sorted_parts(arrays: Sequence[Array | None]) -> Array | None:
        """Arrays (..., *) of all layers as (K, B, *), sorted as the packing is; None where there are none."""
        return _stacked([None if a is None else a.reshape(batch, *a.shape[len(lead) :])[packing.order] for a in arrays])

    states = [sorted_parts(initial[i::n_parts]) for i in range(n_parts)]
    given = Given(
        [packing.pack(xs, index).astype(dtype, copy=False) for index in indices],
        [tuple(a.astype(dtype, copy=False) for a in parameters[j * p : j * p + p]) for j in range(k)],
        tuple(part.astype(dtype, copy=False) for part in states if part is not None),
        packing,
    )
    outputs, parts, rule_pullback = rule(given)
    ys = [packing.unpack(rows, i).reshape(*xs.shape[:-1], -1) for rows, i in zip(outputs, indices, strict=True)]
    last = [rows[packing.place].reshape(*lead, *rows.shape[1:]) for part in parts for rows in part]

    def pullback(g: tuple[Array | None, ...], needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g_outputs = _stacked([None if d is None else packing.pack(d, i) for d, i in zip(g[:k], indices, strict=True)])
        g_last = [sorted_parts(g[i : i + k]) for i in range(k, len(g), k)]
        wanted = Needs(needs[0], [needs[1 + j * p : 1 + j * p + p] for j in range(k)])
        g_inputs, g_parameters, g_states = rule_pullback(g_outputs, g_last, wanted)
        gradients: list[Array | None] = [_scattered(packing, indices, g_inputs).reshape(xs.shape) if needs[0] else None]
        gradients += [part for of_layer in g_parameters for part in of_layer]
        if initial:
            gradients += [part[j][packing.place].reshape(*lead, *part.shape[2:]) for j in range(k) for part in g_states]
        return tuple(gradients)

    return (*ys, *last), pullback


def rows_before(outputs: Array, packing: Packing, initial: Array | None) -> Array:
    """Return the hidden states (N, H) before each of the packed steps.

    Args:
        outputs: (N, H), those after each step.
        packing: How the rows are packed.
        initial: (B, H), those before the first step; None for zeros.
    """
    first = packing.shape[0]
    rows = np.empty_like(outputs)
    rows[:first] = 0 if initial is None else initial
    # "clip" writes into rows directly; "raise" would make a copy first.
    np.take(outputs, packing.previous, axis=0, out=rows[first:], mode="clip")
    return rows


def last_rows(outputs: Array, packing: Packing) -> Array:
    """Return the hidden states (K, B, H) after each sequence's last step, in sorted order; outputs are (K, N, H)."""
    return outputs[:, packing.last[packing.order]]


def _scattered(packing: Packing, indices: Sequence[Any], rows: Sequence[Array]) -> Array:
    """Return the sum of the layers' packed gradients (N, D) as (B·T, D)."""
    total: Array = np.zeros((packing.shape[0] * packing.shape[1], rows[0].shape[1]), rows[0].dtype)
    total[indices[0]] = rows[0]
    for index, part in zip(indices[1:], rows[1:], strict=True):
        total[index] += part
    return total


def _stacked(parts: Sequence[Array | None]) -> Array | None:
    """Return the arrays of all layers as one, zeros where there is none; None where there are none."""
    known = next((part for part in parts if part is not None), None)
    if known is None:
        return None
    return np.stack([np.zeros_like(known) if part is None else part for part in parts])
