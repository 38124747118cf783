"""What a side of the benchmark reports, and the table of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One training, measured."""

    side: str
    seed: int
    dev: float  # accuracy on the development sentences
    test: float  # accuracy on the test sentences
    training_seconds: float
    training_tokens_per_second: float
    tagging_tokens_per_second: float


HEADER = (
    f"{'':<10} {'seed':>4}  {'dev %':>6} {'test %':>6}  {'training s':>10} {'tokens/s':>9}  {'tagging tokens/s':>16}"
)


def row(result: Result) -> str:
    """Return the line of the table for one training."""
    return _line(result.side, str(result.seed), _figures(result))


def mean_row(results: Sequence[Result]) -> str:
    """Return the line of the table for the mean of a side over its seeds."""
    columns = zip(*map(_figures, results), strict=True)
    return _line(results[0].side, "mean", [sum(column) / len(results) for column in columns])


def _figures(result: Result) -> list[float]:
    return [
        result.dev,
        result.test,
        result.training_seconds,
        result.training_tokens_per_second,
        result.tagging_tokens_per_second,
    ]


def _line(side: str, seed: str, figures: Sequence[float]) -> str:
    dev, test, seconds, training, tagging = figures
    return (
        f"{side:<10} {seed:>4}  {100 * dev:6.2f} {100 * test:6.2f}  {seconds:10.1f} {training:9,.0f}  {tagging:16,.0f}"
    )
