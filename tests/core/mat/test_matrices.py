"""Constructors, and functions of linear algebra."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spago import mat

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

CONSTRUCTORS: list[Callable[..., mat.Array]] = [
    lambda **dtype: mat.zeros((2, 3), **dtype),
    lambda **dtype: mat.ones((2, 3), **dtype),
    lambda **dtype: mat.full((2, 3), 0.5, **dtype),
    lambda **dtype: mat.eye(3, **dtype),
    lambda **dtype: mat.one_hot([1, 0], 2, **dtype),
]
VALUES: list[Any] = [np.zeros((2, 3)), np.ones((2, 3)), np.full((2, 3), 0.5), np.eye(3), [[0, 1], [1, 0]]]


@pytest.mark.parametrize(("constructor", "value"), list(zip(CONSTRUCTORS, VALUES, strict=True)))
def test_constructors_give_float32_unless_told_otherwise(constructor: Callable[..., mat.Array], value: Any) -> None:
    np.testing.assert_array_equal(constructor(), np.asarray(value, np.float32), strict=True)
    np.testing.assert_array_equal(constructor(dtype=np.float64), np.asarray(value, np.float64), strict=True)


@given(indices=hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0), elements=st.integers(0, 4)))
def test_one_hot_vectors_are_1_at_their_indices(indices: Any) -> None:
    y = mat.one_hot(indices, 5)

    assert y.shape == (*indices.shape, 5)
    np.testing.assert_array_equal(y.sum(axis=-1), 1)
    np.testing.assert_array_equal(y.argmax(axis=-1), indices)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        (-1, IndexError, "expected indices from 0 to 2, got -1 to -1"),
        ([0, 3], IndexError, "expected indices from 0 to 2, got 0 to 3"),
        ([0.0], TypeError, "expected integers, got float64"),
    ],
)
def test_a_one_that_has_no_place_is_refused(indices: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"one_hot: {message}"):
        mat.one_hot(indices, 3)


def test_no_index_gives_no_vector() -> None:
    assert mat.one_hot([], 3).shape == (0, 3)


@given(
    x=hnp.arrays(np.float32, hnp.array_shapes(max_dims=3), elements=st.floats(-5, 5, width=32)),
    size=st.integers(0, 9),
    data=st.data(),
)
def test_resize_cuts_or_continues_with_zeros(x: mat.Array, size: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))

    y = np.moveaxis(mat.resize(x, size, axis), axis, -1)

    whole = np.moveaxis(x, axis, -1)
    kept = min(size, whole.shape[-1])
    assert y.shape == (*whole.shape[:-1], size)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y[..., :kept], whole[..., :kept])
    assert not y[..., kept:].any()
    assert not np.shares_memory(x, y)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(mat.ShapeError, match="resize: expected a size of at least 0, got -1"):
        mat.resize(np.ones(2), -1)


@every_dtype
@pytest.mark.parametrize("n", [0, 1, 2, 5, 40])
def test_factors_multiply_to_the_permuted_matrix(dtype: Any, n: int) -> None:
    a = np.random.default_rng(n).normal(size=(n, n)).astype(dtype)

    lower, upper, permutation = mat.lu(a)

    assert {lower.dtype, upper.dtype, permutation.dtype} == {np.dtype(dtype)}
    np.testing.assert_array_equal(lower, np.tril(lower))
    np.testing.assert_array_equal(upper, np.triu(upper))
    np.testing.assert_array_equal(np.diag(lower), 1)
    assert np.all(np.abs(lower) <= 1)
    np.testing.assert_array_equal(permutation @ permutation.T, np.eye(n))
    bound = max(n, 1) * float(np.finfo(dtype).eps) * np.abs(upper).max(initial=1)
    np.testing.assert_allclose(permutation @ a, lower @ upper, rtol=0, atol=bound)


def test_a_large_negative_pivot_is_taken() -> None:
    lower, upper, permutation = mat.lu(np.array([[0.0, 2.0], [-1.0, 3.0]]))

    np.testing.assert_array_equal(permutation, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(lower, np.eye(2))
    np.testing.assert_array_equal(upper, [[-1, 3], [0, 2]])


def test_a_singular_matrix_has_factors_with_a_zero_on_the_diagonal() -> None:
    for a in (np.zeros((3, 3)), np.ones((3, 3)), np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 1]])):
        lower, upper, permutation = mat.lu(a)

        np.testing.assert_array_equal(permutation @ a, lower @ upper)
        assert not np.diag(upper).all()


def test_the_pivot_is_the_largest_magnitude_from_the_diagonal_down() -> None:
    a = np.array([[9.0, 9, 9], [1, -2, 0], [-3, 2, 0]])

    assert [mat.pivot_row(a, column) for column in range(3)] == [0, 1, 2]
    assert mat.pivot_row(a[[1, 2, 0]], 0) == 2
    assert mat.pivot_row(np.array([[1.0, 0], [-2, 0]]), 0) == 1


@pytest.mark.parametrize("shape", [(2, 3), (4,), (), (1, 2, 2)])
def test_only_square_matrices_have_factors(shape: tuple[int, ...]) -> None:
    a = np.ones(shape)

    with pytest.raises(mat.ShapeError, match=r"lu: expected a square matrix, shape \(n, n\), got \("):
        mat.lu(a)
    with pytest.raises(mat.ShapeError, match="pivot_row: expected a square matrix"):
        mat.pivot_row(a, 0)


@pytest.mark.parametrize("column", [-1, 2])
def test_a_column_that_is_not_there_is_refused(column: int) -> None:
    with pytest.raises(IndexError, match=f"pivot_row: expected a column from 0 to 1, got {column}"):
        mat.pivot_row(np.eye(2), column)


@every_dtype
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_normalized_vectors_have_length_1(dtype: Any, scale: float) -> None:
    x = (np.random.default_rng(3).normal(size=(4, 50)) * scale).astype(dtype)
    exact = x.astype(np.longdouble)
    exact /= np.sqrt(np.sum(exact * exact, axis=-1, keepdims=True))

    y = mat.normalize(x)

    assert y.dtype == dtype
    np.testing.assert_allclose(y, exact.astype(np.float64), rtol=9 * float(np.finfo(dtype).eps))


@every_dtype
def test_vectors_without_a_direction_stay(dtype: Any) -> None:
    x = np.array([[0, 0], [0, 5], [np.nan, 1]], dtype)
    x.flags.writeable = False

    with np.errstate(all="raise"):
        y = mat.normalize(x)

    np.testing.assert_array_equal(y, np.array([[0, 0], [0, 1], [np.nan, np.nan]], dtype), strict=True)
    assert mat.normalize(np.zeros((2, 0), dtype)).shape == (2, 0)
    np.testing.assert_array_equal(mat.normalize(np.full((2, 2), 3, dtype), axis=None), np.full((2, 2), 0.5, dtype))
