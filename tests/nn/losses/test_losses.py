"""Losses: values, gradients, reductions, targets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spago import ag, losses
from spago.mat import Array, ShapeError

RNG = np.random.default_rng(5)
VECTORS = RNG.normal(size=(2, 3, 4))
OTHERS = RNG.normal(size=(2, 3, 4))
CLASSES = np.array([[0, 3, 1], [2, 2, 0]])
PADDED = np.array([[0, 3, -100], [2, -100, -100]])
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25])

Loss = Callable[..., ag.Node]


def log_softmax(x: Array) -> Array:
    y: Array = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return y


def picked(x: Array, targets: Any) -> Array:
    return np.take_along_axis(x, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]


# Each loss with its own formula, item by item.

ROWS: list[tuple[str, Loss, Callable[[Array], Array]]] = [
    ("mse", lambda x, **kw: losses.mse(x, OTHERS, **kw), lambda x: (x - OTHERS) ** 2),
    ("mse scaled", lambda x, **kw: losses.mse(x, OTHERS, scale=0.5, **kw), lambda x: (x - OTHERS) ** 2 / 2),
    ("mae", lambda x, **kw: losses.mae(x, OTHERS, **kw), lambda x: np.abs(x - OTHERS)),
    ("distance", lambda x, **kw: losses.distance(x, 0.5, **kw), lambda x: np.abs(x - 0.5)),
    (
        "cross_entropy",
        lambda x, **kw: losses.cross_entropy(x, CLASSES, **kw),
        lambda x: -picked(log_softmax(x), CLASSES),
    ),
    (
        "cross_entropy smoothed",
        lambda x, **kw: losses.cross_entropy(x, CLASSES, label_smoothing=0.2, **kw),
        lambda x: -0.8 * picked(log_softmax(x), CLASSES) - 0.2 * log_softmax(x).mean(axis=-1),
    ),
    (
        "focal",
        lambda x, **kw: losses.focal(x, CLASSES, 1.5, **kw),
        lambda x: -((1 - np.exp(picked(log_softmax(x), CLASSES))) ** 1.5) * picked(log_softmax(x), CLASSES),
    ),
    ("nll", lambda x, **kw: losses.nll(x, CLASSES, **kw), lambda x: -picked(x, CLASSES)),
    ("nll of distributions", lambda x, **kw: losses.nll(x, OTHERS, **kw), lambda x: -(x * OTHERS).sum(axis=-1)),
    (
        "zero_one_quantization",
        losses.zero_one_quantization,
        lambda x: (x**2 * (1 - x) ** 2).sum(axis=-1),
    ),
    ("norm2_quantization", losses.norm2_quantization, lambda x: ((x**2).sum(axis=-1) - 1) ** 2),
    (
        "one_hot_quantization",
        lambda x, **kw: losses.one_hot_quantization(x, 0.1, **kw),
        lambda x: 0.1 * ((x**2 * (1 - x) ** 2).sum(axis=-1) + ((x**2).sum(axis=-1) - 1) ** 2),
    ),
]
every_loss = pytest.mark.parametrize(("loss", "formula"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])


@every_loss
def test_a_loss_is_its_formula_under_each_reduction(loss: Loss, formula: Callable[[Array], Array]) -> None:
    expected = formula(VECTORS)
    np.testing.assert_allclose(loss(ag.var(VECTORS), reduction="none").value, expected, rtol=1e-12)
    np.testing.assert_allclose(loss(ag.var(VECTORS), reduction="sum").value, expected.sum(), rtol=1e-12)
    np.testing.assert_allclose(loss(ag.var(VECTORS)).value, expected.mean(), rtol=1e-12)


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradients_are_central_differences(loss: Loss, formula: Callable[[Array], Array], reduction: str) -> None:
    ag.gradcheck(lambda x: loss(x, reduction=reduction), [VECTORS])


@every_loss
def test_float32_stays_float32(loss: Loss, formula: Callable[[Array], Array]) -> None:
    x = ag.var(VECTORS.astype(np.float32), requires_grad=True)
    y = loss(x)
    if y.dtype == np.float32:  # targets of float64 promote, as everywhere
        np.testing.assert_allclose(y.value, formula(VECTORS).mean(), rtol=1e-5)
    y.backward()
    assert x.grad.dtype == np.float32


@every_loss
def test_a_wrong_reduction_is_refused(loss: Loss, formula: Callable[[Array], Array]) -> None:
    with pytest.raises(ValueError, match=r'expected reduction="mean", "sum" or "none", got \'average\''):
        loss(ag.var(VECTORS), reduction="average")


@pytest.mark.parametrize("loss", [losses.mse, losses.mae])
def test_targets_receive_gradients_too(loss: Loss) -> None:
    ag.gradcheck(loss, [VECTORS, OTHERS])


def test_distributions_receive_gradients_too() -> None:
    ag.gradcheck(losses.nll, [VECTORS, OTHERS])
    ag.gradcheck(lambda x, y: losses.nll(x, y, reduction="none"), [VECTORS, OTHERS])


def test_the_derivative_of_mae_is_0_where_both_are_equal() -> None:
    x = ag.var([1.0, 2.0], requires_grad=True)
    losses.mae(x, np.array([1.0, 3.0], np.float32), "sum").backward()
    assert x.grad.tolist() == [0.0, -1.0]


@pytest.mark.parametrize("loss", [losses.mse, losses.mae])
def test_a_target_is_not_broadcast(loss: Loss) -> None:
    with pytest.raises(ShapeError, match=r"of one shape, got \(3,\) and \(3, 1\); reshape one"):
        loss(ag.var(np.zeros(3)), np.zeros((3, 1)))


def test_a_scalar_loss_of_python_numbers() -> None:
    assert losses.mse(ag.var(3.0), 1.0, scale=0.5).item() == 2.0
    with pytest.raises(ShapeError, match=r"distance: expected a target that broadcasts to the shape \(2,\)"):
        losses.distance(ag.var([1.0, 2.0]), [1.0, 2.0, 3.0])


def test_a_mean_over_nothing_is_0() -> None:
    x = ag.var(np.zeros((0, 4)), requires_grad=True)
    for loss in (losses.mse(x, np.zeros((0, 4))), losses.cross_entropy(x, np.zeros(0, int))):
        loss.backward()
        assert loss.item() == 0
    assert x.grad.shape == (0, 4)


# Classes


CLASS_LOSSES: list[Loss] = [losses.cross_entropy, losses.focal, losses.nll, losses.perplexity]
every_class_loss = pytest.mark.parametrize("loss", CLASS_LOSSES, ids=lambda loss: loss.__name__)


@every_class_loss
def test_the_mean_over_weighted_classes_divides_by_the_weights(loss: Loss) -> None:
    ag.gradcheck(lambda x: loss(x, CLASSES, weight=WEIGHT), [VECTORS])
    one_by_one = [loss(ag.var(x), c).item() for x, c in zip(VECTORS.reshape(-1, 4), CLASSES.ravel(), strict=True)]
    if loss is losses.perplexity:
        expected = math.exp(np.average(np.log(one_by_one), weights=WEIGHT[CLASSES.ravel()]))
    else:
        expected = np.average(one_by_one, weights=WEIGHT[CLASSES.ravel()])
    assert loss(ag.var(VECTORS), CLASSES, weight=WEIGHT).item() == pytest.approx(expected, rel=1e-12)


@every_class_loss
def test_ignored_items_do_not_count(loss: Loss) -> None:
    kept = PADDED >= 0
    x = ag.var(VECTORS, requires_grad=True)
    y = loss(x, PADDED)
    y.backward()
    assert y.item() == pytest.approx(loss(ag.var(VECTORS[kept]), PADDED[kept]).item(), rel=1e-12)
    assert (x.grad[~kept] == 0).all()
    assert (x.grad[kept] != 0).any(axis=-1).all()


@every_class_loss
def test_what_is_ignored_may_be_nan(loss: Loss) -> None:
    values = VECTORS.copy()
    values[PADDED < 0] = np.nan
    x = ag.var(values, requires_grad=True)
    y = loss(x, PADDED)
    y.backward()
    assert np.isfinite(y.item())
    assert np.isfinite(x.grad).all()


@every_class_loss
def test_a_batch_without_targets_gives_no_gradient(loss: Loss) -> None:
    x = ag.var(VECTORS, requires_grad=True)
    y = loss(x, np.full((2, 3), -100))
    y.backward()
    assert y.item() == (1.0 if loss is losses.perplexity else 0.0)
    assert (x.grad == 0).all()


@every_class_loss
def test_a_class_may_be_the_one_to_ignore(loss: Loss) -> None:
    x = ag.var(VECTORS)
    expected = loss(x, np.where(CLASSES == 0, -100, CLASSES)).item()
    assert loss(x, CLASSES, ignore_index=0).item() == pytest.approx(expected, rel=1e-14)


@every_class_loss
def test_targets_out_of_range_are_named(loss: Loss) -> None:
    with pytest.raises(
        ValueError,
        match=r"expected targets from 0 to 3, or -100 to ignore an item, got 4 at \(1, 0\); is the number of classes r",
    ):
        loss(ag.var(VECTORS), [[0, 1, 2], [4, 0, 0]])
    with pytest.raises(ValueError, match=r"expected targets from 0 to 3, got -1 at \(0, 2\)"):
        loss(ag.var(VECTORS), [[0, 1, -1], [3, 0, 0]], ignore_index=None)
    with pytest.raises(ValueError, match=r"got 7; is the number"):
        loss(ag.var(VECTORS[0, 0]), 7)


@every_class_loss
def test_targets_that_do_not_fit_are_refused(loss: Loss) -> None:
    with pytest.raises(
        ShapeError, match=r"of shape \(\.\.\., K\) and targets of shape \(\.\.\.\), got \(2, 3, 4\) and \(3,\)"
    ):
        loss(ag.var(VECTORS), [0, 1, 2])
    with pytest.raises(TypeError, match="expected integer classes as targets, got bool"):
        loss(ag.var(VECTORS), CLASSES > 0)
    with pytest.raises(ValueError, match=r"expected a weight ≥ 0 for each of 4 classes, got shape \(3,\)"):
        loss(ag.var(VECTORS), CLASSES, weight=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"weight ≥ 0 for each of 4 classes, got shape \(4,\) with minimum -1.0"):
        loss(ag.var(VECTORS), CLASSES, weight=[1.0, 2.0, 3.0, -1.0])


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cross_entropy: expected label_smoothing from 0 to 1, got 1\.5"):
        losses.cross_entropy(ag.var(VECTORS), CLASSES, label_smoothing=1.5)
    with pytest.raises(ValueError, match=r"focal: expected gamma ≥ 0, got -1"):
        losses.focal(ag.var(VECTORS), CLASSES, -1)


def test_smoothing_counts_weights_and_ignored_items() -> None:
    def loss(x: ag.Node) -> ag.Node:
        return losses.cross_entropy(x, PADDED, weight=WEIGHT, label_smoothing=0.3)

    ag.gradcheck(loss, [VECTORS])
    kept = PADDED >= 0
    logs, targets = log_softmax(VECTORS[kept]), PADDED[kept]
    items = -0.7 * WEIGHT[targets] * picked(logs, targets) - 0.3 / 4 * (WEIGHT * logs).sum(axis=-1)
    assert loss(ag.var(VECTORS)).item() == pytest.approx(items.sum() / WEIGHT[targets].sum(), rel=1e-12)


def test_focal_without_gamma_is_cross_entropy() -> None:
    for settings in ({}, {"weight": WEIGHT}, {"reduction": "none"}):
        x, y = ag.var(VECTORS, requires_grad=True), ag.var(VECTORS, requires_grad=True)
        focal, entropy = losses.focal(x, CLASSES, 0, **settings), losses.cross_entropy(y, CLASSES, **settings)
        focal.backward()
        entropy.backward()
        np.testing.assert_allclose(focal.value, entropy.value, rtol=1e-13)
        np.testing.assert_allclose(x.grad, y.grad, rtol=1e-12, atol=1e-17)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_is_finite_where_an_item_is_certain(gamma: float) -> None:
    x = ag.var(np.array([1000.0, 0.0, -1000.0]), requires_grad=True)
    loss = losses.focal(x, 0, gamma)
    loss.backward()
    assert loss.item() == 0
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_cross_entropy_of_huge_scores(dtype: type, size: float) -> None:
    x = ag.var(np.array([[size, 0.0], [0.0, size]], dtype), requires_grad=True)
    loss = losses.cross_entropy(x, [0, 0], reduction="none")
    loss.backward()
    assert loss.value.tolist() == ([0.0, 1e4] if size > 0 else [1e4, 0.0])
    assert np.isfinite(x.grad).all()


def test_a_class_of_score_minus_infinity_is_impossible() -> None:
    x = ag.var(np.array([0.0, -np.inf, 0.0]), requires_grad=True)
    loss = losses.cross_entropy(x, 0)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    np.testing.assert_allclose(x.grad, [-0.5, 0.0, 0.5])


@given(st.integers(1, 5), st.integers(1, 400), st.floats(-50, 50), st.integers(0, 2**32 - 1))
def test_cross_entropy_ignores_a_shift_and_its_gradients_sum_to_0(N: int, K: int, shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, targets = rng.normal(size=(N, K)), rng.integers(0, K, N)
    x = ag.var(scores, requires_grad=True)
    loss = losses.cross_entropy(x, targets)
    loss.backward()
    assert losses.cross_entropy(ag.var(scores + shift), targets).item() == pytest.approx(loss.item(), abs=1e-11)
    np.testing.assert_allclose(x.grad.sum(axis=-1), 0, atol=1e-14)


def test_cross_entropy_of_many_blocks_is_that_of_each_row() -> None:
    scores, targets = RNG.normal(size=(5, 40_000)), RNG.integers(0, 40_000, 5)
    together, alone = ag.var(scores, requires_grad=True), [ag.var(row, requires_grad=True) for row in scores]
    losses.cross_entropy(together, targets, label_smoothing=0.1, reduction="sum").backward()
    for x, target in zip(alone, targets, strict=True):
        losses.cross_entropy(x, target, label_smoothing=0.1).backward()
    np.testing.assert_allclose(together.grad, [x.grad for x in alone], rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_does_not_depend_on_the_number_of_threads(smoothing: float) -> None:
    scores, targets = RNG.normal(size=(30, 20_000)).astype(np.float32), RNG.integers(0, 20_000, 30)
    scores[3, 5] = np.inf  # warnings are held back in the other threads too
    before = ag.get_num_threads()
    results: list[tuple[bytes, bytes]] = []
    try:
        for threads in (1, 3):
            ag.set_num_threads(threads)
            x = ag.var(scores, requires_grad=True)
            loss = losses.cross_entropy(x, targets, label_smoothing=smoothing, reduction="none")
            with np.errstate(invalid="ignore"):
                loss.backward()
            results.append((loss.value.tobytes(), x.grad.tobytes()))
    finally:
        ag.set_num_threads(before)
    assert results[0] == results[1]


def test_the_gradient_is_the_same_when_backward_runs_twice() -> None:
    x = ag.var(VECTORS, requires_grad=True)
    loss = losses.cross_entropy(x, CLASSES)
    loss.backward()
    once = x.grad.copy()
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2 * once)


# Policies


def test_spg_is_the_sum_over_steps_of_arrays_and_of_sequences() -> None:
    ag.gradcheck(losses.spg, [VECTORS, OTHERS])
    stacked = losses.spg(ag.var(VECTORS), OTHERS)
    listed = losses.spg([ag.var(x) for x in VECTORS], list(OTHERS))
    np.testing.assert_allclose(stacked.value, -(VECTORS * OTHERS).sum(axis=0), rtol=1e-14)
    np.testing.assert_allclose(listed.value, stacked.value, rtol=1e-14)


def test_spg_refuses_what_does_not_fit() -> None:
    a = [ag.var(1.0), ag.var(2.0)]
    for log_probs, rewards in ((a, a[:1]), ([], []), (ag.var([1.0]), np.ones(2)), (ag.var(1.0), 2.0)):
        with pytest.raises(ShapeError, match="spg: expected a reward for each log-probability, over at least one step"):
            losses.spg(log_probs, rewards)
    with pytest.raises(TypeError, match="spg: expected two sequences or two arrays, got one of each"):
        losses.spg(a, np.ones(2))
