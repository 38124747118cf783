"""How good predictions are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from spago.mat import ShapeError

Average: TypeAlias = Literal["micro", "macro", "weighted"]
"""Over classes: "micro" counts all items together; "macro" is the mean; "weighted" the mean by support."""

K = TypeVar("K")


class Scores(NamedTuple):
    """Precision, recall and their harmonic mean; each is 0 where it would be 0/0.

    Attributes:
        precision: The part of what was predicted that is right.
        recall: The part of what is there that was predicted.
        f1: 2 · precision · recall / (precision + recall).
        support: How many are there.
        predicted: How many were predicted.
        correct: How many of them are right.
    """

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    correct: int

    @classmethod
    def of(cls, correct: int, predicted: int, support: int) -> Scores:
        """Compute the scores from counts.

        Examples:
            >>> from spago.nn import training
            >>> training.Scores.of(correct=1, predicted=2, support=4).f1
            0.3333333333333333
        """
        precision, recall = _part(correct, predicted), _part(correct, support)
        # The harmonic mean as one division: no rounding where both are equal.
        return cls(precision, recall, _part(2 * correct, predicted + support), support, predicted, correct)


def accuracy(predicted: npt.ArrayLike, target: npt.ArrayLike, *, ignore: Any = None) -> float:
    """Return the part of the labels that are right; 0 when there is none.

    Args:
        predicted: Labels, numbers or text, of any shape.
        target: The right ones, of the same shape.
        ignore: A target that does not count, such as that of padding.

    Raises:
        ShapeError: When the shapes differ.

    Examples:
        >>> from spago.nn import training
        >>> training.accuracy([[1, 2], [3, 0]], [[1, 1], [3, -100]], ignore=-100)
        0.6666666666666666
    """
    guesses, truth = _labels(predicted, target, ignore, "accuracy")
    return _part(int(np.count_nonzero(guesses == truth)), truth.size)


def class_scores(predicted: npt.ArrayLike, target: npt.ArrayLike, *, ignore: Any = None) -> dict[Any, Scores]:
    """Return precision, recall and F1 of each class that is predicted or there, in order; arguments as of `accuracy`.

    Examples:
        >>> from spago.nn import training
        >>> scores = training.class_scores(["A", "B", "B"], ["A", "B", "A"])
        >>> scores["A"].precision, scores["A"].recall
        (1.0, 0.5)
    """
    guesses, truth = _labels(predicted, target, ignore, "class_scores")
    correct: Counter[Any] = Counter(truth[guesses == truth].tolist())
    found: Counter[Any] = Counter(guesses.tolist())
    real: Counter[Any] = Counter(truth.tolist())
    return {label: Scores.of(correct[label], found[label], real[label]) for label in sorted(found.keys() | real.keys())}


def precision(
    predicted: npt.ArrayLike, target: npt.ArrayLike, average: Average = "macro", *, ignore: Any = None
) -> float:
    """Return the part of what was predicted that is right; `class_scores` has it for each class.

    With "micro" every label counts for one, so it equals the accuracy, as recall and F1 do.
    """
    return average_scores(class_scores(predicted, target, ignore=ignore), average).precision


def recall(predicted: npt.ArrayLike, target: npt.ArrayLike, average: Average = "macro", *, ignore: Any = None) -> float:
    """Return the part of what is there that was predicted; see `precision`."""
    return average_scores(class_scores(predicted, target, ignore=ignore), average).recall


def f1(predicted: npt.ArrayLike, target: npt.ArrayLike, average: Average = "macro", *, ignore: Any = None) -> float:
    """Return the harmonic mean of precision and recall; with "macro" the mean of that of the classes.

    Examples:
        >>> from spago.nn import training
        >>> training.f1([0, 1, 1, 1], [0, 1, 1, 0])
        0.7333333333333334
    """
    return average_scores(class_scores(predicted, target, ignore=ignore), average).f1


def average_scores(scores: Mapping[K, Scores], average: Average = "micro") -> Scores:
    """Return the scores of all classes as one.

    Args:
        scores: Those of each class, as `class_scores` and `span_scores` return them.
        average: "micro" computes them from the counts of all classes together; "macro" takes the mean of those of the
            classes; "weighted" the mean with support as weights.

    Raises:
        ValueError: For another average.
    """
    classes = list(scores.values())
    counts = [sum(column) for column in zip(*[each[3:] for each in classes], strict=True)] or [0, 0, 0]
    support, predicted, correct = counts
    if average == "micro":
        return Scores.of(correct, predicted, support)
    if average not in ("macro", "weighted"):
        raise ValueError(f'average_scores: expected average="micro", "macro" or "weighted", got {average!r}')
    weights = [each.support if average == "weighted" else 1 for each in classes]
    means = [
        _part(math.fsum(weight * each[i] for weight, each in zip(weights, classes, strict=True)), sum(weights))
        for i in range(3)
    ]
    return Scores(means[0], means[1], means[2], support, predicted, correct)


def perplexity(losses: npt.ArrayLike, counts: npt.ArrayLike = 1) -> float:
    """Return exp(Σ losses / Σ counts), the perplexity of a text; infinity where that is beyond float64.

    Args:
        losses: Sums of -log p(word), natural logarithms: of each word, sentence or batch.
        counts: How many words each of them is the sum of.

    Raises:
        ValueError: When there are no words.

    Examples:
        >>> import math
        >>> from spago.nn import training
        >>> round(training.perplexity([2 * math.log(10), math.log(10)], [2, 1]), 6)
        10.0
    """
    sums, words = np.broadcast_arrays(np.asarray(losses, np.float64), np.asarray(counts))
    total = words.sum()
    if not total > 0:
        raise ValueError(f"perplexity: expected at least one word, got counts that sum to {total}")
    with np.errstate(over="ignore"):
        return float(np.exp(sums.sum() / total))


class MovingAverage:
    """A mean in which what is recent counts more: the n-th last figure counts decayⁿ.

    m ← decay · m + (1 - decay) · x, divided by 1 - decayᵗ: so the first figures count as they should.

    Args:
        decay: From 0, which keeps the last figure alone, to below 1.

    Examples:
        >>> from spago.nn import training
        >>> average = training.MovingAverage(0.5)
        >>> [average.update(x) for x in (3.0, 0.0, 0.0)]
        [3.0, 1.0, 0.42857142857142855]
    """

    def __init__(self, decay: float = 0.98) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"MovingAverage: expected decay from 0 to below 1, got {decay}")
        self.decay = decay
        self._sum = 0.0
        self._weight = 0.0

    def update(self, x: float) -> float:
        """Take in a figure, and return the average."""
        self._sum = self.decay * self._sum + (1 - self.decay) * float(x)
        self._weight = self.decay * self._weight + (1 - self.decay)
        return self.value

    @property
    def value(self) -> float:
        """The average; NaN before the first figure."""
        return self._sum / self._weight if self._weight else math.nan

    def state_dict(self) -> dict[str, float]:
        """Return what there is to remember."""
        return {"sum": self._sum, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from what `state_dict` returned."""
        self._sum, self._weight = float(state["sum"]), float(state["weight"])


def _part(some: float, of: float) -> float:
    return some / of if of else 0.0


def _labels(
    predicted: npt.ArrayLike, target: npt.ArrayLike, ignore: Any, name: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the labels that count, without axes.

    Raises:
        ShapeError: When the shapes differ.
    """
    guesses, truth = np.asarray(predicted), np.asarray(target)
    if guesses.shape != truth.shape:
        raise ShapeError(f"{name}: expected as many labels predicted as there are, got {guesses.shape}, {truth.shape}")
    if ignore is None:
        return guesses.reshape(-1), truth.reshape(-1)
    counts = truth != ignore
    return guesses[counts], truth[counts]
