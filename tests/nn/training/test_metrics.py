"""Metrics: by hand, and those of spans as seqeval has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spago.mat import ShapeError
from spago.nn import training
from spago.nn.training import Average, Span

TARGET = ["a", "a", "a", "b", "b", "c"]
PREDICTED = ["a", "a", "b", "b", "a", "d"]


def test_scores_of_classes_are_those_counted_by_hand() -> None:
    scores = training.class_scores(PREDICTED, TARGET)
    assert list(scores) == ["a", "b", "c", "d"]
    assert scores["a"][:4] == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert scores["b"][:4] == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert list(scores["c"]) == [0, 0, 0, 1, 0, 0]
    assert list(scores["d"]) == [0, 0, 0, 0, 1, 0]


def test_averages_are_those_computed_by_hand() -> None:
    assert training.accuracy(PREDICTED, TARGET) == 0.5
    assert training.precision(PREDICTED, TARGET, "micro") == 0.5
    assert training.recall(PREDICTED, TARGET, "micro") == 0.5
    assert training.f1(PREDICTED, TARGET) == pytest.approx((2 / 3 + 1 / 2) / 4)
    assert training.f1(PREDICTED, TARGET, "weighted") == pytest.approx((2 / 3 * 3 + 1 / 2 * 2) / 6)


def test_an_average_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match='expected average="micro", "macro" or "weighted", got \'mega\''):
        training.f1([1], [1], "mega")  # type: ignore[arg-type]


def test_targets_that_do_not_count_are_left_out() -> None:
    predicted, target = [[1, 2], [2, 9]], [[1, 1], [2, -100]]
    assert training.accuracy(predicted, target, ignore=-100) == pytest.approx(2 / 3)
    assert 9 not in training.class_scores(predicted, target, ignore=-100)


def test_nothing_to_score_is_zero() -> None:
    assert training.accuracy([], []) == 0
    for average in ("micro", "macro", "weighted"):
        assert training.average_scores({}, average) == (0, 0, 0, 0, 0, 0)


def test_labels_of_another_shape_are_an_error() -> None:
    with pytest.raises(ShapeError, match=r"accuracy: expected as many labels predicted .* got \(2,\), \(1, 2\)"):
        training.accuracy([1, 2], [[1, 2]])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_micro_scores_of_classes_are_the_accuracy(pairs: list[tuple[int, int]]) -> None:
    predicted, target = zip(*pairs, strict=True)
    accuracy = training.accuracy(predicted, target)
    micro = training.average_scores(training.class_scores(predicted, target), "micro")
    assert micro[:3] == (accuracy, accuracy, accuracy)


# Test cases of seqeval 1.2.2 (MIT license), https://github.com/chakki-works/seqeval: the data of `test_get_entities`,
# `test_get_entities_with_only_IOB`, `test_conll_f1score`, `test_strict_f1score`, `test_scores`, `test_average_scores`,
# `test_output_dict`, `test_length`, `test_weighted_true_sum_zero`, `test_iob2_tokens`, `test_iob2_tokens_without_tag`.

SPANS = [
    ("O O O B-MISC I-MISC I-MISC O B-PER I-PER", [("MISC", 3, 6), ("PER", 7, 9)]),
    ("O O O B I I O O B I O", [("_", 3, 6), ("_", 8, 10)]),
]

SPANS_STRICT = [
    ("", []),
    ("B-PER", [("PER", 0, 1)]),
    ("I-PER", []),
    ("O", []),
    ("O I-PER", []),
    ("O B-PER", [("PER", 1, 2)]),
    ("I-PER O", []),
    ("I-PER I-PER", []),
    ("I-PER I-ORG", []),
    ("I-PER B-PER", [("PER", 1, 2)]),
    ("I-PER B-ORG", [("ORG", 1, 2)]),
    ("B-PER O", [("PER", 0, 1)]),
    ("B-PER I-PER", [("PER", 0, 2)]),
    ("B-PER I-ORG", [("PER", 0, 1)]),
    ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
    ("B-PER B-ORG", [("PER", 0, 1), ("ORG", 1, 2)]),
    ("B", [("_", 0, 1)]),
    ("I", []),
    ("O O", []),
    ("O I", []),
    ("O B", [("_", 1, 2)]),
    ("I O", []),
    ("I I", []),
    ("I B", [("_", 1, 2)]),
    ("B O", [("_", 0, 1)]),
    ("B I", [("_", 0, 2)]),
    ("B B", [("_", 0, 1), ("_", 1, 2)]),
]

ABC_TARGET = [["B-A", "B-B", "O", "B-A"]]
ABC_PREDICTED = [["O", "B-B", "B-C", "B-A"]]


@pytest.mark.parametrize(("tags", "expected"), SPANS)
def test_spans_are_those_of_seqeval(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert training.spans(tags.split()) == expected


@pytest.mark.parametrize(("tags", "expected"), SPANS_STRICT)
def test_strict_spans_are_those_of_seqeval(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert training.spans(tags.split(), strict=True) == expected


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_a_span_that_begins_with_i_counts_unless_strict(average: Average) -> None:
    target, predicted = [["B-ORG", "I-ORG"]], [["I-ORG", "I-ORG"]]
    assert training.span_f1(predicted, target, average) == 1
    assert training.span_f1(predicted, target, average, strict=True) == 0


@pytest.mark.parametrize("strict", [False, True])
def test_scores_of_spans_are_those_of_seqeval(strict: bool) -> None:
    scores = training.span_scores(ABC_PREDICTED, ABC_TARGET, strict=strict)
    assert {kind: each[:4] for kind, each in scores.items()} == {
        "A": (1.0, 0.5, 0.6666666666666666, 2),
        "B": (1.0, 1.0, 1.0, 1),
        "C": (0.0, 0.0, 0.0, 0),
    }
    averages = {
        "micro": (0.6666666666666666, 0.6666666666666666, 0.6666666666666666, 3),
        "macro": (0.6666666666666666, 0.5, 0.5555555555555555, 3),
        "weighted": (1.0, 0.6666666666666666, 0.7777777777777777, 3),
    }
    average: Average
    for average in ("micro", "macro", "weighted"):
        assert training.average_scores(scores, average)[:4] == pytest.approx(averages[average], abs=1e-15)


def test_no_spans_at_all_score_zero() -> None:
    assert training.average_scores(training.span_scores([["O"]], [["O"]]), "weighted")[:4] == (0, 0, 0, 0)


def test_another_number_of_tags_is_an_error() -> None:
    with pytest.raises(ShapeError, match="expected as many tags for each sentence, got 1 sentences of 2 words"):
        training.span_scores([["B-PER", "O"]], [["B-PER"]])


@pytest.mark.parametrize("tag", ["E-PER", "PER", "", "B-", "b-PER"])
def test_what_is_no_bio_tag_is_an_error(tag: str) -> None:
    with pytest.raises(ValueError, match=f"expected tags such as B-PER, I-PER and O, got '{tag}'"):
        training.spans(["O", tag])


@given(st.lists(st.tuples(st.sampled_from(["A", "B-C"]), st.integers(1, 3), st.integers(0, 2)), max_size=6))
def test_spans_come_back_from_their_tags(pieces: list[tuple[str, int, int]]) -> None:
    tags: list[str] = []
    expected: list[Span] = []
    for kind, length, gap in pieces:
        expected.append(Span(kind, len(tags), len(tags) + length))
        tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1), *["O"] * gap]
    assert training.spans(tags) == training.spans(tags, strict=True) == expected


def test_perplexity_weighs_words_not_batches() -> None:
    assert training.perplexity([10 * math.log(4), 2 * math.log(2)], [10, 2]) == pytest.approx(2 ** (22 / 12))
    assert training.perplexity(np.log([8.0, 2.0])) == pytest.approx(4)
    assert training.perplexity([1e6]) == math.inf
    with pytest.raises(ValueError, match="perplexity: expected at least one word"):
        training.perplexity([], [])


def test_a_moving_average_goes_on_from_its_state() -> None:
    one, other = training.MovingAverage(0.9), training.MovingAverage(0.9)
    assert math.isnan(one.value)
    figures = np.random.default_rng(1).normal(size=6)
    for x in figures[:3]:
        one.update(x)
    other.load_state_dict(one.state_dict())
    weights = 0.9 ** np.arange(6)[::-1]
    for x in figures[3:]:
        one.update(x)
        other.update(x)
    assert one.value == other.value == pytest.approx(np.average(figures, weights=weights))
    with pytest.raises(ValueError, match="expected decay from 0 to below 1, got 1"):
        training.MovingAverage(1.0)
