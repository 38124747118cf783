"""GRUs over packed sequences, beside loops over one sequence at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from spago.mat import Array, GRUSteps, Packing, gru_backward, gru_forward

K, D, H = 2, 3, 4
LENGTHS = [3, 5, 1, 4]
PACKING = Packing.of(LENGTHS, 5)
N, B = sum(LENGTHS), len(LENGTHS)


def sigmoid(x: Array) -> Array:
    y: Array = 1 / (1 + np.exp(-x))
    return y


def loop(x: Array, parameters: list[Array], h: Array) -> Array:
    """The states of one GRU over one sequence (T, D)."""
    weight_ih, weight_hh, bias, *bias_n = parameters
    states = []
    r_rz, r_n = weight_hh[: 2 * H], weight_hh[2 * H :]
    for a in x @ weight_ih.T + bias:
        r, z = np.split(sigmoid(a[: 2 * H] + r_rz @ h), 2)
        product = r * (r_n @ h + bias_n[0]) if bias_n else r_n @ (r * h)
        h = (1 - z) * np.tanh(a[2 * H :] + product) + z * h
        states.append(h)
    return np.array(states)


def data(reset_after: bool, scale: float = 1.0) -> tuple[list[Array], list[list[Array]], Array]:
    """Inputs and parameters of each GRU, and the states before the first step."""
    rng = np.random.default_rng(1)
    shapes = [(3 * H, D), (3 * H, H), (3 * H,), *([(H,)] if reset_after else [])]
    xs: list[Array] = [scale * rng.normal(size=(N, D)) for _ in range(K)]
    return xs, [[rng.normal(size=shape) for shape in shapes] for _ in range(K)], rng.normal(size=(K, B, H))


def hidden_weights(parameters: list[list[Array]]) -> list[Array]:
    return [weight_hh for _, weight_hh, *_ in parameters]


def rows_of(sequence: int) -> npt.NDArray[np.intp]:
    """The packed rows of a sequence, first step first."""
    return np.flatnonzero(PACKING.forward // 5 == sequence)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_side_by_side_is_one_after_the_other(reset_after: bool, with_state: bool) -> None:
    xs, parameters, h_0 = data(reset_after)
    steps = gru_forward(xs, parameters, PACKING.sizes, (h_0,) if with_state else ())
    for k in range(K):
        for b in range(B):
            before = h_0[k, PACKING.place[b]] if with_state else np.zeros(H)
            expected = loop(xs[k][rows_of(b)], parameters[k], before)
            np.testing.assert_allclose(steps.outputs[k, rows_of(b)], expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("reset_after", [False, True])
def test_gradients_are_the_central_differences(reset_after: bool) -> None:
    xs, parameters, h_0 = data(reset_after)
    rng = np.random.default_rng(2)
    g_outputs, g_last = rng.normal(size=(K, N, H)), rng.normal(size=(K, B, H))

    def total() -> float:
        outputs = gru_forward(xs, parameters, PACKING.sizes, (h_0,)).outputs
        last = outputs[:, PACKING.last[PACKING.order]]
        return float((outputs * g_outputs).sum() + (last * g_last).sum())

    steps = gru_forward(xs, parameters, PACKING.sizes, (h_0,))
    g_gates, g_h = gru_backward(steps, hidden_weights(parameters), PACKING.sizes, g_outputs, g_last)
    g_xs = [g[:, -3 * H :] @ weight_ih for g, (weight_ih, *_) in zip(g_gates, parameters, strict=True)]
    for array, gradient in ((xs[0], g_xs[0]), (xs[1], g_xs[1]), (h_0, g_h)):
        for index in np.ndindex(array.shape):
            before = array[index]
            array[index] = before + 1e-6
            high = total()
            array[index] = before - 1e-6
            low = total()
            array[index] = before
            assert gradient[index] == pytest.approx((high - low) / 2e-6, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("reset_after", [False, True])
def test_no_gradient_of_outputs_is_a_gradient_of_zeros(reset_after: bool) -> None:
    xs, parameters, h_0 = data(reset_after)
    steps, weights = gru_forward(xs, parameters, PACKING.sizes, (h_0,)), hidden_weights(parameters)
    g = np.random.default_rng(2).normal(size=(K, B, H))
    for missing, zeros in (
        (gru_backward(steps, weights, PACKING.sizes, None, g), (np.zeros((K, N, H)), g)),
        (gru_backward(steps, weights, PACKING.sizes, steps.outputs, None), (steps.outputs, np.zeros((K, B, H)))),
    ):
        for part, other in zip(missing, gru_backward(steps, weights, PACKING.sizes, *zeros), strict=True):
            np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize("reset_after", [False, True])
def test_arguments_stay_as_they_are(reset_after: bool) -> None:
    xs, parameters, h_0 = data(reset_after)
    g_outputs, g_last = np.ones((K, N, H)), np.ones((K, B, H))
    for array in (*xs, *(p for of_layer in parameters for p in of_layer), h_0, g_outputs, g_last):
        array.flags.writeable = False
    steps = gru_forward(xs, parameters, PACKING.sizes, (h_0,))
    first = gru_backward(steps, hidden_weights(parameters), PACKING.sizes, g_outputs, g_last)
    again = gru_backward(steps, hidden_weights(parameters), PACKING.sizes, g_outputs, g_last)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4, 1e300])
def test_saturated_gates_stay_finite(reset_after: bool, scale: float) -> None:
    xs, parameters, h_0 = data(reset_after, scale)
    steps = gru_forward(xs, parameters, PACKING.sizes, (h_0,))
    g_gates, g_h = gru_backward(steps, hidden_weights(parameters), PACKING.sizes, np.ones((K, N, H)))
    assert np.abs(steps.outputs).max() <= np.abs(h_0).max() + 1
    assert np.isfinite(g_gates).all()
    assert np.isfinite(g_h).all()


@pytest.mark.parametrize("reset_after", [False, True])
def test_the_error_of_float32_is_within_the_bound(reset_after: bool) -> None:
    xs, parameters, h_0 = data(reset_after)

    def run(dtype: npt.DTypeLike) -> GRUSteps:
        cast = [[p.astype(np.float32).astype(dtype) for p in of_layer] for of_layer in parameters]
        return gru_forward(
            [x.astype(np.float32).astype(dtype) for x in xs],
            cast,
            PACKING.sizes,
            (h_0.astype(np.float32).astype(dtype),),
        )

    narrow, wide = run(np.float32), run(np.float64)
    assert narrow.outputs.dtype == np.float32
    assert np.abs(narrow.outputs - wide.outputs).max() <= 2e-6 * len(PACKING.sizes)
