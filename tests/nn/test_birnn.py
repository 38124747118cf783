"""BiRNN: two directions, merged."""

from __future__ import annotations

import numpy as np
import pytest

from spago import ag
from spago.mat import Array, ShapeError
from spago.nn import LSTM, BiLSTM, BiRNN, BiState, LSTMState
from spago.nn._birnn import Merge

B, T, D, H = 3, 5, 4, 2
LENGTHS = [5, 1, 3]


class SlowLSTM(LSTM):
    """An LSTM that runs step by step, one direction after the other."""

    def rule(self) -> None:
        return None


def a_batch() -> Array:
    return np.random.default_rng(2).normal(size=(B, T, D))


def a_state() -> Array:
    return np.random.default_rng(3).normal(size=(2, B, H))


def run(layer: BiRNN, state: BiState | None = None) -> list[Array]:
    rng = np.random.default_rng(4)
    xs = ag.var(a_batch(), requires_grad=True)
    ys, last = layer(xs, state, LENGTHS)
    loss = ag.sum(ys * rng.normal(size=ys.shape))
    for part in (*last.forward, *last.backward):
        loss = loss + ag.sum(part * rng.normal(size=part.shape))
    layer.zero_grad()
    loss.backward()
    return [ys.value, *(p.value for s in last for p in s), xs.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("merge", ["concat", "sum", "prod", "avg"])
@pytest.mark.parametrize("with_state", [False, True])
def test_side_by_side_is_one_after_the_other(merge: Merge, with_state: bool) -> None:
    layer = BiLSTM(D, H, merge=merge, dtype=np.float64)
    slow = BiRNN(SlowLSTM(D, H, dtype=np.float64), SlowLSTM(D, H, dtype=np.float64), merge=merge)
    slow.load_state_dict(layer.state_dict())
    parts = [ag.var(part) for part in np.random.default_rng(3).normal(size=(4, B, H))]
    state = BiState(LSTMState(*parts[:2]), LSTMState(*parts[2:])) if with_state else None
    for a, b in zip(run(layer, state), run(slow, state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_the_backward_layer_reads_the_real_steps_in_reverse() -> None:
    layer = BiLSTM(D, H, dtype=np.float64)
    ys, last = layer(a_batch(), lengths=LENGTHS)
    for b, n in enumerate(LENGTHS):
        reversed_ys, state = layer.backward_layer(a_batch()[b, :n][::-1])
        np.testing.assert_allclose(ys.value[b, :n, H:], reversed_ys.value[::-1], rtol=1e-12)
        np.testing.assert_allclose(last.backward.h.value[b], state.h.value, rtol=1e-12)


@pytest.mark.parametrize(
    ("merge", "merged"),
    [
        ("concat", lambda a, b: np.concatenate([a, b], axis=-1)),
        ("sum", np.add),
        ("prod", np.multiply),
        ("avg", lambda a, b: (a + b) / 2),
    ],
)
def test_merges(merge: Merge, merged: object) -> None:
    layer = BiLSTM(D, H, merge=merge, dtype=np.float64)
    there, _ = layer.forward_layer(a_batch())
    back, _ = layer.backward_layer(a_batch(), reverse=True)
    assert callable(merged)
    np.testing.assert_allclose(layer(a_batch())[0].value, merged(there.value, back.value), rtol=1e-13)


def test_one_sequence_needs_no_batch() -> None:
    layer = BiLSTM(D, H)
    ys, _ = layer(a_batch()[0].astype(np.float32))
    assert ys.shape == (T, 2 * H)


def test_directions_may_differ_in_size() -> None:
    ys, last = BiRNN(LSTM(D, 2), LSTM(D, 3))(a_batch().astype(np.float32), lengths=LENGTHS)
    assert ys.shape == (B, T, 5)
    assert last.backward.h.shape == (B, 3)


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="BiRNN: expected merge to be one of concat, sum, prod, avg, got 'max'"):
        BiRNN(LSTM(D, H), LSTM(D, H), merge="max")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"BiRNN: expected two layers of the same sizes, got \(4, 2\) and \(4, 3\)"):
        BiRNN(LSTM(D, 2), LSTM(D, 3), merge="sum")
    with pytest.raises(ShapeError, match=r"BiRNN: expected two layers of the same sizes, got \(4, 2\) and \(3, 2\)"):
        BiRNN(LSTM(D, H), LSTM(D - 1, H))


@pytest.mark.parametrize("kind", [LSTM, SlowLSTM])
def test_a_direction_without_a_state_starts_from_zeros(kind: type[LSTM]) -> None:
    layer = BiRNN(kind(D, H, dtype=np.float64), kind(D, H, dtype=np.float64))
    given, zeros = (LSTMState(*(ag.var(part) for part in parts)) for parts in (a_state(), np.zeros((2, B, H))))
    ys, _ = layer(a_batch(), BiState(given, None))
    np.testing.assert_allclose(ys.value, layer(a_batch(), BiState(given, zeros))[0].value, rtol=1e-14)
