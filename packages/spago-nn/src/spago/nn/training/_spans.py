"""Spans of words, as tags B, I and O mark them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spago.mat import ShapeError
from spago.nn.training._metrics import Average, Scores, average_scores


class Span(NamedTuple):
    """A run of words of one kind.

    Attributes:
        kind: What it is, such as PER; "_" where tags are only B and I.
        start: Its first word.
        stop: The word after its last.
    """

    kind: str
    start: int
    stop: int


def spans(tags: Iterable[str], *, strict: bool = False) -> list[Span]:
    """Return the spans of a sentence from its BIO tags, such as B-PER, I-PER and O.

    B begins a span, I goes on with one of the same kind. An I without a span to go on with begins one, as in the
    evaluation script of CoNLL; with strict it belongs to none.

    Raises:
        ValueError: For a tag that does not begin with B, I or O.

    Examples:
        >>> from spago.nn import training
        >>> training.spans(["B-PER", "I-PER", "O", "I-LOC"])
        [Span(kind='PER', start=0, stop=2), Span(kind='LOC', start=3, stop=4)]
        >>> training.spans(["B-PER", "I-PER", "O", "I-LOC"], strict=True)
        [Span(kind='PER', start=0, stop=2)]
    """
    found: list[Span] = []
    kind: str | None = None
    start = i = 0
    for i, tag in enumerate(tags):
        mark, this = _parts(tag)
        if kind is not None and not (mark == "I" and this == kind):
            found.append(Span(kind, start, i))
            kind = None
        if mark == "B" or (mark == "I" and kind is None and not strict):
            kind, start = this, i
    if kind is not None:
        found.append(Span(kind, start, i + 1))
    return found


def span_scores(
    predicted: Iterable[Sequence[str]], target: Iterable[Sequence[str]], *, strict: bool = False
) -> dict[str, Scores]:
    """Return precision, recall and F1 of each kind of span, in alphabetical order.

    A span is right when kind, first and last word are. The numbers are those of seqeval, by default those of its
    default mode; with strict those of its mode "strict" with the scheme IOB2.

    Args:
        predicted: The BIO tags of each sentence, as predicted.
        target: Those that are right.
        strict: Whether an I without a span to go on with is passed over; see `spans`.

    Raises:
        ShapeError: When a sentence has two numbers of tags, or there are two numbers of sentences.
        ValueError: For a tag that does not begin with B, I or O.
    """
    correct, found, real = dict[str, int](), dict[str, int](), dict[str, int]()
    ours, theirs = list(predicted), list(target)
    if [len(tags) for tags in ours] != [len(tags) for tags in theirs]:
        raise ShapeError(
            f"span_scores: expected as many tags for each sentence, got {len(ours)} sentences of "
            f"{sum(map(len, ours))} words predicted, and {len(theirs)} of {sum(map(len, theirs))} words as targets"
        )
    for one, other in zip(ours, theirs, strict=True):
        guesses, truth = spans(one, strict=strict), spans(other, strict=strict)
        for counts, some in ((found, guesses), (real, truth), (correct, set(guesses) & set(truth))):
            for span in some:
                counts[span.kind] = counts.get(span.kind, 0) + 1
    return {
        kind: Scores.of(correct.get(kind, 0), found.get(kind, 0), real.get(kind, 0))
        for kind in sorted(found.keys() | real.keys())
    }


def span_f1(
    predicted: Iterable[Sequence[str]],
    target: Iterable[Sequence[str]],
    average: Average = "micro",
    *,
    strict: bool = False,
) -> float:
    """Return the F1 of spans, over all of them ("micro") or as a mean over their kinds; see `span_scores`.

    Examples:
        >>> from spago.nn import training
        >>> training.span_f1([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "B-LOC"]])
        0.6666666666666666
    """
    return average_scores(span_scores(predicted, target, strict=strict), average).f1


def _parts(tag: str) -> tuple[str, str]:
    """Return B, I or O, and the kind."""
    mark, dash, kind = tag.partition("-")
    if mark not in ("B", "I", "O") or (dash and not kind):
        raise ValueError(f"spans: expected tags such as B-PER, I-PER and O, got {tag!r}")
    return mark, kind or "_"
