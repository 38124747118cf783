"""The linear-chain CRF: against all paths counted one by one, its gradients, extreme scores, its errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spago import ag, nn
from spago.losses import Reduction
from spago.mat import Array, ShapeError

Integers = npt.NDArray[np.int64]

B, T, K = 5, 4, 3
LENGTHS = np.array([2, 4, 1, 3, 4])


def a_crf(labels: int = K, seed: int = 1, scale: float = 1.0) -> nn.CRF:
    rng = np.random.default_rng(seed)
    crf = nn.CRF(labels, dtype=np.float64)
    for parameter in crf.parameters():
        parameter.value[...] = scale * rng.normal(size=parameter.value.shape)
    return crf


def a_batch(*shape: int, scale: float = 1.0) -> Array:
    return scale * np.random.default_rng(2).normal(size=shape or (B, T, K))


def some_tags(*shape: int) -> Integers:
    return np.random.default_rng(3).integers(0, K, shape or (B, T))


def all_paths(crf: nn.CRF, emissions: Array) -> tuple[list[tuple[int, ...]], Array]:
    """All paths in lexical order, and their scores."""
    transitions = crf.transitions.value
    paths = list(itertools.product(range(crf.num_tags), repeat=len(emissions)))
    scores = [
        crf.start_transitions.value[y[0]]
        + sum(emissions[t, label] for t, label in enumerate(y))
        + sum(transitions[i, j] for i, j in itertools.pairwise(y))
        + crf.end_transitions.value[y[-1]]
        for y in paths
    ]
    return paths, np.array(scores)


def distribution(crf: nn.CRF, emissions: Array) -> tuple[list[tuple[int, ...]], Array, float]:
    """All paths, their probabilities, and the logarithm of the sum of their scores."""
    paths, scores = all_paths(crf, emissions)
    log_partition = scores.max() + np.log(np.exp(scores - scores.max()).sum())
    return paths, np.exp(scores - log_partition), log_partition


def test_the_loss_is_that_of_all_paths_counted_one_by_one() -> None:
    crf, emissions, tags = a_crf(), a_batch(), some_tags()
    losses = crf.negative_log_likelihood(emissions, tags, LENGTHS, reduction="none").value
    for b, n in enumerate(LENGTHS):
        paths, probabilities, _ = distribution(crf, emissions[b, :n])
        assert losses[b] == pytest.approx(-np.log(probabilities[paths.index(tuple(tags[b, :n]))]), rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 40.0, 1e4])
def test_the_marginals_are_those_of_all_paths_counted_one_by_one(scale: float) -> None:
    crf, emissions = a_crf(scale=scale), a_batch(scale=scale)
    marginals = crf.marginals(emissions, LENGTHS)
    for b, n in enumerate(LENGTHS):
        paths, probabilities, _ = distribution(crf, emissions[b, :n])
        expected = np.zeros((T, K))
        for path, probability in zip(paths, probabilities, strict=True):
            expected[range(n), path] += probability
        np.testing.assert_allclose(marginals[b], expected, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 40.0, 1e4])
def test_the_best_paths_are_those_of_all_paths(scale: float) -> None:
    crf, emissions = a_crf(scale=scale), a_batch(scale=scale)
    for b, best in enumerate(crf.k_best(emissions, 7, LENGTHS)):
        paths, scores = all_paths(crf, emissions[b, : LENGTHS[b]])
        order = np.argsort(-scores)[:7]
        assert [path for path, _ in best] == [list(paths[i]) for i in order]
        np.testing.assert_allclose([score for _, score in best], scores[order], rtol=1e-12)


def test_viterbi_is_the_first_of_k_best() -> None:
    crf, emissions = a_crf(), a_batch()
    paths, scores = crf.viterbi(emissions, LENGTHS)
    best = crf.k_best(emissions, 1, LENGTHS)
    assert [[(path, score)] for path, score in zip(paths, scores.tolist(), strict=True)] == best
    assert crf.decode(emissions, LENGTHS) == paths


def test_there_are_no_more_best_paths_than_paths() -> None:
    assert [len(best) for best in a_crf().k_best(a_batch(), 100, LENGTHS)] == [3**n for n in LENGTHS]


def test_ties_go_to_the_lowest_label() -> None:
    crf = nn.CRF(3)
    assert crf.decode(np.zeros((4, 3), np.float32)) == [[0, 0, 0, 0]]
    assert [path for path, _ in crf.k_best(np.zeros((2, 3), np.float32), 5)[0]] == [
        [0, 0],
        [1, 0],
        [2, 0],
        [0, 1],
        [1, 1],
    ]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_gradients_are_central_differences(reduction: Reduction) -> None:
    crf, tags = a_crf(), some_tags()
    ag.gradcheck(
        lambda x: crf.negative_log_likelihood(x, tags, LENGTHS, reduction=reduction),
        [a_batch()],
        parameters=[crf.transitions, crf.start_transitions, crf.end_transitions],
    )


def losses_and_gradients(crf: nn.CRF, emissions: Array, tags: Integers, lengths: Any) -> list[Array]:
    leaf = ag.var(emissions, requires_grad=True)
    crf.zero_grad()
    losses = crf(leaf, tags, lengths, reduction="none")
    losses.backward(np.linspace(1, 2, losses.size).reshape(losses.shape))
    return [losses.value, leaf.grad, *(parameter.grad for parameter in crf.parameters())]


def likely_transitions() -> tuple[Array, Array]:
    """Scores of one size."""
    return a_crf().transitions.value, a_batch()


def unlikely_transitions() -> tuple[Array, Array]:
    """Each label all but forbids the most likely next one."""
    return np.array([[-2000.0, 0, -1000], [0, -3000, -1500], [-900, 0, -2500]]), a_batch(scale=1500)


def an_unlikely_label() -> tuple[Array, Array]:
    """Transitions are scaled by those from a label that never occurs: all others underflow, and all of them count."""
    transitions, emissions = a_crf().transitions.value - 2000, a_batch()
    transitions[2] = 3
    emissions[..., 2] -= 1e5
    return transitions, emissions


@pytest.mark.parametrize("scores", [unlikely_transitions, an_unlikely_label])
def test_gradients_are_right_where_sums_of_products_underflow(scores: Callable[[], tuple[Array, Array]]) -> None:
    crf, tags = a_crf(), some_tags() % 2
    crf.transitions.value[...], emissions = scores()
    for b, n in enumerate(LENGTHS):
        path = tags[b, :n]
        loss, g, pairs, first, last = losses_and_gradients(crf, emissions[b, :n], path, None)
        paths, probabilities, log_partition = distribution(crf, emissions[b, :n])
        _, path_scores = all_paths(crf, emissions[b, :n])
        expected = [np.zeros_like(x) for x in (g, pairs, first, last)]
        for y, p in [*zip(paths, probabilities, strict=True), (tuple(path), -1.0)]:
            expected[0][range(n), y] += p
            np.add.at(expected[1], (list(y[:-1]), list(y[1:])), p)
            expected[2][y[0]] += p
            expected[3][y[-1]] += p
        assert loss == pytest.approx(log_partition - path_scores[paths.index(tuple(path))], rel=1e-11)
        for ours, theirs in zip((g, pairs, first, last), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_a_sequence_without_any_path_has_no_marginals_and_spoils_no_other() -> None:
    crf, emissions, tags = a_crf(), a_batch(), some_tags()
    emissions[1, 0] = -np.inf
    assert not crf.marginals(emissions, LENGTHS)[1].any()
    assert crf.decode(emissions, LENGTHS)[1] == []
    loss = crf.negative_log_likelihood(emissions, tags, LENGTHS, reduction="none")
    assert np.isinf(loss.value).tolist() == [False, True, False, False, False]
    loss.backward([1.0, 0.0, 1.0, 1.0, 1.0])
    for parameter in crf.parameters():
        assert np.isfinite(parameter.grad).all()


@pytest.mark.parametrize("scores", [likely_transitions, unlikely_transitions, an_unlikely_label])
def test_a_batch_equals_one_at_a_time(scores: Callable[[], tuple[Array, Array]]) -> None:
    crf, tags = a_crf(), some_tags() % 2
    crf.transitions.value[...], emissions = scores()
    losses, *gradients = losses_and_gradients(crf, emissions, tags, LENGTHS)
    totals = [np.zeros_like(g) for g in gradients]
    for b, n in enumerate(LENGTHS):
        alone = losses_and_gradients(crf, emissions[b, :n], tags[b, :n], None)
        assert alone[0] == pytest.approx(losses[b], rel=1e-14)
        weight = 1 + b / (B - 1)
        totals[0][b, :n] = weight * alone[1]
        for total, g in zip(totals[1:], alone[2:], strict=True):
            total += weight * g
        assert crf.decode(emissions[b, :n]) == [crf.decode(emissions, LENGTHS)[b]]
    for total, g in zip(totals, gradients, strict=True):
        np.testing.assert_allclose(g, total, atol=1e-14)


def test_padding_is_not_looked_at() -> None:
    crf, emissions, tags = a_crf(), a_batch(), some_tags()
    padding = np.arange(T) >= LENGTHS[:, None]
    spoiled, wrong = np.where(padding[..., None], np.nan, emissions), np.where(padding, -100, tags)
    for ours, theirs in zip(
        losses_and_gradients(crf, spoiled, wrong, LENGTHS),
        losses_and_gradients(crf, emissions, tags, LENGTHS),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert crf.decode(spoiled, LENGTHS) == crf.decode(emissions, LENGTHS)
    np.testing.assert_array_equal(crf.marginals(spoiled, LENGTHS), crf.marginals(emissions, LENGTHS))


def test_a_mask_says_what_lengths_say() -> None:
    crf, emissions, tags = a_crf(), a_batch(), some_tags()
    mask = np.arange(T) < LENGTHS[:, None]
    assert crf(emissions, tags, mask).item() == crf(emissions, tags, LENGTHS).item()


def test_a_list_of_nodes_is_a_sequence() -> None:
    crf, emissions, tags = a_crf(), a_batch(T, K), some_tags(T)
    steps = [ag.var(row, requires_grad=True) for row in emissions]
    loss = crf(steps, tags)
    loss.backward()
    assert loss.item() == crf(emissions, tags).item()
    assert all(step.grad is not None for step in steps)


def test_float32_is_exact_over_500_steps_of_50_tags_and_scores_of_ten_thousand() -> None:
    rng = np.random.default_rng(4)
    emissions = rng.normal(size=(2, 500, 50)).astype(np.float32)
    emissions[0] *= 1e4
    tags, exact, single = rng.integers(0, 50, (2, 500)), a_crf(50), nn.CRF(50)
    single.load_state_dict(exact.state_dict())
    exact.load_state_dict(single.state_dict())
    expected = losses_and_gradients(exact, emissions.astype(np.float64), tags, None)
    actual = losses_and_gradients(single, emissions, tags, None)
    assert all(np.isfinite(array).all() for array in expected)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-7, atol=1e-7)
        assert ours.dtype == np.float32
    np.testing.assert_allclose(single.marginals(emissions).sum(axis=-1), 1, rtol=1e-5)


def test_forbidden_transitions_have_no_probability() -> None:
    crf, emissions = a_crf(), a_batch()
    crf.transitions.value[0, 1] = crf.start_transitions.value[2] = -np.inf
    emissions[:, 1, 0] = -np.inf
    marginals = crf.marginals(emissions, LENGTHS)
    for b, n in enumerate(LENGTHS):
        paths, scores = all_paths(crf, emissions[b, :n])
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        expected = np.zeros((T, K))
        for path, probability in zip(paths, probabilities, strict=True):
            expected[range(n), path] += probability
        np.testing.assert_allclose(marginals[b], expected, atol=1e-13)
        assert len(crf.k_best(emissions[b, :n], 81)[0]) == np.isfinite(scores).sum()


def test_the_loss_can_be_had_without_gradients() -> None:
    crf, emissions, tags = a_crf(), ag.var(a_batch()), some_tags()
    crf.transitions.requires_grad = False
    loss = crf(emissions, tags)
    loss.backward()
    assert emissions.grad is None
    assert crf.transitions.grad is None
    assert crf.start_transitions.grad is not None
    with ag.no_grad():
        assert not crf(emissions, tags).requires_grad


@pytest.mark.parametrize(
    ("emissions", "tags", "lengths", "message"),
    [
        ((5, 4, 2), (5, 4), None, r"CRF: expected emissions of shape \(T, 3\) or \(B, T, 3\), .*got \(5, 4, 2\)"),
        ((3,), (1,), None, r"CRF: expected emissions of shape \(T, 3\) or \(B, T, 3\), .*got \(3,\)"),
        ((0, 3), (0,), None, r"CRF: expected at least one sequence and one step, got .*\(0, 3\)"),
        ((5, 4, 3), (5, 3), None, r"CRF: expected tags of shape \(5, 4\), .*got \(5, 3\)"),
        ((5, 4, 3), (5, 4), [1, 2], r"lengths: expected shape \(5,\), .*got \(2,\)"),
        ((5, 4, 3), (5, 4), [1, 2, 0, 4, 4], r"lengths: expected values from 1 to 4, got 0 to 4"),
        ((5, 4, 3), (5, 4), [1, 2, 3, 4, 5], r"lengths: expected values from 1 to 4, got 1 to 5"),
        ((4, 3), (4,), [4], r"CRF: expected a padded batch \(B, T, 3\) with lengths, got .*\(4, 3\)"),
        ((1, 2, 3), (1, 2), [[True]], r"lengths: expected a mask of shape \(B, 2\), got \(1, 1\)"),
        ((1, 2, 3), (1, 2), [[False, True]], r"lengths: expected a mask with all real steps before the padding"),
    ],
)
def test_what_does_not_fit_is_named(
    emissions: tuple[int, ...], tags: tuple[int, ...], lengths: Any, message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        nn.CRF(3)(np.zeros(emissions, np.float32), np.zeros(tags, int), lengths)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ShapeError, match="CRF: expected at least one sequence and one step"):
        nn.CRF(3).decode([])


@pytest.mark.parametrize("tag", [-1, 3])
def test_a_tag_out_of_range_is_found(tag: int) -> None:
    tags = np.zeros((2, 4), int)
    tags[1, 2] = tag
    with pytest.raises(ValueError, match=f"CRF: expected tags from 0 to 2, got {tag} at step 2 of sequence 1"):
        nn.CRF(3)(a_batch(2, 4, 3), tags)


def test_tags_must_be_integers() -> None:
    with pytest.raises(TypeError, match="CRF: expected tags that are integers, got float64"):
        nn.CRF(3)(a_batch(2, 4, 3), np.zeros((2, 4)))


def test_other_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match='CRF: expected reduction="mean", "sum" or "none", got \'max\''):
        nn.CRF(3)(a_batch(2, 4, 3), np.zeros((2, 4), int), reduction="max")
    with pytest.raises(ValueError, match="CRF: expected k of at least 1, got 0"):
        nn.CRF(3).k_best(a_batch(2, 4, 3), 0)
    with pytest.raises(ShapeError, match="CRF: expected at least 1 tag, got 0"):
        nn.CRF(0)
