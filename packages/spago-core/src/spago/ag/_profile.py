"""How long each result took to compute, forward and backward, and how much memory it keeps."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from spago.ag._modes import mode
from spago.ag._node import Node, Operator
from spago.ag._threads import get_num_threads, set_num_threads
from spago.mat import Array


class Profile:
    """The times of the results that were computed, or passed their gradients on, inside a `profile` block."""

    def __init__(self) -> None:
        self._seconds: WeakKeyDictionary[Operator, float] = WeakKeyDictionary()
        self._backward: WeakKeyDictionary[Operator, float] = WeakKeyDictionary()
        self._since = perf_counter()
        self._at_work: Operator | None = None

    def __len__(self) -> int:
        return len(self._seconds)

    def note(self, node: Operator) -> None:
        """Give node the time since the result before it."""
        self._seconds[node] = perf_counter() - self._since
        self._since = perf_counter()

    def note_backward(self, node: Operator | None) -> None:
        """Give the node whose pullbacks have run the time that they took, and begin with those of another."""
        now = perf_counter()
        if self._at_work is not None:
            self._backward[self._at_work] = self._backward.get(self._at_work, 0.0) + now - self._since
        self._at_work = node
        self._since = perf_counter()

    def seconds(self, node: Node) -> float | None:
        """The time from the result before to this one, in seconds; None for a node that was not made in the block."""
        return self._seconds.get(node) if isinstance(node, Operator) else None

    def backward_seconds(self, node: Node) -> float | None:
        """The time in which a node passed its gradient on, in seconds; None if it did not so in the block.

        Several backward passes add up.
        """
        return self._backward.get(node) if isinstance(node, Operator) else None

    def memory(self, node: Node) -> int:
        """How many bytes a node keeps: its value, and what its pullbacks hold for the way back.

        Memory that belongs to an operand is not counted again: a reshaped array costs nothing.
        """
        seen = {id(owner(operand.value)) for operand in node.operands}
        total = 0
        for array in [node.value, *_held(getattr(node, "_pullbacks", None), 0)]:
            whole = owner(array)
            if id(whole) not in seen:
                seen.add(id(whole))
                total += whole.nbytes
        return total


@contextmanager
def profile() -> Generator[Profile]:
    """Measure the time of each result that the current thread computes inside the block, and of its way back.

    A result is given all the time since the one before, or since the beginning of the block: with what Python did
    between the two. A backward pass inside the block gives it the time of its pullbacks as well. Large results are
    computed here and now, as with one thread. Outside such a block nothing is measured, and nothing is slower.

    Examples:
        >>> from spago import ag
        >>> with ag.profile() as times:
        ...     y = ag.exp(ag.var([1.0, 2.0]))
        >>> times.seconds(y) > 0, times.memory(y)
        (True, 8)
    """
    threads, before, times = get_num_threads(), (mode.note, mode.note_backward), Profile()
    set_num_threads(1)
    mode.set(note=times.note)
    mode.note_backward = times.note_backward
    try:
        yield times
    finally:
        mode.set(note=before[0])
        mode.note_backward = before[1]
        set_num_threads(threads)


def owner(array: Array) -> Array:
    """Return the array whose memory this one looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _held(value: Any, depth: int) -> Iterator[Array]:
    """Yield the arrays that a pullback holds: in its closure, in tuples and lists there, in functions that it calls."""
    if isinstance(value, np.ndarray):
        yield value
        return
    inside: list[Any] = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    if value.__class__ in (tuple, list):
        inside += value
    if depth < 8:
        for each in inside:
            yield from _held(each, depth + 1)
