"""Mean and spread along an axis."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spago import mat

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1), elements=st.floats(-1e4, 1e4)),
    axis=st.sampled_from([-1, 0, (0, 1), (-1,)]),
)
def test_statistics_are_those_of_numpy(x: mat.Array, axis: Any) -> None:
    mean, rstd = mat.layer_statistics(x, axis)

    np.testing.assert_allclose(mean, x.mean(axis=axis, keepdims=True), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(x.var(axis=axis, keepdims=True) + 1e-5), rtol=1e-6)


@every_dtype
def test_a_mean_that_is_large_beside_the_spread_cancels_nothing(dtype: Any) -> None:
    x = (1e4 + np.tile([-1.0, 1.0], 500)).astype(dtype)
    large = np.tile(np.array([99_999_999.0, 100_000_001.0]), 500)

    assert mat.layer_statistics(x, eps=0.0)[1][0] == 1
    assert mat.layer_statistics(large, eps=0.0)[1][0] == 1


def test_a_million_numbers_lose_little() -> None:
    ones = np.ones(1_000_000, np.float32)
    noise = np.random.default_rng(0).normal(size=1_000_000) + 100

    assert mat.layer_statistics(ones)[0][0] == 1
    mean, rstd = mat.layer_statistics(noise.astype(np.float32), eps=0.0)
    np.testing.assert_allclose(mean, noise.mean(), rtol=20 * 2.0**-23)
    np.testing.assert_allclose(rstd, 1 / noise.std(), rtol=20 * 2.0**-23)


@every_dtype
def test_standardized_rows_have_mean_0_and_variance_1(dtype: Any) -> None:
    x = (np.random.default_rng(4).normal(size=(5, 64)) * 7 + 3).astype(dtype)

    y, rstd = mat.standardize(x, eps=0.0)

    assert y.dtype == rstd.dtype == dtype
    assert rstd.shape == (5, 1)
    tolerance = 10 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=tolerance)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=tolerance)


@every_dtype
def test_what_is_given_is_not_written_and_nothing_warns(dtype: Any) -> None:
    x = np.array([[1e4, -1e4, 0.0], [5.0, 5.0, 5.0]], dtype)
    x.flags.writeable = False

    with np.errstate(all="raise"):
        mean, rstd = mat.layer_statistics(x, eps=0.0)

    np.testing.assert_array_equal(mean, [[0], [5]])
    assert rstd[1, 0] == np.inf


def test_nothing_has_no_mean() -> None:
    with pytest.raises(mat.ShapeError, match=r"expected at least one element along axis -1, got shape \(2, 0\)"):
        mat.layer_statistics(np.empty((2, 0)))
