"""Clipping, for all parameters jointly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spago import nn, optim
from spago.mat import Array


def with_gradients(*gradients: Array) -> list[nn.Param]:
    params = [nn.Param(np.zeros(g.shape, g.dtype)) for g in gradients]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g.copy()
    return params


RNG = np.random.default_rng(3)
GRADIENTS = [RNG.normal(size=shape) for shape in ((3,), (70, 900), (), (2, 2), (0, 5))]
FLAT = np.concatenate(GRADIENTS, axis=None)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, math.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_norm_is_joint_and_becomes_the_bound(p: float, dtype: type) -> None:
    params = with_gradients(*(g.astype(dtype) for g in GRADIENTS))
    expected = np.linalg.norm(FLAT, p)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert optim.clip_by_norm(params, 0.5, p, eps=0) == pytest.approx(expected, rel=tolerance)
    assert np.linalg.norm(np.concatenate([q.grad for q in params], axis=None), p) == pytest.approx(0.5, rel=tolerance)
    for q, g in zip(params, GRADIENTS, strict=True):
        np.testing.assert_allclose(q.grad, g * 0.5 / expected, rtol=tolerance)
        assert q.grad.dtype == dtype


def test_a_norm_within_the_bound_changes_nothing() -> None:
    params = with_gradients(*GRADIENTS)
    assert optim.clip_by_norm(params, 1e6) == pytest.approx(np.linalg.norm(FLAT))
    for q, g in zip(params, GRADIENTS, strict=True):
        np.testing.assert_array_equal(q.grad, g)


@given(arrays.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e3, 1e3)), st.floats(0, 10), st.floats(1, 9))
def test_the_norm_after_is_never_above_the_bound(gradient: Array, bound: float, p: float) -> None:
    (param,) = with_gradients(gradient)
    optim.clip_by_norm(param, bound, p)
    assert np.linalg.norm(param.grad, p) <= bound * (1 + 1e-9)


@pytest.mark.parametrize("size", [1e30, 1e-30])
@pytest.mark.parametrize("p", [1, 2, 7])
def test_the_norm_of_huge_and_tiny_float32_is_right(size: float, p: float) -> None:
    params = with_gradients(np.full(100, size, np.float32))
    assert optim.clip_by_norm(params, math.inf, p) == pytest.approx(size * 100 ** (1 / p), rel=1e-5)


def test_a_sum_of_many_float32_keeps_its_digits() -> None:
    params = with_gradients(np.full(3_000_000, 0.1, np.float32))
    assert optim.clip_by_norm(params, math.inf) == pytest.approx(0.1 * math.sqrt(3_000_000), rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_without_a_finite_norm_are_left_alone(bad: float) -> None:
    a, b = with_gradients(np.array([1.0, bad]), np.array([2.0]))
    norm = optim.clip_by_norm([a, b], 0.1)
    assert math.isnan(norm) if math.isnan(bad) else norm == math.inf
    np.testing.assert_array_equal(a.grad, [1.0, bad])
    assert b.grad.tolist() == [2.0]


def test_values_are_brought_into_the_interval_and_nan_stays() -> None:
    a, b = with_gradients(np.array([1.0, -3.0, 0.5, np.nan]), np.array(-9.0))
    optim.clip_by_value([a, b], 1)
    np.testing.assert_array_equal(a.grad, [1.0, -1.0, 0.5, np.nan])
    assert b.grad == -1


def test_a_model_is_taken_with_its_parameters_that_have_a_gradient() -> None:
    model = nn.Linear(2, 2, dtype=np.float64)
    model.weight.grad = np.full((2, 2), 2.0)
    assert optim.clip_by_norm(model, 1.0, eps=0) == 4.0
    np.testing.assert_array_equal(model.weight.grad, np.full((2, 2), 0.5))
    assert optim.clip_by_norm(nn.Linear(2, 2), 1.0) == 0.0


def test_one_array_as_the_gradient_of_two_parameters_is_scaled_once() -> None:
    a, b = nn.Param(np.zeros(1)), nn.Param(np.zeros(1))
    a.grad = b.grad = np.ones(1)
    optim.clip_by_norm([a, b, a], math.sqrt(2) / 2, eps=0)
    np.testing.assert_allclose([a.grad, b.grad], [[0.5], [0.5]])


def test_a_read_only_gradient_is_replaced() -> None:
    zeros = np.broadcast_to(np.float64(4.0), (3,))
    a, b = nn.Param(np.zeros(3)), nn.Param(np.zeros(3))
    a.grad = b.grad = zeros
    optim.clip_by_value([a, b], 1.0)
    assert a.grad.tolist() == b.grad.tolist() == [1.0, 1.0, 1.0]
    assert zeros.tolist() == [4.0, 4.0, 4.0]
    a.grad = zeros
    optimizer = optim.SGD(a, 1.0, clip_value=0.5)
    optimizer.step()
    assert a.value.tolist() == [-0.5, -0.5, -0.5]


def test_an_optimizer_clips_all_its_groups_together() -> None:
    a, b = with_gradients(np.array([3.0]), np.array([4.0]))
    optimizer = optim.SGD([{"params": a}, {"params": b}], 1.0, clip_norm=1.0)
    optimizer.step()
    assert optimizer.norm == 5.0
    np.testing.assert_allclose([a.value, b.value], [[-0.6], [-0.8]], rtol=1e-6)


def test_bounds_out_of_range_are_refused_before_anything_changes() -> None:
    (param,) = with_gradients(np.array([3.0]))
    with pytest.raises(ValueError, match=r"clip_by_norm: expected max_norm ≥ 0, got -1"):
        optim.clip_by_norm(param, -1)
    with pytest.raises(ValueError, match=r"clip_by_norm: expected p from 1 to ∞, got 0\.5"):
        optim.clip_by_norm(param, 1, 0.5)
    with pytest.raises(ValueError, match=r"clip_by_value: expected limit ≥ 0, got nan"):
        optim.clip_by_value(param, math.nan)
    assert param.grad.tolist() == [3.0]
