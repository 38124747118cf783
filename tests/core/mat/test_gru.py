"""The steps of GRUs over packed sequences, beside loops over one sequence at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from spago.mat import Array, Packing, gru_backward, gru_forward, gru_gate_layout

K, D, H = 2, 3, 4
LENGTHS = [3, 5, 1, 4]
PACKING = Packing.of(LENGTHS, 5)
N, B = sum(LENGTHS), len(LENGTHS)


def sigmoid(x: Array) -> Array:
    y: Array = 1 / (1 + np.exp(-x))
    return y


def loop(a: Array, weight: Array, h: Array, bias_n: Array | None) -> Array:
    """The states of one GRU over one sequence; a is (T, 3H), weight (3H, H)."""
    states = []
    r_rz, r_n = weight[: 2 * H], weight[2 * H :]
    for a_t in a:
        r, z = np.split(sigmoid(a_t[: 2 * H] + r_rz @ h), 2)
        product = r_n @ (r * h) if bias_n is None else r * (r_n @ h + bias_n)
        h = (1 - z) * np.tanh(a_t[2 * H :] + product) + z * h
        states.append(h)
    return np.array(states)


def data(seed: int = 1) -> tuple[Array, Array, Array, Array]:
    """What feeds the gates (K, N, 3H), weights (K, 3H, H), states before (K, B, H), biases (K, H)."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(K, N, 3 * H)),
        rng.normal(size=(K, 3 * H, H)),
        rng.normal(size=(K, B, H)),
        rng.normal(size=(K, H)),
    )


def laid_out(a: Array, weight: Array) -> tuple[Array, Array]:
    """Gates and weights as `gru_forward` takes them."""
    gates = np.stack([gru_gate_layout(part.T).T for part in a])
    return gates, np.stack([gru_gate_layout(part).T for part in weight])


def rows_of(sequence: int) -> npt.NDArray[np.intp]:
    """The packed rows of a sequence, first step first."""
    return np.flatnonzero(PACKING.forward // 5 == sequence)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_side_by_side_is_one_after_the_other(reset_after: bool, with_state: bool) -> None:
    a, weight, h_0, bias = data()
    bias_n = bias if reset_after else None
    steps = gru_forward(*laid_out(a, weight), PACKING.sizes, h_0 if with_state else None, bias_n)
    for k in range(K):
        for b in range(B):
            before = h_0[k, PACKING.place[b]] if with_state else np.zeros(H)
            expected = loop(a[k, rows_of(b)], weight[k], before, None if bias_n is None else bias_n[k])
            np.testing.assert_allclose(steps.outputs[k, rows_of(b)], expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("reset_after", [False, True])
def test_gradients_are_the_central_differences(reset_after: bool) -> None:
    a, weight, h_0, bias = data()
    bias_n = bias if reset_after else None
    rng = np.random.default_rng(2)
    g_outputs, g_last = rng.normal(size=(K, N, H)), rng.normal(size=(K, B, H))

    def total(a: Array, h_0: Array) -> float:
        outputs = gru_forward(*laid_out(a, weight), PACKING.sizes, h_0, bias_n).outputs
        last = outputs[:, PACKING.last[PACKING.order]]
        return float((outputs * g_outputs).sum() + (last * g_last).sum())

    steps = gru_forward(*laid_out(a, weight), PACKING.sizes, h_0, bias_n)
    g_gates, g_h = gru_backward(steps, weight, PACKING.sizes, g_outputs, g_last)
    for array, gradient in ((a, np.roll(g_gates[..., : 3 * H], -H, axis=-1)), (h_0, g_h)):
        for index in np.ndindex(array.shape):
            before = array[index]
            array[index] = before + 1e-6
            high = total(a, h_0)
            array[index] = before - 1e-6
            low = total(a, h_0)
            array[index] = before
            assert gradient[index] == pytest.approx((high - low) / 2e-6, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("reset_after", [False, True])
def test_no_gradient_of_outputs_is_a_gradient_of_zeros(reset_after: bool) -> None:
    a, weight, h_0, bias = data()
    steps = gru_forward(*laid_out(a, weight), PACKING.sizes, h_0, bias if reset_after else None)
    g = np.random.default_rng(2).normal(size=(K, B, H))
    for missing, zeros in (
        (gru_backward(steps, weight, PACKING.sizes, None, g), (np.zeros((K, N, H)), g)),
        (gru_backward(steps, weight, PACKING.sizes, steps.outputs, None), (steps.outputs, np.zeros((K, B, H)))),
    ):
        for part, other in zip(missing, gru_backward(steps, weight, PACKING.sizes, *zeros), strict=True):
            np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize("reset_after", [False, True])
def test_arguments_stay_as_they_are_but_the_gates(reset_after: bool) -> None:
    a, weight, h_0, bias = data()
    gates, laid = laid_out(a, weight)
    g_outputs, g_last = np.ones((K, N, H)), np.ones((K, B, H))
    for array in (laid, weight, h_0, bias, g_outputs, g_last):
        array.flags.writeable = False
    steps = gru_forward(gates, laid, PACKING.sizes, h_0, bias if reset_after else None)
    assert steps.gates is gates
    gru_backward(steps, weight, PACKING.sizes, g_outputs, g_last)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4, np.inf])
def test_saturated_gates_stay_finite(reset_after: bool, scale: float) -> None:
    a, weight, h_0, bias = data()
    steps = gru_forward(*laid_out(a * scale, weight), PACKING.sizes, h_0, bias if reset_after else None)
    g_gates, g_h = gru_backward(steps, weight, PACKING.sizes, np.ones((K, N, H)))
    assert np.isfinite(steps.outputs).all()
    assert np.abs(steps.outputs).max() <= np.abs(h_0).max() + 1
    assert np.isfinite(g_gates).all()
    assert np.isfinite(g_h).all()


@pytest.mark.parametrize("reset_after", [False, True])
def test_the_error_of_float32_is_within_the_bound(reset_after: bool) -> None:
    a, weight, h_0, bias = (array.astype(np.float32) for array in data())
    narrow = gru_forward(*laid_out(a, weight), PACKING.sizes, h_0, bias if reset_after else None)
    wide_arrays = [array.astype(np.float64) for array in (a, weight, h_0, bias)]
    wide = gru_forward(
        *laid_out(*wide_arrays[:2]), PACKING.sizes, wide_arrays[2], wide_arrays[3] if reset_after else None
    )
    assert narrow.outputs.dtype == np.float32
    assert np.abs(narrow.outputs - wide.outputs).max() <= 2e-6 * len(PACKING.sizes)


def test_the_layout_halves_what_feeds_the_sigmoids() -> None:
    np.testing.assert_array_equal(gru_gate_layout(np.array([2.0, 4.0, 6.0, 8.0, 10.0, 12.0])), [1, 2, 3, 4, 10, 12])
