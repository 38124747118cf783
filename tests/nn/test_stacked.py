"""Stacked: recurrent layers one above the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layer_table import batch, parts
from spago import ag, nn
from spago.mat import ShapeError
from spago.mat.rand import LockedRand

B, T, D, H = 3, 5, 4, 2
LENGTHS = [5, 1, 3]


def a_stack(dropout: float | nn.Dropout = 0.0) -> nn.Stacked:
    layers: list[nn.Recurrent[Any] | nn.BiRNN] = [
        nn.LSTM(D, H, rng=LockedRand(3)),
        nn.BiGRU(H, 3, rng=LockedRand(4)),
        nn.SRN(6, H, rng=LockedRand(5)),
    ]
    return nn.Stacked(layers, dropout=dropout).to(np.float64)


def test_it_is_the_layers_one_by_one() -> None:
    stack, xs = a_stack(), ag.var(batch(B, T, D), requires_grad=True)
    ys, states = stack(xs, lengths=LENGTHS)
    ag.sum(ys).backward()
    gradients = [xs.grad, *(p.grad for p in stack.parameters())]
    stack.zero_grad()
    xs.zero_grad()

    one: ag.Node = xs
    for layer, state in zip(stack.layers, states, strict=True):
        one, last = layer(one, lengths=LENGTHS)
        for a, b in zip(parts(last), parts(state), strict=True):
            np.testing.assert_array_equal(a.value, b.value)
    ag.sum(one).backward()
    np.testing.assert_array_equal(ys.value, one.value)
    for a, b in zip(gradients, [xs.grad, *(p.grad for p in stack.parameters())], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_dropout_is_between_the_layers_only() -> None:
    layers = [nn.SRN(D, 50, rng=LockedRand(1)), nn.SRN(50, 50, rng=LockedRand(2)), nn.SRN(50, 50, rng=LockedRand(3))]
    xs = batch(T, D).astype(np.float32)
    ys, _ = nn.Stacked(layers, dropout=nn.Dropout(0.4, rng=LockedRand(7)))(xs)

    dropout = nn.Dropout(0.4, rng=LockedRand(7))
    one, _ = layers[0](xs)
    for layer in layers[1:]:
        one, _ = layer(dropout(one))
    np.testing.assert_array_equal(ys.value, one.value)
    assert (ys.value != 0).all()


def test_there_is_no_dropout_after_eval() -> None:
    stack, xs = a_stack(dropout=0.5), batch(T, D)
    noisy, _ = stack(xs)
    calm, _ = stack.eval()(xs)
    plain, _ = a_stack()(xs)
    np.testing.assert_array_equal(calm.value, plain.value)
    assert not np.array_equal(noisy.value, plain.value)


def test_steps_are_the_sequence() -> None:
    stack = nn.Stacked([nn.LSTM(D, H, dtype=np.float64), nn.RAN(H, 3, dtype=np.float64)])
    xs = batch(B, T, D)
    ys, last = stack(xs)
    states = None
    for t in range(T):
        states = stack.next(xs[:, t], states)
        np.testing.assert_allclose(states[-1][0].value, ys.value[:, t], rtol=1e-12)
    assert states is not None
    for a, b in zip(parts(states), parts(last), strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12)


def test_states_carry_on() -> None:
    stack = nn.Stacked([nn.LSTM(D, H, dtype=np.float64), nn.GRU(H, 3, dtype=np.float64)])
    xs = batch(B, T, D)
    ys, _ = stack(xs)
    _, states = stack(xs[:, :2])
    rest, _ = stack(xs[:, 2:], states)
    np.testing.assert_allclose(rest.value, ys.value[:, 2:], rtol=1e-12)


def test_reverse_reads_the_real_steps_from_the_last_to_the_first() -> None:
    stack, xs = a_stack(), batch(B, T, D)
    ys, states = stack(xs, lengths=LENGTHS, reverse=True)
    for b, n in enumerate(LENGTHS):
        alone, last = stack(xs[b, :n][::-1])
        np.testing.assert_allclose(ys.value[b, :n], alone.value[::-1], rtol=1e-12)
        for part, one in zip(parts(states), parts(last), strict=True):
            np.testing.assert_allclose(part.value[b], one.value, rtol=1e-12)


def test_two_directions_may_be_stacks() -> None:
    there, back, xs = a_stack(), nn.Stacked([nn.GRU(D, 3, rng=LockedRand(6))]).to(np.float64), batch(B, T, D)
    layer = nn.BiRNN(there, back)
    ys, (forward, backward) = layer(xs, lengths=LENGTHS)
    (a, a_last), (b, b_last) = there(xs, lengths=LENGTHS), back(xs, lengths=LENGTHS, reverse=True)
    np.testing.assert_array_equal(ys.value, np.concatenate([a.value, b.value], axis=-1))
    for part, expected in zip(parts([forward, backward]), parts([a_last, b_last]), strict=True):
        np.testing.assert_array_equal(part.value, expected.value)
    rest, _ = layer(xs, nn.BiState(forward, backward), LENGTHS)
    np.testing.assert_array_equal(rest.value[..., :H], there(xs, forward, LENGTHS)[0].value)
    assert layer.output_size == H + 3
    with pytest.raises(ShapeError, match=r"BiRNN: expected two layers of the same sizes, got \(4, 2\) and \(4, 3\)"):
        nn.BiRNN(there, back, merge="sum")


def test_the_sizes_are_those_of_the_ends() -> None:
    stack = nn.Stacked([nn.BiLSTM(D, H), nn.BiLSTM(2 * H, 3, merge="avg")])
    assert (stack.input_size, stack.output_size) == (D, 3)
    assert [layer.output_size for layer in stack.layers] == [2 * H, 3]


def test_parameters_are_named_by_layer() -> None:
    names = [name for name, _ in nn.BiBiLSTM(D, H).named_parameters()]
    assert names[0] == "layers.0.forward_layer.weight_ih"
    assert names[-1] == "layers.1.backward_layer.bias"


def test_bad_settings_are_named() -> None:
    with pytest.raises(ShapeError, match="Stacked: expected at least one layer, got none"):
        nn.Stacked([])
    with pytest.raises(ShapeError, match="Stacked: expected layer 1 to take the 4 features of the one below, got 2"):
        nn.Stacked([nn.BiLSTM(D, 2), nn.LSTM(2, 2)])
    with pytest.raises(ValueError, match=r"Dropout: expected a probability p from 0 to 1, got 1\.5"):
        nn.Stacked([nn.SRN(D, H)], dropout=1.5)


def test_bad_states_are_named() -> None:
    stack = a_stack()
    with pytest.raises(ShapeError, match="Stacked: expected 3 states, one a layer, got 2"):
        stack(batch(T, D), [None, None])
    with pytest.raises(TypeError, match="Stacked: expected layers of one direction for single steps, got a BiRNN"):
        stack.next(batch(D))
