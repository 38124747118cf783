"""How long each result took to compute, and how much memory it keeps."""

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
    """The times of the results that were computed inside a `profile` block."""

    def __init__(self) -> None:
        self._seconds: WeakKeyDictionary[Operator, float] = WeakKeyDictionary()
        self._since = perf_counter()

    def __len__(self) -> int:
        return len(self._seconds)

    def note(self, node: Operator) -> None:
        """Give node the time since the result before it."""
        self._seconds[node] = perf_counter() - self._since
        self._since = perf_counter()

    def seconds(self, node: Node) -> float | None:
        """The time from the result before to this one, in seconds; None for a node that was not made in the block."""
        return self._seconds.get(node) if isinstance(node, Operator) else None

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
    """Measure the time of each result that the current thread computes inside the block.

    A result is given all the time since the one before, or since the beginning of the block: with what Python did
    between the two. Large results are computed here and now, as with one thread. Outside such a block nothing is
    measured, and nothing is slower.

    Examples:
        >>> from spago import ag
        >>> with ag.profile() as times:
        ...     y = ag.exp(ag.var([1.0, 2.0]))
        >>> times.seconds(y) > 0, times.memory(y)
        (True, 8)
    """
    threads, before, times = get_num_threads(), mode.note, Profile()
    set_num_threads(1)
    mode.set(note=times.note)
    try:
        yield times
    finally:
        mode.set(note=before)
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
