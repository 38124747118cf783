"""What holds for every layer that runs over sequences."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from layer_table import (
    LENGTHS,
    RECURRENT,
    SEQUENCE,
    B,
    D,
    H,
    Row,
    T,
    batch,
    go_back,
    gradients_of,
    output_gradients,
    parts,
    public_recurrent_layers,
    random_state,
)
from spago import ag, nn
from spago.mat import Array, ShapeError
from spago.mat.rand import LockedRand

every_recurrent = pytest.mark.parametrize("row", RECURRENT, ids=str)
every_layer = pytest.mark.parametrize("row", SEQUENCE, ids=str)


def train(layer: Any, xs: Array, *state: Any, **settings: Any) -> list[Array]:
    """All that a training step sees: outputs, last states, gradients of inputs, of parameters, of the state before."""
    leaf = ag.var(xs, requires_grad=True)
    results = list(parts(layer(leaf, *state, **settings)))
    before = list(parts([s for s in state if s is not None]))
    for part in before:
        part.zero_grad()
    go_back(results, output_gradients(results))
    assert leaf.grad is not None
    return [*(y.value for y in results), leaf.grad, *gradients_of(layer), *(gradient(part) for part in before)]


def gradient(leaf: ag.Node) -> Array:
    """The gradient of a leaf, zeros where none has arrived: the output in the state of RLA is not read."""
    return np.zeros_like(leaf.value) if leaf.grad is None else np.array(leaf.grad)


def assert_equal(actual: list[Array], expected: list[Array]) -> None:
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_every_recurrent_layer_has_a_row() -> None:
    assert public_recurrent_layers() <= {type(row.layer()) for row in RECURRENT}


# Steps and sequences


@every_recurrent
@pytest.mark.parametrize("with_state", [False, True])
def test_a_sequence_is_its_steps_one_by_one(row: Row, with_state: bool) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    given = random_state(layer, B) if with_state else None
    whole = train(layer, xs, given)

    leaf = ag.var(xs, requires_grad=True)
    state: Any = given
    outputs: list[ag.Node] = []
    for part in given or ():
        part.zero_grad()
    for t in range(T):
        state = layer.next(leaf[:, t], state)
        outputs.append(state[0])
    results = [ag.stack(outputs, axis=1), *state]
    go_back(results, output_gradients(results))
    before = [gradient(part) for part in given or ()]
    assert_equal(whole, [*(y.value for y in results), leaf.grad, *gradients_of(layer), *before])


@every_recurrent
def test_steps_take_any_axes_of_batch(row: Row) -> None:
    layer, x = row.layer(), batch(2, 3, D)
    state = layer.next(x, layer.next(x))
    alone = layer.next(x[1, 2], layer.next(x[1, 2]))
    for part, one in zip(state, alone, strict=True):
        np.testing.assert_allclose(part.value[1, 2], one.value, rtol=1e-12)


@every_recurrent
def test_no_state_is_a_state_of_zeros(row: Row) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    zeros = layer.initial_state(B, dtype=np.float64)
    assert_equal(train(layer, xs, lengths=LENGTHS), train(layer, xs, lengths=LENGTHS, state=zeros))


@every_recurrent
def test_a_state_carries_on(row: Row) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    ys, last = layer(xs)
    first, state = layer(xs[:, :2])
    second, end = layer(xs[:, 2:], state)
    np.testing.assert_allclose(np.concatenate([first.value, second.value], axis=1), ys.value, rtol=1e-12)
    assert_equal([part.value for part in end], [part.value for part in last])


@every_recurrent
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_reverse_reads_the_real_steps_from_the_last_to_the_first(row: Row, lengths: list[int] | None) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    state = random_state(layer, B)
    ys, last = layer(xs, state, lengths, reverse=True)
    for b, n in enumerate(lengths or [T] * B):
        alone, end = layer(xs[b, :n][::-1], type(state)(*(part[b] for part in state)))
        np.testing.assert_allclose(ys.value[b, :n], alone.value[::-1], rtol=1e-12)
        assert_equal([part.value[b] for part in last], [part.value for part in end])


@every_recurrent
def test_two_directions_are_two_layers(row: Row) -> None:
    layer = nn.BiRNN(row.layer(), row.layer())
    for p in layer.backward_layer.parameters():
        p.value *= -1.0
    xs = batch(B, T, D)
    ys, last = layer(xs, lengths=LENGTHS)
    there, forward = layer.forward_layer(xs, lengths=LENGTHS)
    back, backward = layer.backward_layer(xs, lengths=LENGTHS, reverse=True)
    np.testing.assert_allclose(ys.value, np.concatenate([there.value, back.value], axis=-1), rtol=1e-12)
    assert_equal([p.value for p in parts(last)], [p.value for p in parts([forward, backward])])


# Batches


@every_layer
def test_a_padded_batch_is_its_sequences_one_by_one(row: Row) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    results = list(parts(layer(xs, lengths=LENGTHS)))
    weights = output_gradients(results)
    together = ag.var(xs, requires_grad=True)
    go_back(list(parts(layer(together, lengths=LENGTHS))), weights)
    expected = gradients_of(layer)
    for b, n in enumerate(LENGTHS):
        leaf = ag.var(xs[b, :n], requires_grad=True)
        ys, *last = parts(layer(leaf))
        go_back([ys, *last], [weights[0][b, :n], *(w[b] for w in weights[1:])])
        assert_equal(
            [ys.value, *(s.value for s in last)], [results[0].value[b, :n], *(s.value[b] for s in results[1:])]
        )
        assert_equal([leaf.grad], [together.grad[b, :n]])
        assert not results[0].value[b, n:].any()
        assert not together.grad[b, n:].any()
    assert_equal(gradients_of(layer), expected)


@every_layer
def test_what_stands_in_the_padding_does_not_matter(row: Row) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    padding = (np.arange(T) >= np.array(LENGTHS)[:, None])[..., None]
    clean = train(layer, np.where(padding, 0, xs), lengths=LENGTHS)
    for junk in (np.nan, np.inf, 1e300):
        for a, b in zip(train(layer, np.where(padding, junk, xs), lengths=LENGTHS), clean, strict=True):
            np.testing.assert_array_equal(a, b)


@every_layer
def test_what_follows_the_padding_gives_no_gradient(row: Row) -> None:
    """A gradient that arrives at padding, and be it nan, leads nowhere."""
    layer, xs = row.layer(), ag.var(batch(B, T, D), requires_grad=True)
    ys, *_ = parts(layer(xs, lengths=LENGTHS))
    padding = (np.arange(T) >= np.array(LENGTHS)[:, None])[..., None]
    go_back([ys], [np.where(padding, np.nan, np.ones(ys.shape))])
    assert np.isfinite(xs.grad).all()
    assert all(np.isfinite(g).all() for g in gradients_of(layer))


@every_layer
def test_the_order_of_a_batch_does_not_matter(row: Row) -> None:
    layer, xs, order = row.layer(), batch(B, T, D), [2, 0, 3, 1]
    ys, *last = parts(layer(xs, lengths=LENGTHS))
    other, *end = parts(layer(xs[order], lengths=[LENGTHS[b] for b in order]))
    assert_equal([other.value, *(p.value for p in end)], [ys.value[order], *(p.value[order] for p in last)])


@every_layer
def test_one_sequence_is_a_batch_of_one(row: Row) -> None:
    layer, xs = row.layer(), batch(T, D)
    for a, b in zip(parts(layer(xs)), parts(layer(xs[None])), strict=True):
        np.testing.assert_array_equal(a.value, b.value[0])


@every_layer
def test_full_lengths_are_no_lengths(row: Row) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    assert_equal(train(layer, xs, lengths=[T] * B), train(layer, xs))


@every_layer
def test_a_list_of_nodes_is_stacked(row: Row) -> None:
    layer, xs = row.layer(), batch(T, D)
    steps = [ag.var(x, requires_grad=True) for x in xs]
    ys, *_ = parts(layer(steps))
    np.testing.assert_array_equal(ys.value, next(parts(layer(xs))).value)
    ag.sum(ys).backward()
    assert all(step.grad is not None and step.grad.any() for step in steps)


@every_layer
def test_sequences_of_one_step(row: Row) -> None:
    layer, xs = row.layer(), batch(B, 1, D)
    results = train(layer, xs)
    assert results[0].shape[:2] == (B, 1)
    assert_equal(results, train(layer, np.concatenate([xs, batch(B, 2, D)], axis=1)[:, :1], lengths=[1] * B))


# Gradients, dtypes, copies


@every_layer
def test_gradients_are_the_central_differences(row: Row) -> None:
    layer = row.layer()
    ag.gradcheck(lambda xs: list(parts(layer(xs, lengths=[2, 4]))), [batch(2, 4, D)], parameters=layer.parameters())


@every_recurrent
def test_gradients_of_the_state_are_the_central_differences(row: Row) -> None:
    layer = row.layer()

    def run(*state: ag.Node) -> list[ag.Node]:
        return list(parts(layer(batch(2, 4, D), layer.state_type(*state), [2, 4], reverse=True)))

    ag.gradcheck(run, [part.value for part in random_state(layer, 2)])


@every_layer
def test_float32_stays_float32(row: Row) -> None:
    layer, xs = row.layer(np.float32), batch(B, T, D).astype(np.float32)
    assert all(array.dtype == np.float32 for array in train(layer, xs, lengths=LENGTHS))
    wide = train(row.layer(), batch(B, T, D), lengths=LENGTHS)
    for a, b in zip(train(layer, xs, lengths=LENGTHS), wide, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


@every_layer
def test_copies_compute_the_same_and_share_nothing(row: Row) -> None:
    layer, xs = row.layer(), batch(T, D)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert repr(other) == repr(layer)
        assert_equal(train(other, xs), train(layer, xs))
        pairs = zip(other.parameters(), layer.parameters(), strict=True)
        assert not any(np.shares_memory(a.value, b.value) for a, b in pairs)


@every_layer
def test_a_state_dict_restores_the_layer(row: Row) -> None:
    layer, xs = row.layer(), batch(T, D)
    other = row.make(dtype=np.float64)
    other.load_state_dict(layer.state_dict())
    assert_equal(train(other, xs), train(layer, xs))


@every_layer
def test_frozen_parameters_and_inputs_get_no_gradient(row: Row) -> None:
    layer, xs = row.layer(), ag.var(batch(B, T, D))
    frozen, *free = layer.parameters()
    frozen.requires_grad = False
    ag.sum(next(parts(layer(xs, lengths=LENGTHS)))).backward()
    assert xs.grad is None
    assert frozen.grad is None
    assert all(p.grad is not None for p in free)


@every_layer
def test_no_graph_is_kept_without_gradients(row: Row) -> None:
    layer = row.layer()
    with ag.no_grad():
        assert not any(part.requires_grad for part in parts(layer(batch(B, T, D), lengths=LENGTHS)))


@every_layer
def test_the_initial_weights_are_ready_to_train(row: Row) -> None:
    layer = row.make()
    assert all(p.dtype == np.float32 and np.isfinite(p.value).all() for p in layer.parameters())
    ys, *_ = parts(layer(batch(T, D).astype(np.float32)))
    ag.sum(ys).backward()
    assert any(p.grad is not None and p.grad.any() for p in layer.parameters())


@every_layer
def test_equal_generators_give_equal_weights(row: Row) -> None:
    layers = [row.make(rng=LockedRand(5)) for _ in range(2)]
    for a, b in zip(*(layer.parameters() for layer in layers), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


# Bad input


@every_layer
def test_wrong_sequences_are_named(row: Row) -> None:
    layer = row.layer()
    with pytest.raises(
        ShapeError,
        match=r"\w+: expected xs of shape \(T, 3\) or \(B, T, 3\) for input_size, got \(6, 4\); features are",
    ):
        layer(np.ones((T, D + 1)))
    with pytest.raises(ShapeError, match=r"\w+: expected at least one step, got an empty list"):
        layer([])
    with pytest.raises(
        ShapeError, match=r"\w+: expected at least one sequence and one step, got xs of shape \(2, 0, 3\)"
    ):
        layer(np.ones((2, 0, D)))
    with pytest.raises(
        ShapeError, match=r"\w+: expected a padded batch \(B, T, D\) with lengths, got xs of shape \(6, 3\)"
    ):
        layer(np.ones((T, D)), lengths=[2])


@every_layer
def test_wrong_lengths_are_named(row: Row) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    with pytest.raises(ShapeError, match="lengths: expected values from 1 to 6, got 0 to 3"):
        layer(xs, lengths=[1, 2, 0, 3])
    with pytest.raises(ShapeError, match="lengths: expected values from 1 to 6, got 1 to 7"):
        layer(xs, lengths=[1, 2, 7, 3])
    with pytest.raises(ShapeError, match=r"lengths: expected shape \(4,\), one for each sequence, got \(2,\)"):
        layer(xs, lengths=[1, 2])
    with pytest.raises(
        TypeError, match=r"lengths: expected integers \(B,\) or a mask of booleans \(B, T\), got float64"
    ):
        layer(xs, lengths=[1.0, 2.0, 3.0, 4.0])


@every_layer
def test_a_mask_of_real_steps_is_their_lengths(row: Row) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    mask = np.arange(T) < np.array(LENGTHS)[:, None]
    for a, b in zip(train(layer, xs, lengths=mask), train(layer, xs, lengths=LENGTHS), strict=True):
        np.testing.assert_array_equal(a, b)


@every_layer
def test_wrong_masks_are_named(row: Row) -> None:
    layer, xs = row.layer(), batch(B, T, D)
    mask = np.ones((B, T), bool)
    with pytest.raises(ShapeError, match=r"lengths: expected a mask of shape \(B, 6\), got \(4, 5\)"):
        layer(xs, lengths=mask[:, 1:])
    with pytest.raises(ShapeError, match=r"lengths: expected a mask of shape \(B, 6\), got \(4,\)"):
        layer(xs, lengths=mask[:, 0])
    with pytest.raises(ShapeError, match=r"lengths: expected shape \(4,\), one for each sequence, got \(3,\)"):
        layer(xs, lengths=mask[1:])
    mask[2, :3] = False
    with pytest.raises(ShapeError, match="all real steps before the padding, got padding between them in sequence 2"):
        layer(xs, lengths=mask)
    mask[2] = False
    with pytest.raises(ShapeError, match="lengths: expected values from 1 to 6, got 0 to 6"):
        layer(xs, lengths=mask)


@every_recurrent
def test_wrong_steps_are_named(row: Row) -> None:
    name = type(row.layer()).__name__
    with pytest.raises(
        ShapeError,
        match=rf"{name}: expected x of shape \(\.\.\., 3\) for input_size, got \(4,\); features are the last",
    ):
        row.layer().next(np.ones(D + 1))


@every_recurrent
def test_a_state_of_another_layer_is_named(row: Row) -> None:
    layer = row.layer()
    name, kind = type(layer).__name__, layer.state_type.__name__
    other = nn.BiState(None, None)
    for run in (layer.next, lambda x, state: layer(x[None], state)):
        with pytest.raises(TypeError, match=f"{name}: expected a state of class {kind}, got BiState"):
            run(batch(D), other)
    good = random_state(layer, B)
    small = good._replace(**{good._fields[0]: ag.var(np.ones((B, H + 4)))})
    with pytest.raises(ShapeError, match=rf"{name}: expected a state with \w+ of shape \(4, \d\), got \(4, 9\)"):
        layer.next(batch(B, D), small)
    with pytest.raises(ShapeError, match=rf"{name}: expected a state with \w+ of shape \(4, \d\), got \(4, 9\)"):
        layer(batch(B, T, D), small)
    with pytest.raises(ShapeError, match=rf"{name}: expected a state with \w+ of shape \(2, \d\), got \(4, \d\)"):
        layer(batch(2, T, D), good)


@pytest.mark.parametrize("row", [row for row in SEQUENCE if row.make_bad], ids=str)
def test_sizes_below_1_are_named(row: Row) -> None:
    assert row.make_bad is not None
    with pytest.raises(ShapeError, match=rf"{row.name}: expected sizes of at least 1, got .*\d"):
        row.make_bad()


def test_delays_are_at_most_the_units_that_choose_among_them() -> None:
    with pytest.raises(ShapeError, match="MIST: expected at most hidden_size = 5 delays, got 6"):
        nn.MIST(D, H, H + 1)


def test_a_layer_without_a_step_is_named() -> None:
    class Stepless(nn.Recurrent[nn.HiddenState]):
        input_size = hidden_size = D

    with pytest.raises(NotImplementedError, match="Stepless: expected a method step, which computes one step"):
        Stepless()(np.ones((T, D)))


# What sets one layer apart


def test_delays_reach_back_1_2_4_steps() -> None:
    layer = next(row for row in RECURRENT if row.name == "MIST").layer()
    xs = batch(9, D)
    states = [layer.next(xs[0])]
    for x in xs[1:]:
        states.append(layer.next(x, states[-1]))
    assert layer.state_shapes() == ((H,), (3, H))
    for k in range(3):
        np.testing.assert_array_equal(states[8].earlier.value[k], states[7 - k].h.value)


def test_an_activation_is_a_function() -> None:
    layer = nn.IndRNN(D, H, activation=ag.sigmoid, dtype=np.float64)
    x = batch(D)
    y = layer.next(x).h.value
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-(layer.weight_ih.value @ x))), rtol=1e-12)
    assert layer.weight_hh.value.min() >= 0
    assert layer.weight_hh.value.max() <= 1


def test_linear_attention_is_a_mean_of_values() -> None:
    layer = nn.RLA(D, dtype=np.float64)
    xs = batch(T, D)
    ys, _ = layer(xs)
    k, v, q = np.split(layer.project(ag.var(xs)).value, 3, axis=-1)
    for t in range(T):
        weights = k[: t + 1] @ q[t]
        np.testing.assert_allclose(ys.value[t], weights @ v[: t + 1] / weights.sum(), rtol=1e-9)


def test_shuffling_moves_units_by_one_place_a_step() -> None:
    layer = nn.SRNN(D, 3, 3, hyper_size=2)
    for p in layer.parameters():
        p.value[...] = 0
    h = np.array([1.0, 2.0, 3.0], np.float32)
    zeros = layer.initial_state()
    _, state = layer(np.ones((2, D), np.float32), zeros._replace(h=ag.var(h)))
    np.testing.assert_array_equal(state.h.value, [2, 3, 1])
