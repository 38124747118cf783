"""Values and derivatives where there is a choice: at kinks, at ties, at the ends of the range, at ±inf and nan."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spago import ag

INF, NAN = np.inf, np.nan
LARGEST = float(np.finfo(np.float64).max)
LARGE = [-INF, -LARGEST, -1e4, 1e4, LARGEST, INF]


def derivative(f: Callable[[ag.Node], ag.Node], xs: list[float]) -> tuple[Any, Any]:
    x = ag.var(np.array(xs), requires_grad=True)
    y = f(x)
    y.backward()
    return y.value, x.grad


@pytest.mark.parametrize(
    ("f", "xs", "ys", "slopes"),
    [
        (ag.abs, [0.0, -0.0], [0, 0], [0, 0]),
        (ag.relu, [0.0, -0.0, NAN], [0, 0, NAN], [1, 1, 0]),
        (ag.hard_sigmoid, [-2.5, 2.5], [0, 1], [0, 0]),
        (ag.hard_tanh, [-1.0, 1.0], [-1, 1], [0, 0]),
        (ag.log, [0.0, 1e-300], [-INF, -690.7755278982137], [1e8, 1e300]),
        (ag.sqrt, [0.0, 4.0], [0, 2], [INF, 0.25]),
        (ag.reciprocal, [0.0, -0.0, INF], [INF, -INF, 0], [-INF, -INF, 0]),
        (lambda x: ag.elu(x, alpha=0.7), [0.0], [0], [0.7]),
        (lambda x: ag.celu(x, alpha=0.7), [0.0], [0], [1]),
        (lambda x: ag.selu(x, alpha=1.5, scale=2.0), [0.0], [0], [3]),
        (lambda x: ag.leaky_relu(x, alpha=0.1), [0.0], [0], [0.1]),
        (ag.positive_elu, [0.0], [1], [1]),
        (lambda x: ag.softshrink(x, 0.5), [-0.5, 0.0, 0.5], [0, 0, 0], [0, 0, 0]),
        (lambda x: ag.threshold(x, 0.1, 20.0), [0.1], [20], [0]),
        (lambda x: ag.softplus(x, beta=3.0, threshold=1.0), [1.0], [np.log1p(np.exp(3)) / 3], [1 / (1 + np.exp(-3))]),
        (lambda x: ag.clip(x, -1.0, 2.0), [-1.0, 2.0, -1.5, NAN], [-1, 2, -1, NAN], [1, 1, 0, 0]),
        (lambda x: ag.pow(x, 2), [0.0, -1.0], [0, 1], [0, -2]),
        (lambda x: ag.pow(x, 0), [0.0, -1.0, 2.0], [1, 1, 1], [0, 0, 0]),
        (lambda x: ag.pow(x, 1), [0.0, -1.0], [0, -1], [1, 1]),
        (lambda x: ag.pow(x, 0.5), [0.0], [0], [INF]),
        (lambda x: ag.pow(x, 0.5), [-1.0], [NAN], [NAN]),
        (lambda x: ag.pow(0.0, x), [2.0, 0.0], [0, 1], [0, 0]),
        (lambda x: 1.0 / x, [0.0], [INF], [-INF]),
        (ag.max, [1.0, 3.0, 3.0], 3, [0, 1, 0]),
        (ag.min, [1.0, 3.0, 1.0], 1, [1, 0, 0]),
        (ag.max, [1.0, NAN, 3.0], NAN, [0, 1, 0]),
        (ag.max, [-3.0, -1.0, -2.0], -1, [0, 1, 0]),
        (ag.norm, [0.0, 0.0], 0, [0, 0]),
        (ag.std, [2.0, 2.0], 0, [0, 0]),
        (ag.logsumexp, [-INF, -INF], -INF, [0, 0]),
        (ag.logsumexp, [-INF, 0.0], 0, [0, 1]),
        (ag.logsumexp, [INF, 0.0], INF, [1, 0]),
        (ag.logsumexp, [1e4, -1e4], 1e4, [1, 0]),
        (ag.sum, [], 0, []),
        (ag.sparsemax, [0.1, 0.0], [0.55, 0.45], [0, 0]),
        (ag.sparsemax, [-3.0, -1.0, -1.5], [0, 0.75, 0.25], [0, 0, 0]),
        (ag.sparsemax, [-INF, 0.0], [0, 1], [0, 0]),
        (ag.softmax, [-INF, -INF], [0, 0], [0, 0]),
        (ag.softmax, [1e4, -1e4], [1, 0], [0, 0]),
        (ag.log_softmax, [1e4, -1e4], [0, -2e4], [-1, 1]),
    ],
)
def test_value_and_slope_are_as_agreed(f: Any, xs: list[float], ys: Any, slopes: Any) -> None:
    y, slope = derivative(f, xs)

    np.testing.assert_allclose(y, ys, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(slope, slopes, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("f", "ys", "slopes"),
    [
        (ag.sigmoid, [0, 0, 0, 1, 1, 1], [0] * 6),
        (ag.tanh, [-1, -1, -1, 1, 1, 1], [0] * 6),
        (ag.log_sigmoid, [-INF, -LARGEST, -1e4, 0, 0, 0], [1, 1, 1, 0, 0, 0]),
        (ag.softplus, [0, 0, 0, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (ag.softsign, [-1, -1, -1e4 / 10001, 1e4 / 10001, 1, 1], [0, 0, 1 / 10001**2, 1 / 10001**2, 0, 0]),
        (ag.relu, [0, 0, 0, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (ag.elu, [-1, -1, -1, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (ag.celu, [-1, -1, -1, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (ag.positive_elu, [0, 0, 0, 10001, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (ag.mish, [0, 0, 0, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (ag.gelu, [0, 0, 0, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (lambda x: ag.gelu(x, approximate="tanh"), [0, 0, 0, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (ag.silu, [0, 0, 0, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (lambda x: ag.swish_b(x, 2.0), [0, 0, 0, 1e4, LARGEST, INF], [0, 0, 0, 1, 1, 1]),
        (ag.hard_sigmoid, [0, 0, 0, 1, 1, 1], [0] * 6),
        (ag.hard_tanh, [-1, -1, -1, 1, 1, 1], [0] * 6),
    ],
)
def test_activations_reach_their_limits(f: Any, ys: list[float], slopes: list[float]) -> None:
    y, slope = derivative(f, LARGE)

    np.testing.assert_allclose(y, ys, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(slope, slopes, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    "f",
    [
        *(ag.elu, ag.celu, ag.leaky_relu, ag.selu, ag.softplus, ag.softshrink, ag.hard_sigmoid, ag.hard_tanh, ag.mish),
        *(ag.gelu, ag.silu, ag.sigmoid, ag.tanh, ag.softsign, ag.positive_elu, ag.relu, ag.exp, ag.log, ag.sqrt),
        lambda x: ag.threshold(x, 0.0, 1.0),
        lambda x: ag.softplus(x, 2.0, 1.0),
        lambda x: ag.maximum(x, 0.0),
        lambda x: ag.maximum(0.0, x),
        lambda x: ag.minimum(x, 0.0),
        *(ag.softmax, ag.log_softmax, ag.logsumexp, ag.sparsemax, ag.sum, ag.mean, ag.max, ag.min, ag.variance),
        lambda x: ag.max_pooling(ag.reshape(x, (1, 1)), 1, 1),
    ],
)
def test_nan_is_not_swallowed(f: Any) -> None:
    y, _ = derivative(f, [NAN])

    assert np.isnan(y).all()


def test_swish_of_infinity_with_a_negative_steepness_is_zero() -> None:
    x, beta = ag.var(np.array([-INF, INF]), requires_grad=True), ag.var(np.float64(-1.0), requires_grad=True)

    y = ag.swish_b(x, beta)
    y.backward()

    np.testing.assert_array_equal(y.value, [-INF, 0])
    np.testing.assert_array_equal(x.grad, [1, 0])
    assert beta.grad == 0


@pytest.mark.parametrize(("f", "a_slopes"), [(ag.maximum, [0, 1, 0]), (ag.minimum, [0, 0, 1])])
def test_of_equals_the_second_gets_the_gradient(f: Any, a_slopes: list[float]) -> None:
    a, b = ag.var([1.0, 2.0, 3.0], requires_grad=True), ag.var([1.0, 1.0, 4.0], requires_grad=True)

    f(a, b).backward()

    assert a.grad.tolist() == a_slopes
    assert (a.grad + b.grad).tolist() == [1, 1, 1]


def test_max_over_several_axes_gives_the_first_of_equals_the_gradient() -> None:
    x = ag.var(np.ones((2, 3, 2)), requires_grad=True)

    ag.max(x, axis=(0, 2)).backward()

    assert x.grad.tolist() == [[[1, 0]] * 3, [[0, 0]] * 3]


def test_max_pooling_takes_the_largest_of_negative_numbers_and_the_first_of_equals() -> None:
    x = ag.var([[-1.0, -2.0, 0.0, 0.0], [-3.0, -4.0, 0.0, 0.0]], requires_grad=True)

    y = ag.max_pooling(x, 2, 2)
    y.backward()

    assert y.value.tolist() == [[-1, 0]]
    assert x.grad.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


def test_the_gradient_of_a_product_is_the_product_of_the_others_beside_one_zero_and_beside_two() -> None:
    x = ag.var([[2.0, 0.0, 3.0], [0.0, 0.0, 3.0]], requires_grad=True)
    ag.prod(x, axis=1).backward()
    np.testing.assert_array_equal(x.grad, [[0, 6, 0], [0, 0, 0]])


def test_sorting_puts_nan_last_and_the_largest_never_have_it() -> None:
    x = ag.var([2.0, np.nan, 5.0, 5.0], requires_grad=True)
    np.testing.assert_array_equal(ag.sort(x).value, [2, 5, 5, np.nan])
    values, places = ag.topk(x, 2)
    values.backward()
    np.testing.assert_array_equal(values.value, [5, 5])
    np.testing.assert_array_equal(places, [2, 3])
    np.testing.assert_array_equal(x.grad, [0, 0, 1, 1])


def test_a_product_with_zero_keeps_nan_and_inf() -> None:
    with np.errstate(invalid="ignore"):
        y = ag.matmul(np.array([[0.0, 1.0]]), np.array([[NAN, INF], [1.0, 2.0]]))

    assert np.isnan(y.value).all()


def test_a_fully_masked_row_of_attention_learns_nothing_and_spoils_nothing() -> None:
    scores = ag.var(np.array([[0.5, -0.5], [1.0, 2.0]]), requires_grad=True)
    mask = np.array([[True, True], [False, False]])

    weights = ag.softmax(ag.where(mask, scores, -np.inf))
    (weights * np.array([1.0, 2.0])).backward()

    assert weights.value[1].tolist() == [0, 0]
    assert scores.grad[1].tolist() == [0, 0]
    assert np.isfinite(scores.grad).all()


def test_rolling_by_any_number_is_rolling_by_the_rest() -> None:
    x = ag.var([[1.0], [2.0], [3.0]])

    assert ag.roll(x, 0, axis=0).value.tolist() == x.value.tolist()
    assert ag.roll(x, 3, axis=0).value.tolist() == x.value.tolist()
    assert ag.roll(x, 4, axis=0).value.tolist() == [[3], [1], [2]]


def test_dropout_without_dropping_is_the_node_itself() -> None:
    x = ag.var([1.0, 2.0], requires_grad=True)

    assert ag.dropout(x, 0.0) is x


def test_dropout_of_everything_is_zero() -> None:
    x = ag.var([1.0, 2.0], requires_grad=True)

    y = ag.dropout(x, 1.0)
    y.backward()

    assert y.value.tolist() == [0, 0]
    assert x.grad.tolist() == [0, 0]


def test_dropout_draws_in_the_order_of_calls_from_the_generator_of_the_process() -> None:
    from spago.mat import rand

    x = ag.var(np.ones(100, np.float32))
    rand.manual_seed(42)
    first, second = ag.dropout(x, 0.4).value, ag.dropout(x, 0.4).value

    rand.manual_seed(42)
    mask = rand.default_rng().bernoulli((200,), 0.4) / np.float32(0.6)
    np.testing.assert_array_equal(np.concatenate([first, second]), mask)


def test_the_mask_of_dropout_stays_with_the_node() -> None:
    x = ag.var(np.ones(50), requires_grad=True)
    y = ag.dropout(x, 0.5)

    y.backward()
    first = x.grad
    ag.dropout(x, 0.5)
    x.zero_grad()
    y.backward()

    np.testing.assert_array_equal(x.grad, first)
    np.testing.assert_array_equal(first, y.value)
