"""Softmax, log-softmax, log-sum-exp and sparsemax."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kernel_table import mp
from spago import mat

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_projection = pytest.mark.parametrize("projection", [mat.softmax, mat.sparsemax])

scores = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=6),
    elements=st.floats(-1e4, 1e4, width=32),
)


def exact_logsumexp(row: mat.Array) -> Any:
    return mp.log(mp.fsum(mp.exp(mp.mpf(float(v))) for v in row))


@every_dtype
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
def test_errors_are_within_their_bounds(dtype: Any, scale: float) -> None:
    x = (np.random.default_rng(5).normal(size=(20, 40)) * scale).astype(dtype)
    total = [exact_logsumexp(row) for row in x]
    exact_logs = np.array([[mp.mpf(float(v)) - t for v in row] for row, t in zip(x, total, strict=True)])
    eps = float(np.finfo(dtype).eps)
    base = 4 + np.log2(x.shape[1])

    softmax = np.array([[mp.exp(v) for v in row] for row in exact_logs]).astype(float)
    below = x.max(axis=1, keepdims=True) - x
    normal = softmax > np.finfo(dtype).tiny
    assert np.all((np.abs(mat.softmax(x) - softmax) <= (base + below) * eps * softmax)[normal])
    logs = exact_logs.astype(float)
    assert np.all(np.abs(exact_logs - mat.log_softmax(x)).astype(float) <= (base + np.abs(logs)) * eps)
    sums = np.array(total)
    assert np.all(np.abs(sums - mat.logsumexp(x)).astype(float) <= (base + np.abs(sums.astype(float))) * eps)


@every_projection
@given(x=scores, data=st.data())
def test_rows_are_distributions_whatever_the_axis(projection: Any, x: mat.Array, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))

    y = projection(x, axis)

    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert np.all(y >= 0)
    np.testing.assert_allclose(y.sum(axis=axis), 1, rtol=1e-5 if x.dtype == np.float32 else 1e-12)
    np.testing.assert_array_equal(y, np.moveaxis(projection(np.moveaxis(x, axis, -1).copy()), -1, axis))


@every_projection
@given(x=hnp.arrays(np.float64, (3, 5), elements=st.integers(-1000, 1000)), shift=st.integers(-(2**40), 2**40))
def test_a_shift_is_ignored(projection: Any, x: mat.Array, shift: int) -> None:
    np.testing.assert_array_equal(projection(x + shift), projection(x))


@given(x=scores)
def test_log_softmax_is_x_minus_logsumexp(x: mat.Array) -> None:
    np.testing.assert_allclose(
        mat.log_softmax(x), x - mat.logsumexp(x, keepdims=True), rtol=1e-5, atol=1e-2 if x.dtype == np.float32 else 1e-9
    )


@given(x=scores)
def test_sparsemax_is_optimal(x: mat.Array) -> None:
    # The projection p of x fulfils (x - p)·(q - p) ≤ 0 for every corner q of the simplex, and so for all of it.
    x = x.astype(np.float64)
    p = mat.sparsemax(x)

    gap = (x - p).max(axis=-1) - np.sum((x - p) * p, axis=-1)

    assert np.all(gap <= 1e-8)


def test_sparsemax_is_right_where_the_largest_score_is_not_positive() -> None:
    np.testing.assert_allclose(mat.sparsemax(np.array([0.1, 0.0])), [0.55, 0.45], rtol=1e-15)
    np.testing.assert_array_equal(mat.sparsemax(np.array([-1.0, -3.0, -1.0])), [0.5, 0, 0.5])


@every_dtype
def test_rows_without_a_score_are_empty_distributions(dtype: Any) -> None:
    x = np.array(
        [[-np.inf, -np.inf], [0, -np.inf], [np.inf, 0], [np.inf, np.inf], [np.nan, 0], [np.nan, np.inf]], dtype
    )

    with np.errstate(all="raise"):
        results = mat.softmax(x), mat.sparsemax(x), mat.log_softmax(x), mat.logsumexp(x)

    distributions = np.array([[0, 0], [1, 0], [1, 0], [0.5, 0.5], [np.nan] * 2, [np.nan] * 2], dtype)
    np.testing.assert_array_equal(results[0], distributions, strict=True)
    np.testing.assert_array_equal(results[1], distributions, strict=True)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(results[2], np.log(distributions), strict=True)
    np.testing.assert_array_equal(
        results[3], np.array([-np.inf, 0, np.inf, np.inf, np.nan, np.nan], dtype), strict=True
    )


@every_dtype
def test_large_scores_neither_overflow_nor_warn(dtype: Any) -> None:
    big = np.finfo(dtype).max
    with np.errstate(all="raise"):
        for x in (np.array([1e4, -1e4, 1e4], dtype), np.array([big, -big, big], dtype)):
            np.testing.assert_array_equal(mat.softmax(x), [0.5, 0, 0.5])
            np.testing.assert_array_equal(mat.sparsemax(x), [0.5, 0, 0.5])
            assert np.isfinite(mat.logsumexp(x))
            assert not np.isnan(mat.log_softmax(x)).any()


def test_empty_arrays_stay_empty() -> None:
    for shape in ((0,), (0, 3), (3, 0)):
        x = np.empty(shape)
        for function in (mat.softmax, mat.sparsemax, mat.log_softmax):
            assert function(x).shape == shape
    np.testing.assert_array_equal(mat.logsumexp(np.empty((2, 0))), [-np.inf, -np.inf])


def test_logsumexp_reduces_the_axes_it_is_given() -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 4))
    naive = np.exp(x)

    for axis in (0, 1, -1, (0, 2), None):
        np.testing.assert_allclose(mat.logsumexp(x, axis), np.log(naive.sum(axis=axis)), rtol=1e-14)
        np.testing.assert_allclose(
            mat.logsumexp(x, axis, keepdims=True), np.log(naive.sum(axis=axis, keepdims=True)), rtol=1e-14
        )


def test_every_layout_gives_the_same() -> None:
    x = np.random.default_rng(2).normal(size=(4, 6)) * 10
    layouts = [np.asfortranarray(x), x[::-1, ::-1].copy()[::-1, ::-1], np.repeat(x, 2, axis=1)[:, ::2]]

    for arranged in layouts:
        arranged.flags.writeable = False
        for function in (mat.softmax, mat.sparsemax, mat.log_softmax, mat.logsumexp):
            np.testing.assert_allclose(function(arranged), function(x), rtol=1e-14, atol=1e-300)
    np.testing.assert_array_equal(
        mat.softmax(np.broadcast_to(np.float32(3), (2, 4))), np.full((2, 4), 0.25, np.float32)
    )
