"""Initializers: distributions, fans, what may be filled. The reference's numbers are among the golden cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spago import ag, initializers, nn
from spago.mat import Array, ShapeError
from spago.mat.rand import LockedRand, default_rng, manual_seed

Fill = Callable[..., Any]
RANDOM: list[Fill] = [
    initializers.uniform,
    initializers.normal,
    initializers.achlioptas,
    initializers.xavier_uniform,
    initializers.xavier_normal,
    initializers.kaiming_uniform,
    initializers.kaiming_normal,
    initializers.orthogonal,
]
every_random = pytest.mark.parametrize("fill", RANDOM, ids=lambda fill: fill.__name__)


@every_random
def test_filling_is_in_place_from_the_given_stream(fill: Fill) -> None:
    x, y = np.empty((30, 20)), np.empty((30, 20))
    assert fill(x, rng=LockedRand(3)) is x
    np.testing.assert_array_equal(fill(y, rng=LockedRand(3)), x)
    assert len(np.unique(x)) > 2


@every_random
def test_without_a_stream_the_default_one_is_used(fill: Fill) -> None:
    manual_seed(7)
    x = fill(np.empty((3, 4)))
    np.testing.assert_array_equal(fill(np.empty((3, 4)), rng=LockedRand(7)), x)
    assert default_rng().state() != LockedRand(7).state()
    manual_seed(12345)


@every_random
def test_float32_is_float64_rounded(fill: Fill) -> None:
    x = fill(np.empty((5, 6), np.float32), rng=LockedRand(1))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, fill(np.empty((5, 6)), rng=LockedRand(1)).astype(np.float32))


@every_random
def test_the_order_is_that_of_rows_whatever_the_memory_is(fill: Fill) -> None:
    x = fill(np.empty((4, 6)), rng=LockedRand(1))
    for y in (np.empty((4, 6), order="F"), np.empty((8, 6))[::2]):
        np.testing.assert_array_equal(fill(y, rng=LockedRand(1)), x)


@every_random
def test_a_parameter_is_filled_by_its_value(fill: Fill) -> None:
    parameter = nn.Param(np.empty((2, 3), np.float32))
    value = parameter.value
    assert fill(parameter, rng=LockedRand(1)) is parameter
    assert parameter.value is value
    np.testing.assert_array_equal(value, fill(np.empty((2, 3), np.float32), rng=LockedRand(1)))


def test_a_large_array_is_drawn_as_one_stream() -> None:
    x = initializers.normal(np.empty(600_000, np.float32), 1.0, 2.0, rng=LockedRand(9))
    np.testing.assert_array_equal(x, LockedRand(9).normal(600_000, 1.0, 2.0, np.float32))


@pytest.mark.parametrize(
    ("fill", "variance"),
    [
        (lambda x, rng: initializers.uniform(x, -3, 3, rng=rng), 3.0),
        (lambda x, rng: initializers.normal(x, 0, 2, rng=rng), 4.0),
        (lambda x, rng: initializers.achlioptas(x, rng=rng), 1.0),
        (lambda x, rng: initializers.xavier_uniform(x, 2, rng=rng), 4 * 2 / 500),
        (lambda x, rng: initializers.xavier_normal(x, 2, rng=rng), 4 * 2 / 500),
        (lambda x, rng: initializers.kaiming_uniform(x, rng=rng), 2 / 300),
        (lambda x, rng: initializers.kaiming_normal(x, rng=rng), 2 / 300),
        (lambda x, rng: initializers.kaiming_normal(x, 2.0, mode="fan_out", rng=rng), 2 / (5 * 200)),
        (lambda x, rng: initializers.orthogonal(x, 3, rng=rng), 9 / 300),
    ],
)
def test_mean_and_variance_are_those_of_the_distribution(
    fill: Callable[[Array, LockedRand], Array], variance: float
) -> None:
    x = fill(np.empty((200, 300)), LockedRand(11))
    assert abs(x.mean()) < 5 * math.sqrt(variance / x.size)
    assert x.var() == pytest.approx(variance, rel=0.03)


def test_the_fans_of_a_kernel_count_its_positions() -> None:
    kernel = initializers.xavier_uniform(np.empty((8, 4, 3, 5)), rng=LockedRand(2))
    matrix = initializers.uniform(np.empty((8, 4, 3, 5)), -1, 1, rng=LockedRand(2))
    np.testing.assert_allclose(kernel, matrix * math.sqrt(6 / (15 * (8 + 4))), rtol=1e-12)


def test_orthogonal_rows_or_columns_are_orthonormal() -> None:
    wide, high = initializers.orthogonal(np.empty((3, 5))), initializers.orthogonal(np.empty((5, 3)), gain=2.0)
    np.testing.assert_allclose(wide @ wide.T, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(high.T @ high, 4 * np.eye(3), atol=1e-14)
    kernel = initializers.orthogonal(np.empty((4, 2, 3))).reshape(4, 6)
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=1e-14)
    with pytest.raises(ShapeError, match=r"orthogonal: expected an array of at least two axes, got shape \(3,\)"):
        initializers.orthogonal(np.empty(3))


def test_constants_fill() -> None:
    x = np.empty((2, 3), np.float32)
    assert (initializers.constant(x, 0.5) == 0.5).all()
    assert (initializers.ones(x) == 1).all()
    assert (initializers.zeros(x) == 0).all()


def test_gains_go_by_name_and_by_function() -> None:
    assert initializers.gain("relu") == initializers.gain(ag.relu) == math.sqrt(2)
    assert initializers.gain("Leaky_ReLU", 0.5) == math.sqrt(2 / 1.25)
    assert initializers.gain(lambda x: x) == 1.0
    with pytest.raises(
        ValueError, match="gain: expected the name of an activation, such as 'relu' or 'tanh', got 'rleu'"
    ):
        initializers.gain("rleu")


def test_bad_arguments_are_refused_before_anything_is_written() -> None:
    x = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"uniform: expected low ≤ high, got 1 and 0"):
        initializers.uniform(x, 1, 0)
    with pytest.raises(ValueError, match=r"normal: expected a standard deviation ≥ 0, got -1"):
        initializers.normal(x, 0, -1)
    with pytest.raises(ValueError, match=r'kaiming: expected mode="fan_in" or "fan_out", got \'fan\''):
        initializers.kaiming_normal(x, mode="fan")  # type: ignore[arg-type]
    assert (x == 0).all()


def test_what_cannot_be_filled_is_refused() -> None:
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"expected an array that can be written to, got a read-only one of \(3,\)"):
        initializers.ones(frozen)
    wrong: list[Any] = [np.zeros(3, int), [0.0], None]
    for target in wrong:
        with pytest.raises(TypeError, match="initializers: expected an array of float32 or float64 to fill, got"):
            initializers.zeros(target)
