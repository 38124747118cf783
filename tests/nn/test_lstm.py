"""LSTM: its equations, its fast path over packed sequences, its gradients, its errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from spago import ag, nn
from spago.mat import Array, ShapeError
from spago.nn import LSTM, LSTMState

B, T, D, H = 4, 6, 3, 5
LENGTHS = [2, 6, 1, 4]


class SlowLSTM(LSTM):
    """An LSTM that runs step by step."""

    def rule(self) -> None:
        return None


def an_lstm(kind: type[LSTM] = LSTM) -> LSTM:
    rng = np.random.default_rng(1)
    lstm = kind(D, H, dtype=np.float64)
    for parameter in lstm.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    return lstm


def a_batch(*shape: int) -> Array:
    return np.random.default_rng(2).normal(size=shape)


def a_state(*lead: int) -> LSTMState:
    h, c = np.random.default_rng(3).normal(size=(2, *lead, H))
    return LSTMState(ag.var(h, requires_grad=True), ag.var(c, requires_grad=True))


def gradients(lstm: LSTM, xs: Array, state: LSTMState | None, lengths: list[int] | None, **how: bool) -> list[Array]:
    """All that a training step sees: outputs, last state, and the gradients of everything, by random weights."""
    rng = np.random.default_rng(4)
    leaf = ag.var(xs, requires_grad=True)
    before = [] if state is None else [ag.var(part.value, requires_grad=True) for part in state]
    ys, (h, c) = lstm(leaf, LSTMState(*before) if before else None, lengths, **how)
    lstm.zero_grad()
    loss = ag.sum(ys * rng.normal(size=ys.shape)) + ag.sum(h * rng.normal(size=h.shape))
    (loss + ag.sum(c * rng.normal(size=c.shape))).backward()
    return [ys.value, h.value, c.value, leaf.grad, *(p.grad for p in lstm.parameters()), *(p.grad for p in before)]


def test_one_step_is_the_equations() -> None:
    lstm, x, state = an_lstm(), a_batch(B, D), a_state(B)
    a = x @ lstm.weight_ih.value.T + state.h.value @ lstm.weight_hh.value.T + lstm.bias.value
    i, f, g, o = np.split(a, 4, axis=-1)
    c = state.c.value / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    h = np.tanh(c) / (1 + np.exp(-o))
    after = lstm.next(x, state)
    np.testing.assert_allclose(after.h.value, h, rtol=1e-13)
    np.testing.assert_allclose(after.c.value, c, rtol=1e-13)


def test_a_first_step_without_state_is_one_with_zeros() -> None:
    lstm, x = an_lstm(), a_batch(D)
    zeros = LSTMState(ag.var(np.zeros(H)), ag.var(np.zeros(H)))
    np.testing.assert_allclose(lstm.next(x).h.value, lstm.next(x, zeros).h.value, rtol=1e-14)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("with_state", [False, True])
def test_the_fast_path_is_the_steps_one_by_one(reverse: bool, lengths: list[int] | None, with_state: bool) -> None:
    xs, state = a_batch(B, T, D), a_state(B) if with_state else None
    fast = gradients(an_lstm(), xs, state, lengths, reverse=reverse)
    slow = gradients(an_lstm(SlowLSTM), xs, state, lengths, reverse=reverse)
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_one_sequence_is_a_batch_of_one() -> None:
    lstm, xs, state = an_lstm(), a_batch(T, D), a_state()
    alone = gradients(lstm, xs, state, None)
    ys, last = lstm(xs[None], LSTMState(*(ag.var(part.value[None]) for part in state)))
    np.testing.assert_array_equal(ys.value[0], alone[0])
    np.testing.assert_array_equal(last.c.value[0], alone[2])


@pytest.mark.parametrize("reverse", [False, True])
def test_a_padded_batch_is_its_sequences_one_by_one(reverse: bool) -> None:
    lstm, xs = an_lstm(), a_batch(B, T, D)
    ys, last = lstm(xs, lengths=LENGTHS, reverse=reverse)
    for b, n in enumerate(LENGTHS):
        alone, state = lstm(xs[b, :n], reverse=reverse)
        np.testing.assert_allclose(ys.value[b, :n], alone.value, rtol=1e-12)
        np.testing.assert_allclose(last.h.value[b], state.h.value, rtol=1e-12)
        np.testing.assert_allclose(last.c.value[b], state.c.value, rtol=1e-12)
        assert not ys.value[b, n:].any()


def test_what_stands_in_the_padding_does_not_matter() -> None:
    lstm, xs = an_lstm(), a_batch(B, T, D)
    padding = np.arange(T) >= np.array(LENGTHS)[:, None]
    clean = gradients(lstm, np.where(padding[..., None], 0, xs), None, LENGTHS)
    dirty = gradients(lstm, np.where(padding[..., None], np.nan, xs), None, LENGTHS)
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_are_the_central_differences() -> None:
    lstm = an_lstm()

    def run(xs: ag.Node, h: ag.Node, c: ag.Node, *parameters: ag.Node) -> ag.Node:
        lstm.weight_ih, lstm.weight_hh, lstm.bias = parameters  # type: ignore[assignment]
        ys, last = lstm(xs, LSTMState(h, c), LENGTHS)
        return ag.concat([ag.reshape(ys, (-1,)), ag.reshape(last.h, (-1,)), ag.reshape(last.c, (-1,))])

    state = a_state(B)
    ag.gradcheck(run, [a_batch(B, T, D), state.h.value, state.c.value, *(p.value for p in lstm.parameters())])


def test_a_list_of_nodes_is_stacked() -> None:
    lstm, xs = an_lstm(), a_batch(T, D)
    steps = [ag.var(x, requires_grad=True) for x in xs]
    ys, _ = lstm(steps)
    np.testing.assert_array_equal(ys.value, lstm(xs)[0].value)
    ag.sum(ys).backward()
    assert all(step.grad is not None and step.grad.any() for step in steps)


def test_float32_stays_float32() -> None:
    ys, state = LSTM(D, H)(a_batch(B, T, D).astype(np.float32), lengths=LENGTHS)
    assert ys.dtype == state.h.dtype == state.c.dtype == np.float32


def test_inputs_without_gradient_get_none() -> None:
    lstm = an_lstm()
    lstm.bias.requires_grad = False
    xs = ag.var(a_batch(B, T, D))
    ag.sum(lstm(xs)[0]).backward()
    assert xs.grad is None
    assert lstm.bias.grad is None
    assert lstm.weight_hh.grad.any()


def test_saturated_gates_stay_finite() -> None:
    lstm = an_lstm()
    ys, state = lstm(1e4 * a_batch(B, T, D))
    ag.sum(ys).backward()
    assert np.isfinite(ys.value).all()
    assert np.isfinite(state.c.value).all()
    assert all(np.isfinite(p.grad).all() for p in lstm.parameters())


def test_initial_weights_are_xavier_uniform_for_each_gate() -> None:
    lstm = LSTM(100, 50)
    assert 0.9 * np.sqrt(6 / 150) < np.abs(lstm.weight_ih.value).max() <= np.sqrt(6 / 150)
    assert 0.9 * np.sqrt(6 / 100) < np.abs(lstm.weight_hh.value).max() <= np.sqrt(6 / 100)
    assert not lstm.bias.value.any()


def test_copies_compute_the_same_and_share_nothing() -> None:
    lstm, xs = an_lstm(), a_batch(T, D)
    for other in (pickle.loads(pickle.dumps(lstm)), copy.deepcopy(lstm)):
        np.testing.assert_array_equal(other(xs)[0].value, lstm(xs)[0].value)
        assert not np.shares_memory(other.weight_ih.value, lstm.weight_ih.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"xs": np.ones((T, D + 1))},
            r"LSTM: expected xs of shape \(T, 3\) or \(B, T, 3\) for input_size, got \(6, 4\); features are",
        ),
        ({"xs": np.ones(D)}, r"LSTM: expected xs of shape \(T, 3\) or \(B, T, 3\) for input_size, got \(3,\)"),
        ({"xs": np.ones((0, D))}, r"LSTM: expected at least one sequence and one step, got xs of shape \(0, 3\)"),
        ({"xs": []}, r"LSTM: expected at least one step, got an empty list"),
        ({"xs": np.ones((T, D)), "lengths": [2]}, r"LSTM: expected a padded batch .* got xs of shape \(6, 3\)"),
        ({"xs": np.ones((B, T, D)), "lengths": [1, 2]}, r"lengths: expected shape \(4,\), one for each .* got \(2,\)"),
        ({"xs": np.ones((B, T, D)), "lengths": [1, 2, 0, 3]}, r"lengths: expected values from 1 to 6, got 0 to 3"),
        ({"xs": np.ones((B, T, D)), "lengths": [1, 2, 7, 3]}, r"lengths: expected values from 1 to 6, got 1 to 7"),
        (
            {"xs": np.ones((B, T, D)), "state": LSTMState(ag.var(np.ones((B, 2))), ag.var(np.ones((B, H))))},
            r"LSTM: expected a state with h of shape \(4, 5\), got \(4, 2\)",
        ),
    ],
)
def test_bad_input_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        an_lstm()(**arguments)


def test_sizes_are_checked() -> None:
    with pytest.raises(ShapeError, match="LSTM: expected sizes of at least 1, got 3 and 0"):
        LSTM(3, 0)


def test_the_layer_shows_its_sizes() -> None:
    assert repr(nn.LSTM(3, 5)).startswith("LSTM(3, 5)")


def test_refined_gates_are_multiplied_by_the_input() -> None:
    rng = np.random.default_rng(1)
    lstm = LSTM(D, D, refined_gates=True, dtype=np.float64)
    for parameter in lstm.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    x, (h, c) = a_batch(B, D), rng.normal(size=(2, B, D))
    i, f, g, o = np.split(x @ lstm.weight_ih.value.T + h @ lstm.weight_hh.value.T + lstm.bias.value, 4, axis=-1)
    cell = c / (1 + np.exp(-f)) + x * np.tanh(g) / (1 + np.exp(-i))
    after = lstm.next(x, LSTMState(ag.var(h), ag.var(c)))
    np.testing.assert_allclose(after.c.value, cell, rtol=1e-12)
    np.testing.assert_allclose(after.h.value, x * np.tanh(cell) / (1 + np.exp(-o)), rtol=1e-12)


def test_refined_gates_need_equal_sizes() -> None:
    with pytest.raises(ShapeError, match="LSTM: expected equal sizes with refined gates, got 3 and 5"):
        LSTM(3, 5, refined_gates=True)
    assert repr(LSTM(3, 3, refined_gates=True)).startswith("LSTM(3, 3, refined_gates=True):")
