"""What was measured, as a table to read and as a file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.compare.comparison import Comparison, Measurement
from benchmarks.compare.peers import Peer
from benchmarks.compare.timing import Effort, Spread


def circumstances(peers: Mapping[str, Peer], threads: int, effort: Effort) -> dict[str, Any]:
    """Return what the numbers depend on: versions, processor, threads, effort."""
    return {
        "python": platform.python_version(),
        "versions": {peer.name: peer.version for peer in peers.values()},
        "processor": processor(),
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "threads": threads,
        "effort": asdict(effort),
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def heading(about: Mapping[str, Any], missing: Sequence[str]) -> str:
    """Return what stands above the table."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    absent = f"\nNot installed: {', '.join(missing)}" if missing else ""
    return (
        f"Python {about['python']}, {versions}{absent}\n"
        f"{about['processor']}, {about['processors']} processors; threads of each side: {about['threads']}\n"
        "Medians, and in brackets the quartiles. ratio = the peer's time / ours, round by round: larger is better.\n"
        f"\n{'':<34} {'time':>9} {'':<21} {'ratio':>7} {'':<17} {'goal':>6}"
    )


def lines(comparison: Comparison) -> Iterator[str]:
    """Return the lines of the table for one workload at one size."""
    yield comparison.title + (f"; for each {comparison.unit}" if comparison.unit else "")
    for measurement in comparison.measurements:
        yield _line(measurement).rstrip()
    for difference in comparison.differences:
        yield f"  DIFFERS: {difference}"


def _line(measurement: Measurement) -> str:
    m = measurement
    spread = f"({duration(m.seconds.lower)} – {duration(m.seconds.upper)})"
    line = f"  {m.side:<32} {duration(m.seconds.median):>9} {spread:<21}"
    quotient, goal = "", ""
    if m.ratio is not None:
        quotient = f"{m.ratio.median:6.2f}× {f'({m.ratio.lower:.2f} – {m.ratio.upper:.2f})':<17}"
        goal = "" if m.goal is None else f"{m.goal:6.2f} {'reached' if m.ratio.median >= m.goal else 'missed'}"
    memory = "" if m.memory is None else f"  {m.memory:,.0f} bytes"
    return f"{line} {quotient:<25} {goal:<14}{memory}"


def duration(seconds: float) -> str:
    """Return a time in the unit that makes it easy to read, with three digits."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def _three_digits(x: float) -> str:
    return f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:,.0f}"


def write_json(path: Path, about: Mapping[str, Any], comparisons: Sequence[Comparison]) -> None:
    """Write everything that was measured: times in seconds, each side's samples in the order of the rounds."""
    document = {**about, "comparisons": [_as_json(comparison) for comparison in comparisons]}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _as_json(comparison: Comparison) -> dict[str, Any]:
    document = asdict(comparison)
    for measurement, row in zip(comparison.measurements, document["measurements"], strict=True):
        row["reached"] = reached(measurement.ratio, measurement.goal)
    return document


def reached(ratio: Spread | None, goal: float | None) -> bool | None:
    """Return whether the median of a ratio is at its goal; None where there is none."""
    return None if ratio is None or goal is None else ratio.median >= goal
