"""Fair timing on a machine that others use too: all sides in turns, and medians."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds, from whatever moment."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: How often each side gets its turn.
        turn: Seconds that a turn takes at least; in them the work is repeated.
        budget: Seconds for all rounds. When they are over there are no more, but `fewest` there always are.
        fewest: The least number of rounds.
    """

    rounds: int = 40
    turn: float = 0.01
    budget: float = 15.0
    fewest: int = 5

    @classmethod
    def quick(cls) -> Effort:
        """Enough to see that everything works."""
        return cls(rounds=5, turn=0.002, budget=1.0, fewest=3)


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle half of what was measured."""

    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Return median and quartiles of at least one sample."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        lower, median, upper = statistics.quantiles(samples, method="inclusive")
        return cls(lower, median, upper)


def time_in_turns(
    runs: Mapping[str, Callable[[], Any]], effort: Effort, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Time all sides in turns, A B C A B C, so that what disturbs the machine disturbs all of them.

    Python's garbage collector is on, as it is for users, but does not walk what was imported.

    Returns:
        For each side the seconds that its work took once, one number a round.
    """
    calls = {name: _calls_a_turn(run, effort.turn, clock) for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.freeze()
    try:
        start = clock()
        for i in range(effort.rounds):
            if i >= effort.fewest and clock() - start > effort.budget:
                break
            for name, run in runs.items():
                seconds[name].append(_time(run, calls[name], clock) / calls[name])
    finally:
        gc.unfreeze()
    return seconds


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """Return their time / ours, round by round: a slow moment of the machine slows both sides of a round."""
    return Spread.of([a / b for a, b in zip(theirs, ours, strict=True)])


def peak_memory(run: Callable[[], Any]) -> int:
    """Return the bytes that a run takes at its peak, beyond what there was before."""
    run()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _calls_a_turn(run: Callable[[], Any], turn: float, clock: Clock) -> int:
    """Warm up, and return how many calls fill a turn."""
    calls = 1
    _time(run, calls, clock)
    while (seconds := _time(run, calls, clock)) < turn:
        calls = max(2 * calls, min(10 * calls, round(1.2 * calls * turn / max(seconds, 1e-9))))
    return calls


def _time(run: Callable[[], Any], calls: int, clock: Clock) -> float:
    start = clock()
    for _ in range(calls):
        run()
    return clock() - start
