"""Learning rates that change with time."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from spago import nn, optim

SCHEDULES: list[Callable[[], optim.Schedule]] = [
    lambda: optim.ExponentialDecay(0.1, 0.001, 10),
    lambda: optim.HyperbolicDecay(0.1, 0.01, 0.5),
    lambda: optim.StepDecay(0.1, 3),
    lambda: optim.LinearDecay(0.1, 10),
    lambda: optim.CosineDecay(0.1, 10, 0.01),
    lambda: optim.WarmUp(4, optim.CosineDecay(0.1, 10)),
    lambda: optim.WarmUp(2, 0.1),
    lambda: optim.ReduceOnPlateau(0.1),
]
every_schedule = pytest.mark.parametrize("make", SCHEDULES, ids=lambda make: type(make()).__name__)


def rates(schedule: Callable[[int], float], steps: int) -> list[float]:
    return [schedule(step) for step in range(steps)]


def test_exponential_decay_is_even_on_a_logarithmic_scale_and_stays_at_its_end() -> None:
    schedule = optim.ExponentialDecay(0.01, 0.001, 10)
    np.testing.assert_allclose(rates(schedule, 10), np.geomspace(0.01, 0.001, 10))
    assert rates(schedule, 14)[10:] == [0.001] * 4
    rate, chained = 0.01, []
    for t in range(1, 15):
        rate = schedule.decay(rate, t)
        chained.append(rate)
    np.testing.assert_allclose(chained, rates(schedule, 14), rtol=1e-12)
    assert optim.ExponentialDecay(0.1, 0.1, 1)(0) == 0.1


def test_hyperbolic_decay_ends_at_its_floor() -> None:
    schedule = optim.HyperbolicDecay(0.01, 0.001, 0.5)
    np.testing.assert_allclose(rates(schedule, 4), [0.01, 0.005, 0.004, 0.01 / 3])
    assert schedule(99) == 0.001
    assert rates(optim.HyperbolicDecay(0.01, 0.001, 0.0), 3) == [0.01] * 3


def test_step_decay_jumps() -> None:
    np.testing.assert_allclose(rates(optim.StepDecay(1.0, 2, 0.5), 5), [1.0, 1.0, 0.5, 0.5, 0.25])


def test_linear_decay_is_a_line_and_stays_at_its_end() -> None:
    np.testing.assert_allclose(rates(optim.LinearDecay(1.0, 4, 0.2), 6), [1.0, 0.8, 0.6, 0.4, 0.2, 0.2])


def test_cosine_decay_is_half_a_cosine_and_stays_at_its_end() -> None:
    np.testing.assert_allclose(
        rates(optim.CosineDecay(1.0, 4, 0.2), 6),
        [1.0, 0.6 + 0.4 * math.sqrt(0.5), 0.6, 0.6 - 0.4 * math.sqrt(0.5), 0.2, 0.2],
    )


def test_warm_up_rises_to_what_follows() -> None:
    following = optim.LinearDecay(1.0, 10)
    schedule = optim.WarmUp(4, following)
    np.testing.assert_allclose(rates(schedule, 4), [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose([schedule(step) for step in range(4, 9)], rates(following, 5))
    assert rates(optim.WarmUp(0, 0.5), 2) == [0.5, 0.5]


def test_a_plateau_reduces_the_rate_after_patience() -> None:
    schedule = optim.ReduceOnPlateau(1.0, 0.5, 1, cooldown=2, minimum=0.3)
    figures = [5.0, 4.0, 4.0, math.nan, 9.0, 9.0, 9.0, 9.0, 9.0]
    assert [schedule.report(figure) for figure in figures] == [False] * 3 + [True] + [False] * 3 + [True, False]
    assert schedule(0) == 0.3
    assert not any(schedule.report(9.0) for _ in range(10))


@every_schedule
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_warm_up_may_lead_to_any_other(make: Callable[[], optim.Schedule], steps: int) -> None:
    following, schedule = make(), optim.WarmUp(steps, make())
    np.testing.assert_allclose(rates(schedule, steps), [following(0) * k / steps for k in range(1, steps + 1)])
    assert [schedule(step) for step in range(steps, steps + 15)] == rates(following, 15)


@every_schedule
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_copies_and_pickles_are_equal_and_go_on_the_same(
    make: Callable[[], optim.Schedule], copied: Callable[[optim.Schedule], optim.Schedule]
) -> None:
    schedule = make()
    report(schedule, [3.0, 2.0, 2.5])
    other = copied(schedule)
    assert type(other) is type(schedule)
    assert other.state_dict() == schedule.state_dict()
    for _ in range(3):
        assert rates(other, 20) == rates(schedule, 20)
        report(other, [2.5] * 7)
        assert other.state_dict() != schedule.state_dict() or not isinstance(schedule, optim.ReduceOnPlateau)
        report(schedule, [2.5] * 7)
        assert other.state_dict() == schedule.state_dict()


def report(schedule: optim.Schedule, figures: list[float]) -> None:
    if isinstance(schedule, optim.ReduceOnPlateau):
        for figure in figures:
            schedule.report(figure)


def test_every_schedule_has_a_row() -> None:
    schedules = {name for name in optim.__all__ if isinstance(getattr(optim, name), type)}
    schedules = {name for name in schedules if issubclass(getattr(optim, name), optim.Schedule)} - {"Schedule"}
    assert {type(make()).__name__ for make in SCHEDULES} == schedules


def test_a_plateau_may_be_of_what_should_grow() -> None:
    schedule = optim.ReduceOnPlateau(1.0, patience=0, mode="max", threshold=0.1)
    assert [schedule.report(figure) for figure in (0.5, 0.6, 0.65)] == [False, False, True]


def test_an_optimizer_steps_with_the_rate_of_its_own_time() -> None:
    p = nn.Param(np.zeros(1))
    optimizer = optim.SGD(p, optim.StepDecay(1.0, 2, 0.1))
    for _ in range(3):
        p.grad = np.ones(1)
        optimizer.step()
    assert p.value.item() == pytest.approx(-2.1)
    assert optimizer.learning_rate == pytest.approx(0.1)
    optimizer.learning_rate = lambda step: step * 1.0
    assert optimizer.learning_rate == 3.0


@every_schedule
def test_a_schedule_goes_on_from_its_state(make: Callable[[], optim.Schedule]) -> None:
    schedule = make()
    _tell(schedule, 12)
    state = json.loads(json.dumps(schedule.state_dict()))
    resumed = make()
    resumed.load_state_dict(state)
    _tell(schedule, 12)
    _tell(resumed, 12)
    assert rates(resumed, 20) == rates(schedule, 20)


def _tell(schedule: optim.Schedule, reports: int) -> None:
    if isinstance(schedule, optim.ReduceOnPlateau):
        for _ in range(reports):
            schedule.report(1.0)


@every_schedule
def test_an_optimizer_saves_the_state_of_its_schedule(make: Callable[[], optim.Schedule]) -> None:
    p = nn.Param(np.zeros(1))
    first, second = optim.Adam(p, make()), optim.Adam(p, make())
    given = first.groups[0]["learning_rate"]
    _tell(given, 12)
    for _ in range(5):
        p.grad = np.ones(1)
        first.step()
    second.load_state_dict(json.loads(json.dumps(first.state_dict() | {"arrays": {}})))
    assert second.learning_rate == first.learning_rate
    assert second.groups[0]["learning_rate"] is not given


@every_schedule
def test_the_state_of_another_schedule_is_refused(make: Callable[[], optim.Schedule]) -> None:
    class Other(optim.Schedule):
        def __call__(self, step: int) -> float:
            return 0.0

    schedule = make()
    before = schedule.state_dict()
    for state in (Other().state_dict(), {"schedule": type(schedule).__name__}, {}):
        with pytest.raises(ValueError, match=f"{type(schedule).__name__}: expected state of the same schedule, got"):
            schedule.load_state_dict(state)
    assert schedule.state_dict() == before


BAD: list[tuple[Callable[[], object], str]] = [
    (
        lambda: optim.ExponentialDecay(0.1, 0.2, 10),
        r"ExponentialDecay: expected 0 < final ≤ initial, got initial=0\.1, final=0\.2",
    ),
    (lambda: optim.ExponentialDecay(0.1, 0.0, 10), "0 < final"),
    (lambda: optim.ExponentialDecay(0.1, 0.1, 0), "steps ≥ 1"),
    (lambda: optim.HyperbolicDecay(0.1, 0.2, 1), "HyperbolicDecay: expected 0 ≤ final ≤ initial"),
    (lambda: optim.HyperbolicDecay(0.1, 0.0, -1), "rate ≥ 0"),
    (lambda: optim.StepDecay(-0.1, 3), "StepDecay: expected initial ≥ 0"),
    (lambda: optim.StepDecay(0.1, 0), "every ≥ 1"),
    (lambda: optim.LinearDecay(0.1, 0), "LinearDecay: expected steps ≥ 1"),
    (lambda: optim.CosineDecay(0.1, 10, -1), "CosineDecay: expected initial ≥ 0 and final ≥ 0"),
    (lambda: optim.WarmUp(-1, 0.1), "WarmUp: expected steps ≥ 0"),
    (lambda: optim.ReduceOnPlateau(0.1, 1.0), "ReduceOnPlateau: expected factor from 0 to below 1"),
    (lambda: optim.ReduceOnPlateau(-0.1), "initial ≥ 0"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_settings_out_of_range_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
