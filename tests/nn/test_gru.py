"""GRU: its equations, where the reset gate is, its fast path."""

from __future__ import annotations

import numpy as np
import pytest

from layer_table import batch
from spago import ag, nn
from spago.mat import Array
from spago.nn import GRU, BiRNN, HiddenState

B, T, D, H = 4, 6, 3, 5


def a_gru(reset_after: bool, kind: type[GRU] = GRU) -> GRU:
    rng = np.random.default_rng(1)
    gru = kind(D, H, reset_after=reset_after, dtype=np.float64)
    for parameter in gru.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    return gru


def sigmoid(x: Array) -> Array:
    y: Array = 1 / (1 + np.exp(-x))
    return y


@pytest.mark.parametrize("reset_after", [False, True])
def test_one_step_is_the_equations(reset_after: bool) -> None:
    gru, x, h = a_gru(reset_after), batch(B, D), batch(B, H, seed=3)
    w_r, w_z, w_n = np.split(gru.weight_ih.value, 3)
    r_r, r_z, r_n = np.split(gru.weight_hh.value, 3)
    b_r, b_z, b_n = np.split(gru.bias.value, 3)
    r = sigmoid(x @ w_r.T + h @ r_r.T + b_r)
    z = sigmoid(x @ w_z.T + h @ r_z.T + b_z)
    if gru.bias_hn is None:
        n = np.tanh(x @ w_n.T + b_n + (r * h) @ r_n.T)
    else:
        n = np.tanh(x @ w_n.T + b_n + r * (h @ r_n.T + gru.bias_hn.value))
    after = gru.next(x, HiddenState(ag.var(h)))
    np.testing.assert_allclose(after.h.value, (1 - z) * n + z * h, rtol=1e-12)


def test_the_two_forms_differ_in_one_bias() -> None:
    assert [name for name, _ in GRU(D, H).named_parameters()] == ["weight_ih", "weight_hh", "bias"]
    assert [name for name, _ in GRU(D, H, reset_after=True).named_parameters()][-1] == "bias_hn"
    assert repr(GRU(D, H)).startswith("GRU(3, 5):")
    assert repr(GRU(D, H, reset_after=True)).startswith("GRU(3, 5, reset_after=True):")


@pytest.mark.parametrize("reset_after", [False, True])
def test_saturated_gates_stay_finite(reset_after: bool) -> None:
    gru = a_gru(reset_after)
    ys, _ = gru(1e4 * batch(B, T, D))
    ag.sum(ys).backward()
    assert np.isfinite(ys.value).all()
    assert all(p.grad is not None and np.isfinite(p.grad).all() for p in gru.parameters())


class Forgetful(GRU):
    """A GRU that halves its output."""

    def step(self, a: ag.Node, state: HiddenState) -> HiddenState:
        return HiddenState(super().step(a, state).h * 0.5)


@pytest.mark.parametrize("both", [False, True])
def test_a_subclass_with_another_step_takes_that_step(both: bool) -> None:
    gru, xs = a_gru(False, Forgetful), batch(T, D)
    state = gru.next(xs[1], gru.next(xs[0]))
    ys, _ = BiRNN(gru, gru)(xs) if both else gru(xs)
    np.testing.assert_allclose(ys.value[1, :H], state.h.value, rtol=1e-12)


def test_forms_do_not_mix_side_by_side() -> None:
    there, back, xs = a_gru(False), a_gru(True), batch(B, T, D)
    ys, _ = BiRNN(there, back)(xs)
    np.testing.assert_allclose(ys.value[..., :H], there(xs)[0].value, rtol=1e-12)
    np.testing.assert_allclose(ys.value[..., H:], back(xs, reverse=True)[0].value, rtol=1e-12)


@pytest.mark.parametrize("make", [nn.GRU, nn.LSTM])
def test_a_sequence_is_one_node_a_result(make: type[nn.GRU | nn.LSTM]) -> None:
    xs = ag.var(batch(B, T, D).astype(np.float32), requires_grad=True)
    ys, state = make(D, H)(xs)
    assert all(node.operands == ys.operands for node in state)


def test_initial_weights_are_xavier_uniform_for_each_gate() -> None:
    gru = GRU(100, 50)
    assert 0.9 * np.sqrt(6 / 150) < np.abs(gru.weight_ih.value).max() <= np.sqrt(6 / 150)
    assert 0.9 * np.sqrt(6 / 100) < np.abs(gru.weight_hh.value).max() <= np.sqrt(6 / 100)
