"""Learning rates that change during training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast


class Schedule(ABC):
    """A learning rate as a function of the number of steps taken so far: 0 for the first step.

    An optimizer takes one as its learning rate, and calls it at each step with its own `steps`; so there is nothing
    else to call, and nothing to forget when training goes on later. For a rate that changes with the epoch, set
    `optimizer.learning_rate = schedule(epoch)`.

    Examples:
        >>> from spago import nn, optim
        >>> rate = optim.WarmUp(100, optim.CosineDecay(1e-3, 1000))
        >>> optimizer = optim.Adam(nn.Linear(2, 2), learning_rate=rate)
        >>> optimizer.learning_rate
        1e-05
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the learning rate after so many steps."""

    def state_dict(self) -> dict[str, Any]:
        """Return the kind of schedule and its settings, and what it remembers."""
        state: dict[str, Any] = {"schedule": type(self).__name__}
        for name, value in vars(self).items():
            state[name] = value.state_dict() if isinstance(value, Schedule) else value
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of `state_dict`.

        Raises:
            ValueError: When it is of another kind of schedule; nothing has been changed.
        """
        self.check_state(state)
        for name, value in vars(self).items():
            if isinstance(value, Schedule):
                value.load_state_dict(state[name])
            else:
                vars(self)[name] = state[name]

    def check_state(self, state: Any) -> None:
        """Raise ValueError unless state is one that load_state_dict takes."""
        saved: dict[str, Any] = (
            dict(cast("Mapping[str, Any]", state)) if isinstance(state, Mapping) else {"schedule": state}
        )
        if saved.pop("schedule", None) != type(self).__name__ or saved.keys() != vars(self).keys():
            raise ValueError(f"{type(self).__name__}: expected state of the same schedule, got {state}")
        for name, value in vars(self).items():
            if isinstance(value, Schedule):
                value.check_state(state[name])


@dataclass
class ExponentialDecay(Schedule):
    """From one rate to another by equal factors: initial · (final / initial)^(k / (steps - 1)) after k steps.

    Step number `steps` is the first one made with the final rate, which then stays. The reference divides by zero one
    step later.

    Args:
        initial: The first rate.
        final: The last one, above 0 and at most initial.
        steps: Where it is reached.
    """

    initial: float
    final: float
    steps: int

    def __post_init__(self) -> None:
        _check(self, 0 < self.final <= self.initial, "0 < final ≤ initial")
        _check(self, self.steps >= 1, "steps ≥ 1")

    def __call__(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        if step >= self.steps - 1:
            return self.final
        return float(self.initial * (self.final / self.initial) ** (step / (self.steps - 1)))

    def decay(self, learning_rate: float, t: int) -> float:
        """Return the rate of step t (from 1) from that of the step before, as the reference has it.

        It takes the part 1 / (steps - t + 1) of the way to the final rate that is left, as logarithms have it.
        """
        if t >= self.steps:
            return self.final
        if t <= 1 or learning_rate <= self.final:
            return learning_rate
        left = self.steps - t
        return math.exp((left * math.log(learning_rate) + math.log(self.final)) / (left + 1))


@dataclass
class HyperbolicDecay(Schedule):
    """Inversely with time: initial / (1 + rate · t) for step t = 2, 3, …, not below final; initial for step 1.

    The reference goes below final by up to one step.

    Args:
        initial: The first rate.
        final: The smallest.
        rate: How fast; 0 keeps the initial rate.
    """

    initial: float
    final: float
    rate: float

    def __post_init__(self) -> None:
        _check(self, 0 <= self.final <= self.initial, "0 ≤ final ≤ initial")
        _check(self, self.rate >= 0, "rate ≥ 0")

    def __call__(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        return self.decay(self.initial, step + 1)

    def decay(self, learning_rate: float, t: int) -> float:
        """Return the rate of step t (from 1), or learning_rate where there is nothing to change, as the reference."""
        if t <= 1 or self.rate == 0 or learning_rate <= self.final:
            return learning_rate
        return max(self.final, self.initial / (1 + self.rate * t))


@dataclass
class StepDecay(Schedule):
    """In jumps: initial · factor^⌊k / every⌋ after k steps.

    Args:
        initial: The first rate.
        every: How many steps are made with the same rate.
        factor: By what it is multiplied.
    """

    initial: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _check(self, self.initial >= 0 and self.factor >= 0, "initial ≥ 0 and factor ≥ 0")
        _check(self, self.every >= 1, "every ≥ 1")

    def __call__(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        return float(self.initial * self.factor ** (step // self.every))


@dataclass
class LinearDecay(Schedule):
    """On a straight line: initial + (final - initial) · k / steps after k steps, final from k = steps on.

    Args:
        initial: The first rate.
        steps: Where the final one is reached.
        final: The last one.
    """

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check(self, self.initial >= 0 and self.final >= 0, "initial ≥ 0 and final ≥ 0")
        _check(self, self.steps >= 1, "steps ≥ 1")

    def __call__(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        done = min(step / self.steps, 1.0)
        return self.initial * (1 - done) + self.final * done


@dataclass
class CosineDecay(Schedule):
    """Along half a cosine: final + (initial - final) · (1 + cos(π k / steps)) / 2, final from k = steps on.

    Args:
        initial: The first rate.
        steps: Where the final one is reached.
        final: The last one.

    Source:
        I. Loshchilov, F. Hutter (2017), "SGDR", arXiv:1608.03983, eq. 5, without restarts.
    """

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check(self, self.initial >= 0 and self.final >= 0, "initial ≥ 0 and final ≥ 0")
        _check(self, self.steps >= 1, "steps ≥ 1")

    def __call__(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        done = min(step / self.steps, 1.0)
        return self.final + (self.initial - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass
class WarmUp(Schedule):
    """A linear rise to the first rate of another schedule, then that schedule.

    Step number k = 1, …, steps is made with k / steps of that rate.

    Args:
        steps: How long it rises.
        then: What follows: a schedule, whose steps count from the end of the warm-up, or a constant rate.
    """

    steps: int
    then: Schedule | float

    def __post_init__(self) -> None:
        _check(self, self.steps >= 0, "steps ≥ 0")

    def __call__(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        following = self.then(max(0, step - self.steps)) if isinstance(self.then, Schedule) else self.then
        return following * min(1.0, (step + 1) / self.steps) if self.steps else following


class ReduceOnPlateau(Schedule):
    """A rate that is reduced when a figure stops improving; `report` says how training goes.

    In `nn.training.fit` a callback reports, such as `lambda run: rate.report(run.epochs[-1]["loss"])`.

    The figure improves when it is better than the best so far by more than threshold, relative to that. After more than
    `patience` reports in a row without improvement the rate is multiplied by factor.

    Args:
        initial: The first rate.
        factor: Below 1.
        patience: How many reports without improvement are tolerated.
        mode: Whether "min" or "max" is better.
        threshold: By which part a figure must be better to count as such.
        cooldown: For how many reports after a reduction nothing is counted.
        minimum: The rate is not reduced below.

    Examples:
        >>> from spago import optim
        >>> rate = optim.ReduceOnPlateau(0.1, factor=0.5, patience=1)
        >>> [rate.report(loss) for loss in (1.0, 0.9, 0.9, 0.95)]
        [False, False, False, True]
        >>> rate(4)
        0.05
    """

    def __init__(
        self,
        initial: float,
        factor: float = 0.1,
        patience: int = 10,
        *,
        mode: Literal["min", "max"] = "min",
        threshold: float = 1e-4,
        cooldown: int = 0,
        minimum: float = 0.0,
    ) -> None:
        self.rate = initial
        self.factor, self.patience, self.mode = factor, patience, mode
        self.threshold, self.cooldown, self.minimum = threshold, cooldown, minimum
        self.best: float | None = None
        self.without_improvement = 0
        self.cooling = 0
        _check(self, initial >= 0 and minimum >= 0, "initial ≥ 0 and minimum ≥ 0")
        _check(self, 0 <= factor < 1, "factor from 0 to below 1")
        _check(self, mode in ("min", "max"), 'mode "min" or "max"')

    def __call__(self, step: int) -> float:
        """Return the learning rate that the reports so far have led to."""
        return self.rate

    def report(self, figure: float) -> bool:
        """Take note of how training goes, after an epoch for instance; NaN is no improvement.

        Returns:
            Whether the rate was reduced.
        """
        figure = float(figure)
        if self._improves(figure):
            self.best, self.without_improvement = figure, 0
        else:
            self.without_improvement += 1
        if self.cooling:
            self.cooling -= 1
            self.without_improvement = 0
        if self.without_improvement <= self.patience:
            return False
        self.cooling, self.without_improvement = self.cooldown, 0
        before, self.rate = self.rate, max(self.minimum, self.rate * self.factor)
        return self.rate < before

    def _improves(self, figure: float) -> bool:
        if self.best is None:
            return not math.isnan(figure)
        margin = abs(self.best) * self.threshold
        return figure < self.best - margin if self.mode == "min" else figure > self.best + margin


def _check(schedule: Schedule, holds: bool, expected: str) -> None:
    if not holds:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(schedule).items())
        raise ValueError(f"{type(schedule).__name__}: expected {expected}, got {settings}")
