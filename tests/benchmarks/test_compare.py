"""The comparison with the peers: its arithmetic, its registry, its report, and one run of it, with NumPy alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compare.comparison import compare, difference
from benchmarks.compare.peers import Peer, start_peers
from benchmarks.compare.report import circumstances, duration, heading, lines, write_json
from benchmarks.compare.timing import Effort, Spread, peak_memory, ratio, time_in_turns
from benchmarks.compare.workload import WORKLOADS, Results, Run, Workload, load_workloads, selected, workload

ROOT = Path(__file__).parents[2]
PEERS = {name: Peer(name, "1.0", True, np.asarray) for name in ("spago", "NumPy", "Other")}


class Stage:
    """Sides whose work takes a known time by a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def clock(self) -> float:
        return self.now

    def side(self, name: str, seconds: Callable[[], float]) -> Callable[[], None]:
        def run() -> None:
            self.calls.append(name)
            self.now += seconds()

        return run


@pytest.fixture
def sums() -> Workload:
    """A workload that is not registered, with sides that agree and one that does not."""

    @workload("sum of {n} numbers", cases=[dict(n=10), dict(n=20)], large=[dict(n=30)], goals={"NumPy": 0.001})
    def numbers(n: int) -> tuple[Any, ...]:
        return (np.arange(n, dtype=np.float64),)

    WORKLOADS.remove(numbers)

    @numbers.side("NumPy")
    @numbers.side("spago")
    def _(x: Any) -> Run:
        def run() -> Results:
            return (x.sum(),)

        return run

    return numbers


def test_sides_take_turns() -> None:
    stage = Stage()
    runs = {"A": stage.side("A", lambda: 1.0), "B": stage.side("B", lambda: 2.0)}
    time_in_turns(runs, Effort(rounds=3, turn=0.5), stage.clock)
    assert "".join(stage.calls[-6:]) == "ABABAB"


def test_the_time_is_that_of_one_call() -> None:
    stage = Stage()
    samples = time_in_turns({"A": stage.side("A", lambda: 0.125)}, Effort(rounds=3, turn=2.0), stage.clock)
    assert samples == {"A": [0.125] * 3}
    assert len(stage.calls) >= 3 * 2.0 / 0.125


def test_a_slow_machine_stops_after_the_budget_but_not_before_the_fewest_rounds() -> None:
    stage = Stage()
    effort = Effort(rounds=100, turn=0.5, budget=10.0, fewest=2)
    assert len(time_in_turns({"A": stage.side("A", lambda: 4.0)}, effort, stage.clock)["A"]) == 3
    assert len(time_in_turns({"A": stage.side("A", lambda: 40.0)}, effort, stage.clock)["A"]) == 2


def test_the_ratio_is_the_peers_time_by_ours_and_does_not_see_a_slow_machine() -> None:
    slowness = [1.0, 5.0, 2.0, 1.0, 9.0]
    ours, theirs = [2.0 * s for s in slowness], [6.0 * s for s in slowness]
    assert ratio(theirs, ours) == Spread(3.0, 3.0, 3.0)


def test_the_spread_is_median_and_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(2.0, 3.0, 4.0)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


def test_memory_is_that_of_the_peak() -> None:
    def run() -> int:
        a, b = np.ones(125_000), np.ones(125_000)
        return len(a) + len(b)

    before = np.ones(125_000)
    assert 1.0 <= peak_memory(run) / 2_000_000 < 1.01
    assert len(before)


def test_results_may_differ_by_rounding_alone() -> None:
    expected = [np.array([1.0, 1000.0])]
    assert difference([np.array([1.0 + 1e-3, 1000.0])], expected, 1e-5) == ""
    assert difference([np.array([1.02, 1000.0])], expected, 1e-5).startswith("result 0 differs by up to 0.02")


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "expected 1 results, got 0"),
        ([np.array([1.0])], "result 0: expected float64 of shape (2,), got float64 of shape (1,)"),
        ([np.ones(2, np.float32)], "result 0: expected float64 of shape (2,), got float32 of shape (2,)"),
        ([np.array([1.0, np.nan])], "result 0 differs by up to nan, where 1e-05 is allowed"),
    ],
)
def test_a_difference_is_named(results: list[Any], message: str) -> None:
    assert difference(results, [np.ones(2)], 1e-5) == message


def test_a_side_with_other_numbers_is_named_and_not_timed(sums: Workload) -> None:
    @sums.side("Other")
    def _(x: Any) -> Run:
        return lambda: (x.sum() + 1,)

    comparison = compare(sums, {"n": 10}, PEERS, Effort.quick())
    assert [m.side for m in comparison.measurements] == ["spago", "NumPy"]
    assert comparison.differences == ["Other: run 1: result 0 differs by up to 1, where 0.00045 is allowed"]
    assert list(lines(comparison))[-1] == f"  DIFFERS: {comparison.differences[0]}"


def test_a_side_that_stops_working_after_its_first_run_is_named_and_not_timed() -> None:
    @workload("steps")
    def steps() -> tuple[Any, ...]:
        return ()

    WORKLOADS.remove(steps)

    def counting(last: float) -> Run:
        counter = np.zeros(1)

        def run() -> Results:
            counter[0] = min(counter[0] + 1, last)
            return (counter,)

        return run

    steps.side("spago")(lambda: counting(np.inf))
    steps.side("Other")(lambda: counting(1.0))
    comparison = compare(steps, {}, PEERS, Effort.quick())
    assert [m.side for m in comparison.measurements] == ["spago"]
    assert comparison.differences == ["Other: run 2: result 0 differs by up to 1, where 2e-05 is allowed"]


def test_a_side_whose_library_is_missing_is_left_out(sums: Workload) -> None:
    comparison = compare(sums, {"n": 10}, {"spago": PEERS["spago"]}, Effort.quick())
    assert [m.side for m in comparison.measurements] == ["spago"]


def test_ours_comes_first_and_the_others_have_a_ratio_to_it(sums: Workload) -> None:
    ours, other = compare(sums, {"n": 10}, PEERS, Effort.quick()).measurements
    assert (ours.side, ours.ratio, ours.goal) == ("spago", None, None)
    assert other.ratio is not None
    assert other.goal == 0.001


def test_numbers_are_for_each_unit(sums: Workload) -> None:
    whole = compare(sums, {"n": 20}, PEERS, Effort.quick())
    sums.per, sums.memory = ("n", "number"), True
    each = compare(sums, {"n": 20}, PEERS, Effort.quick())
    assert whole.unit == ""
    assert next(lines(each)) == "sum of 20 numbers; for each number"
    assert each.measurements[0].seconds.median < whole.measurements[0].seconds.median
    assert each.measurements[0].memory is not None


def test_workloads_are_selected_by_their_titles(sums: Workload) -> None:
    def titles(pattern: str, **which: bool) -> list[str]:
        return [title for title, *_ in selected([sums], pattern, **which)]

    assert titles("") == ["sum of 10 numbers", "sum of 20 numbers"]
    assert titles("SUM", quick=True) == ["sum of 10 numbers"]
    assert titles("20|30", large=True) == ["sum of 20 numbers", "sum of 30 numbers"]
    with pytest.raises(SystemExit, match="no workload has 'product' in its title; --list shows the titles"):
        titles("product")


def test_every_workload_has_our_side_and_a_peer_and_no_goal_without_a_side() -> None:
    for work in load_workloads():
        labels = {side.label for side in work.sides}
        assert "spago" in labels, work.title
        assert len(labels) > 1, work.title
        assert set(work.goals) <= labels, work.title


def test_titles_tell_cases_apart() -> None:
    titles = [title for title, *_ in selected(load_workloads(), large=True)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.50 s"), (0.04567, "45.7 ms"), (1.0e-3, "1.00 ms"), (1.234e-6, "1.23 µs"), (1.5e-8, "15.0 ns")],
)
def test_durations_are_easy_to_read(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_file_has_circumstances_and_every_sample(sums: Workload, tmp_path: Path) -> None:
    about = circumstances(PEERS, 1, Effort.quick())
    comparison = compare(sums, {"n": 10}, PEERS, Effort.quick())
    write_json(tmp_path / "out.json", about, [comparison])
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert document["versions"] == {"spago": "1.0", "NumPy": "1.0", "Other": "1.0"}
    assert document["threads"] == 1
    assert document["processor"] in heading(about, [])
    (row,) = document["comparisons"]
    assert row["title"] == "sum of 10 numbers"
    assert row["measurements"][1]["reached"] is True
    assert Spread.of(row["measurements"][1]["samples"]).median == row["measurements"][1]["seconds"]["median"]


def test_peers_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    peers, missing = start_peers(1)
    assert {"spago", "NumPy"} <= set(peers)
    assert "PyTorch" in missing
    assert "\nNot installed: PyTorch" in heading(circumstances(peers, 1, Effort()), ["PyTorch"])


def test_the_command_runs_without_any_peer(tmp_path: Path) -> None:
    # Modules that cannot be imported stand for what is not installed.
    for name in ("torch", "autograd", "mygrad"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name}')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [
        sys.executable,
        "-m",
        "benchmarks.compare",
        "--quick",
        "--only",
        "softmax",
        "--json",
        str(tmp_path / "j"),
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert "Not installed: PyTorch, autograd, MyGrad" in done.stdout
    assert "softmax of 64×1000" in done.stdout
    (row,) = json.loads((tmp_path / "j").read_text(encoding="utf-8"))["comparisons"]
    assert [measurement["side"] for measurement in row["measurements"]] == ["spago", "NumPy"]
