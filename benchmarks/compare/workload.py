"""Workloads: what is timed, for which sizes, by which sides, and how fast it is meant to be.

A workload is the function that makes its inputs; a side of it is a function from these to the work. See
`workloads/arithmetic.py` for the shape of both.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Inputs: TypeAlias = tuple[Any, ...]
"""What all sides start from: NumPy arrays and numbers."""

Results: TypeAlias = Sequence[Any]
"""Values and gradients, as arrays of the side's library, in the same order for each side."""

Run: TypeAlias = Callable[[], Results]
"""The work, once: this is timed."""

Case: TypeAlias = Mapping[str, Any]
"""Sizes, by the names that the title and the function of inputs have for them."""

US = "spago"


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do the work.

    Attributes:
        label: As in the table: the peer, and the way where it has several.
        peer: Whose library it uses.
        build: From the inputs to the work.
    """

    label: str
    peer: str
    build: Callable[..., Run]


@dataclass(slots=True)
class Workload:
    """Work that several sides can do; made by `workload`."""

    title: str
    inputs: Callable[..., Inputs]
    cases: Sequence[Case]
    large: Sequence[Case]
    goals: Mapping[str, float]
    per: tuple[str, str] | None
    tolerance: float
    memory: bool
    sides: list[Side] = field(default_factory=list[Side])

    def side(self, peer: str, way: str = "") -> Callable[[Callable[..., Run]], Callable[..., Run]]:
        """Decorate the function that makes one side's work ready, given the inputs.

        Args:
            peer: Whose library it uses, by its name in `peers.py`.
            way: Tells a peer's sides apart where there are several.
        """

        def register(build: Callable[..., Run]) -> Callable[..., Run]:
            self.sides.append(Side(f"{peer}, {way}" if way else peer, peer, build))
            return build

        return register


WORKLOADS: list[Workload] = []
"""All workloads that were imported, in the order of their files and in them."""


def workload(
    title: str,
    *,
    cases: Sequence[Case] = ({},),
    large: Sequence[Case] = (),
    goals: Mapping[str, float] | None = None,
    per: tuple[str, str] | None = None,
    tolerance: float = 1e-5,
    memory: bool = False,
) -> Callable[[Callable[..., Inputs]], Workload]:
    """Make a workload of the function that makes its inputs; its sides are then added by `side`.

    Args:
        title: With the sizes of a case in braces.
        cases: The sizes.
        large: Sizes that take minutes.
        goals: By the label of a side, the ratio to reach: its time / ours.
        per: The size by which times are divided, and what it counts, such as ("n", "node").
        tolerance: How much results may differ, as a share of the largest number in them.
        memory: Whether memory is measured too, divided likewise.
    """

    def register(inputs: Callable[..., Inputs]) -> Workload:
        WORKLOADS.append(Workload(title, inputs, cases, large, goals or {}, per, tolerance, memory))
        return WORKLOADS[-1]

    return register


def load_workloads() -> list[Workload]:
    """Import all files of `workloads/` and return what they define."""
    for path in sorted((Path(__file__).parent / "workloads").glob("*.py")):
        importlib.import_module(f"benchmarks.compare.workloads.{path.stem}")
    return WORKLOADS


def selected(
    workloads: Iterable[Workload], pattern: str = "", *, quick: bool = False, large: bool = False
) -> list[tuple[str, Workload, Case]]:
    """Return the workloads whose title has a regular expression, case by case.

    Args:
        workloads: What there is.
        pattern: Searched for in the title of a case, whether the letters are small or capital.
        quick: Only the first of the cases that are left of a workload.
        large: Also the cases that take minutes.

    Raises:
        SystemExit: When there is none.
    """
    chosen = []
    for work in workloads:
        cases = [*work.cases, *(work.large if large else ())]
        titled = [(work.title.format(**case), work, case) for case in cases]
        found = [row for row in titled if re.search(pattern, row[0], re.IGNORECASE)]
        chosen += found[:1] if quick else found
    if not chosen:
        raise SystemExit(f"--only: no workload has {pattern!r} in its title; --list shows the titles")
    return chosen
