"""LSTMs over packed sequences, beside loops over one sequence at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from spago.mat import Array, LSTMSteps, Packing, lstm_backward, lstm_forward

K, D, H = 2, 3, 4
LENGTHS = [3, 5, 1, 4]
PACKING = Packing.of(LENGTHS, 5)
N, B = sum(LENGTHS), len(LENGTHS)


def sigmoid(x: Array) -> Array:
    y: Array = 1 / (1 + np.exp(-x))
    return y


def loop(x: Array, parameters: list[Array], h: Array, c: Array) -> tuple[Array, Array]:
    """The hidden states of one LSTM over one sequence (T, D), and the last cell state."""
    weight_ih, weight_hh, bias = parameters
    states = []
    for a in x @ weight_ih.T + bias:
        i, f, g, o = np.split(a + weight_hh @ h, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states), c


def data(scale: float = 1.0) -> tuple[list[Array], list[list[Array]], list[Array]]:
    """Inputs and parameters of each LSTM, and h and c before the first step."""
    rng = np.random.default_rng(1)
    xs: list[Array] = [scale * rng.normal(size=(N, D)) for _ in range(K)]
    parameters: list[list[Array]] = [
        [rng.normal(size=shape) for shape in ((4 * H, D), (4 * H, H), (4 * H,))] for _ in range(K)
    ]
    return xs, parameters, [rng.normal(size=(K, B, H)) for _ in range(2)]


def hidden_weights(parameters: list[list[Array]]) -> list[Array]:
    return [weight_hh for _, weight_hh, _ in parameters]


def rows_of(sequence: int) -> npt.NDArray[np.intp]:
    """The packed rows of a sequence, first step first."""
    return np.flatnonzero(PACKING.forward // 5 == sequence)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_side_by_side_is_one_after_the_other(with_state: bool, keep: bool) -> None:
    xs, parameters, states = data()
    steps = lstm_forward(xs, parameters, PACKING.sizes, states if with_state else (), keep=keep)
    for k in range(K):
        for b in range(B):
            place = PACKING.place[b]
            h, c = (part[k, place] if with_state else np.zeros(H) for part in states)
            outputs, last = loop(xs[k][rows_of(b)], parameters[k], h, c)
            np.testing.assert_allclose(steps.outputs[k, rows_of(b)], outputs, rtol=1e-13, atol=1e-14)
            np.testing.assert_allclose(steps.last_cells[k, place], last, rtol=1e-13, atol=1e-14)


def test_gradients_are_the_central_differences() -> None:
    xs, parameters, states = data()
    rng = np.random.default_rng(2)
    g_outputs, g_last = rng.normal(size=(K, N, H)), rng.normal(size=(2, K, B, H))

    def total() -> float:
        steps = lstm_forward(xs, parameters, PACKING.sizes, states)
        last = steps.outputs[:, PACKING.last[PACKING.order]], steps.last_cells
        return float((steps.outputs * g_outputs).sum() + (last[0] * g_last[0]).sum() + (last[1] * g_last[1]).sum())

    steps = lstm_forward(xs, parameters, PACKING.sizes, states)
    g_gates, g_h, g_c = lstm_backward(steps, hidden_weights(parameters), PACKING.sizes, g_outputs, tuple(g_last))
    g_xs = [g @ weight_ih for g, (weight_ih, *_) in zip(g_gates, parameters, strict=True)]
    for array, gradient in ((xs[0], g_xs[0]), (xs[1], g_xs[1]), (states[0], g_h), (states[1], g_c)):
        for index in np.ndindex(array.shape):
            before = array[index]
            array[index] = before + 1e-6
            high = total()
            array[index] = before - 1e-6
            low = total()
            array[index] = before
            assert gradient[index] == pytest.approx((high - low) / 2e-6, rel=1e-5, abs=1e-7)


def test_no_gradient_is_a_gradient_of_zeros() -> None:
    xs, parameters, states = data()
    steps, weights = lstm_forward(xs, parameters, PACKING.sizes, states), hidden_weights(parameters)
    g, zeros = np.random.default_rng(2).normal(size=(K, B, H)), np.zeros((K, B, H))
    for missing, there in (
        ((None, (g, None)), (np.zeros((K, N, H)), (g, zeros))),
        ((None, (None, g)), (np.zeros((K, N, H)), (zeros, g))),
        ((steps.outputs, (None, None)), (steps.outputs, (zeros, zeros))),
    ):
        parts = (lstm_backward(steps, weights, PACKING.sizes, *case) for case in (missing, there))
        for part, other in zip(*parts, strict=True):
            np.testing.assert_array_equal(part, other)


def test_arguments_stay_as_they_are() -> None:
    xs, parameters, states = data()
    g_outputs, g_last = np.ones((K, N, H)), np.ones((2, K, B, H))
    for array in (*xs, *(p for of_layer in parameters for p in of_layer), *states, g_outputs, g_last):
        array.flags.writeable = False
    steps = lstm_forward(xs, parameters, PACKING.sizes, states)
    first, again = (
        lstm_backward(steps, hidden_weights(parameters), PACKING.sizes, g_outputs, tuple(g_last)) for _ in range(2)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4, 1e300])
def test_saturated_gates_stay_finite(scale: float) -> None:
    xs, parameters, states = data(scale)
    steps = lstm_forward(xs, parameters, PACKING.sizes, states)
    gradients = lstm_backward(steps, hidden_weights(parameters), PACKING.sizes, np.ones((K, N, H)))
    assert np.abs(steps.outputs).max() <= 1
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_the_error_of_float32_is_within_the_bound() -> None:
    xs, parameters, states = data()

    def run(dtype: npt.DTypeLike) -> LSTMSteps:
        cast = [[p.astype(np.float32).astype(dtype) for p in of_layer] for of_layer in parameters]
        return lstm_forward(
            [x.astype(np.float32).astype(dtype) for x in xs],
            cast,
            PACKING.sizes,
            [part.astype(np.float32).astype(dtype) for part in states],
        )

    narrow, wide = run(np.float32), run(np.float64)
    assert narrow.outputs.dtype == narrow.last_cells.dtype == np.float32
    assert np.abs(narrow.outputs - wide.outputs).max() <= 2e-6 * len(PACKING.sizes)
