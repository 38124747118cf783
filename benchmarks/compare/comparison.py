"""One workload at one size: check that all sides compute the same, then time them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.compare.peers import Peer
from benchmarks.compare.timing import Effort, Spread, peak_memory, ratio, time_in_turns
from benchmarks.compare.workload import US, Case, Results, Run, Side, Workload
from spago.mat import Array

CHECKED_RUNS = 3
"""A side that does less from its second run on, as an optimizer without gradients does, must not look fast."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one side took.

    Attributes:
        side: Its label.
        seconds: For the work once, or for each unit of it.
        ratio: Its time / ours, round by round; None for ours.
        goal: The ratio to reach, if one is set.
        memory: Bytes at the peak, for the work once or for each unit of it; None where it was not measured.
        samples: The seconds, one number a round.
    """

    side: str
    seconds: Spread
    ratio: Spread | None
    goal: float | None
    memory: float | None
    samples: Sequence[float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What all sides took for one workload at one size.

    Attributes:
        title: Of the workload, with the sizes.
        unit: What times and bytes are for, such as "node"; nothing where it is the work once.
        measurements: Ours first.
        differences: What is wrong with the sides that were not timed: their numbers differ.
    """

    title: str
    unit: str
    measurements: Sequence[Measurement]
    differences: Sequence[str]


def compare(workload: Workload, case: Case, peers: Mapping[str, Peer], effort: Effort) -> Comparison:
    """Let all sides whose library is there do the work once, compare their numbers with ours, and time them."""
    inputs = workload.inputs(**case)
    sides = sorted((side for side in workload.sides if side.peer in peers), key=lambda side: side.label != US)
    runs: dict[str, Run] = {}
    differences = []
    expected: list[list[Array]] = []
    for side in sides:
        run = side.build(*inputs)
        results = [_copied(run(), peers[side.peer]) for _ in range(CHECKED_RUNS)]
        expected = expected or results
        wrong = first_difference(results, expected, workload.tolerance)
        if wrong:
            differences.append(f"{side.label}: {wrong}")
        else:
            runs[side.label] = run
    samples = time_in_turns(runs, effort) if runs else {}
    size, unit = (case[workload.per[0]], workload.per[1]) if workload.per else (1, "")
    measurements = [
        _measurement(side, samples, size, workload, runs[side.label] if peers[side.peer].traced else None)
        for side in sides
        if side.label in samples
    ]
    return Comparison(workload.title.format(**case), unit, measurements, differences)


def first_difference(runs: Sequence[Sequence[Array]], expected: Sequence[Sequence[Array]], tolerance: float) -> str:
    """Say in which run results first differ from what is expected, and in what; nothing where they never do."""
    for i, (results, wanted) in enumerate(zip(runs, expected, strict=True), 1):
        wrong = difference(results, wanted, tolerance)
        if wrong:
            return f"run {i}: {wrong}"
    return ""


def difference(results: Sequence[Array], expected: Sequence[Array], tolerance: float) -> str:
    """Say in what results differ from what is expected; nothing where they are the same but for rounding."""
    if len(results) != len(expected):
        return f"expected {len(expected)} results, got {len(results)}"
    for i, (a, b) in enumerate(zip(results, expected, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"result {i}: expected {b.dtype} of shape {b.shape}, got {a.dtype} of shape {a.shape}"
        error = float(np.max(np.abs(a - b), initial=0))
        limit = tolerance * float(np.max(np.abs(b), initial=0))
        if not error <= limit:
            return f"result {i} differs by up to {error:.3g}, where {limit:.3g} is allowed"
    return ""


def _copied(results: Results, peer: Peer) -> list[Array]:
    # They may be views of what the next run changes.
    return [np.array(peer.to_numpy(array)) for array in results]


def _measurement(
    side: Side, samples: Mapping[str, Sequence[float]], size: float, workload: Workload, traced_run: Run | None
) -> Measurement:
    seconds = [sample / size for sample in samples[side.label]]
    beside_us = side.label != US and US in samples
    return Measurement(
        side=side.label,
        seconds=Spread.of(seconds),
        ratio=ratio(samples[side.label], samples[US]) if beside_us else None,
        goal=workload.goals.get(side.label),
        memory=peak_memory(traced_run) / size if workload.memory and traced_run is not None else None,
        samples=seconds,
    )
