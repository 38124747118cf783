"""`ag.gradcheck` finds what is wrong, and says where."""

import numpy as np
import pytest

from spago import ag
from spago.mat import Array


@ag.binary
def almost_product(a: Array, b: Array) -> ag.Binary:
    """A product, one element of whose second gradient is off by a thousandth."""

    def pullback(g: Array) -> Array:
        d: Array = g * a
        d[..., -1] *= 1.001
        return d

    return a * b, lambda g: g * b, pullback


def test_right_gradients_pass() -> None:
    ag.gradcheck(lambda x, y: ag.exp(x) @ y, [np.ones((2, 3)), np.ones((3, 2))])
    ag.gradcheck(ag.unstack, [[1.0, 2.0]])
    ag.gradcheck(lambda x: [x, x, x * x], [2.0])
    ag.gradcheck(lambda: ag.var(1.0), [])


def test_the_message_names_operand_and_element_and_says_by_how_much() -> None:
    with pytest.raises(
        ag.GradientError,
        match=r"gradcheck: 2 of 6 elements of operand 1 of shape \(2, 3\) are off, most of all \(\d, 2\): "
        r"backward gives -?\d.*, central differences give -?\d.*, a difference of \d",
    ):
        ag.gradcheck(almost_product, [np.full((2, 3), 2.0), np.ones((2, 3))])


def test_a_gradient_that_sums_to_the_right_thing_is_found_by_random_weights() -> None:
    @ag.unary
    def smeared(x: Array) -> ag.Unary:
        return x * 2, lambda g: np.full_like(x, 2 * np.mean(g))

    with pytest.raises(ag.GradientError, match="operand 0"):
        ag.gradcheck(smeared, [[1.0, 2.0]])


def test_a_missing_gradient_is_one_of_zero() -> None:
    with pytest.raises(ag.GradientError, match=r"backward gives 0, central differences"):
        ag.gradcheck(lambda x: ag.stop_grad(x) * 1.0, [[1.0]])


def test_nan_is_off() -> None:
    @ag.unary
    def undefined(x: Array) -> ag.Unary:
        return x * 2, lambda g: np.full_like(x, np.nan)

    with pytest.raises(ag.GradientError, match="backward gives nan"):
        ag.gradcheck(undefined, [[1.0]])


def test_chance_is_found_out() -> None:
    with pytest.raises(ag.GradientError, match="expected equal results for equal inputs, got different ones; seed"):
        ag.gradcheck(lambda x: ag.dropout(x, 0.5), [np.ones(100)])


def test_inputs_stay_as_they_were_and_constants_are_not_checked() -> None:
    x, c = ag.var(np.array([1.0, 2.0]), requires_grad=True), ag.var([0.5, -0.5])
    x.acc_grad([7.0, 8.0])
    ag.gradcheck(lambda x, c: x * ag.stop_grad(c) + ag.stop_grad(c * c), [x, c])
    assert x.value.tolist() == [1, 2]
    assert x.grad.tolist() == [7, 8]


def test_parameters_are_checked_in_place_and_put_back() -> None:
    w = ag.var(np.array([0.1, 0.2]), requires_grad=True, name="w")
    w.acc_grad([7.0, 8.0])
    ag.gradcheck(lambda x: x * w, [[1.0, 2.0]], parameters=[w])
    assert w.value.tolist() == [0.1, 0.2]
    assert w.grad.tolist() == [7, 8]
    with pytest.raises(ag.GradientError, match=r"1 of 2 elements of parameter 0 'w' of shape \(2,\)"):
        ag.gradcheck(lambda x: almost_product(x, w), [[1.0, 2.0]], parameters=[w])
    assert w.value.tolist() == [0.1, 0.2]


def test_differences_need_float64() -> None:
    w = ag.var([0.1], requires_grad=True, name="w")
    with pytest.raises(TypeError, match="gradcheck: expected float64, got float32 for parameter 0 'w'"):
        ag.gradcheck(lambda: w * 2.0, [], parameters=[w])


def test_the_tolerances_are_as_documented() -> None:
    with pytest.raises(ag.GradientError):
        ag.gradcheck(almost_product, [[2.0], [1.0]], rtol=5e-4)
    ag.gradcheck(almost_product, [[2.0], [1.0]], rtol=2e-3)
    ag.gradcheck(almost_product, [[2.0], [1.0]], atol=0.1)
