"""Linear, Embedding, Dropout and the containers."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from spago import ag, nn
from spago.mat import Array, ShapeError
from spago.mat.rand import LockedRand, manual_seed


def a_batch(*shape: int) -> Array:
    return np.random.default_rng(2).normal(size=shape)


# Linear


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3), (0, 3)])
def test_linear_is_its_equation_on_any_batch(shape: tuple[int, ...]) -> None:
    linear, x = nn.Linear(3, 2, dtype=np.float64), a_batch(*shape)
    assert linear.bias is not None
    linear.bias.value[...] = [1.0, -1.0]
    np.testing.assert_allclose(linear(x).value, x @ linear.weight.value.T + linear.bias.value, rtol=1e-14)


@pytest.mark.parametrize("rows", [1, 2, 48, 49])
def test_few_rows_by_a_large_weight_are_as_many(rows: int) -> None:
    # Few of them are computed the other way round.
    linear, x = nn.Linear(300, 400, dtype=np.float64), a_batch(60, 300)
    np.testing.assert_allclose(linear(x[:rows]).value, linear(x).value[:rows], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("bias", [True, False])
def test_the_gradients_of_linear_are_central_differences(bias: bool) -> None:
    linear = nn.Linear(3, 2, bias=bias, dtype=np.float64)
    ag.gradcheck(linear, [a_batch(2, 4, 3)], parameters=[p for p in linear.parameters() if isinstance(p, nn.Param)])


def test_linear_starts_xavier_uniform_from_the_given_stream() -> None:
    weight = nn.Linear(40, 20, rng=LockedRand(1)).weight.value
    limit = math.sqrt(6 / 60)
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, LockedRand(1).uniform((20, 40), -limit, limit, np.float32))
    manual_seed(1)
    np.testing.assert_array_equal(nn.Linear(40, 20).weight.value, weight)
    assert nn.Linear(40, 20).state_dict()["bias"].tolist() == [0.0] * 20


def test_linear_names_what_does_not_fit() -> None:
    with pytest.raises(
        ShapeError, match=r"Linear: expected x of shape \(..., 3\) for weight \(2, 3\), got \(3, 2\); features"
    ):
        nn.Linear(3, 2)(a_batch(3, 2))
    with pytest.raises(ShapeError, match=r"Linear: expected x of shape \(..., 3\) for weight \(2, 3\), got \(\)"):
        nn.Linear(3, 2)(1.0)
    with pytest.raises(ShapeError, match="Linear: expected sizes of at least 1, got 0 and 2"):
        nn.Linear(0, 2)


# Embedding


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 4)])
def test_an_embedding_is_a_look_up_of_any_shape(shape: tuple[int, ...]) -> None:
    embedding = nn.Embedding(7, 3)
    indices = np.random.default_rng(1).integers(0, 7, shape)
    y = embedding(indices)
    np.testing.assert_array_equal(y.value, embedding.weight.value[indices])
    y.backward()
    expected = np.zeros((7, 3), np.float32)
    np.add.at(expected, indices.reshape(-1), 1)
    np.testing.assert_array_equal(embedding.weight.grad, expected)


def test_the_gradients_of_an_embedding_are_central_differences() -> None:
    embedding = nn.Embedding(5, 3, dtype=np.float64)
    ag.gradcheck(lambda: embedding([[1, 1, 3], [0, 1, 4]]), [], parameters=[embedding.weight])


def test_two_look_ups_sum_their_gradients() -> None:
    embedding = nn.Embedding(3, 2)
    ag.sum(ag.concat([embedding([0, 1]), embedding([1])], axis=0)).backward()
    assert embedding.weight.grad.tolist() == [[1, 1], [2, 2], [0, 0]]


def test_padding_starts_at_0_and_receives_no_gradient() -> None:
    embedding = nn.Embedding(3, 2, padding_idx=1)
    assert embedding.weight.value[1].tolist() == [0, 0]
    embedding([1, 2, 1, 0, 2]).backward()
    assert embedding.weight.grad.tolist() == [[1, 1], [0, 0], [2, 2]]
    embedding.zero_grad()
    embedding([1, 1]).backward()
    assert embedding.weight.grad is None or not embedding.weight.grad.any()


def test_an_embedding_starts_standard_normal_from_the_given_stream() -> None:
    weight = nn.Embedding(50, 20, rng=LockedRand(1)).weight.value
    np.testing.assert_array_equal(weight, LockedRand(1).normal((50, 20), dtype=np.float32))


@pytest.mark.parametrize(("index", "found"), [(-1, "-1 to 2"), (3, "2 to 3")])
def test_an_embedding_finds_a_symbol_out_of_range(index: int, found: str) -> None:
    with pytest.raises(IndexError, match=f"Embedding: expected indices from 0 to 2, num_embeddings - 1, got {found}"):
        nn.Embedding(3, 2)([2, index])


def test_an_embedding_names_other_faults() -> None:
    with pytest.raises(TypeError, match="Embedding: expected indices that are integers, got float64"):
        nn.Embedding(3, 2)([0.5])
    with pytest.raises(ValueError, match="Embedding: expected padding_idx from 0 to 2, got 3"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(ShapeError, match="Embedding: expected sizes of at least 1, got 3 and 0"):
        nn.Embedding(3, 0)


# Dropout


def test_dropout_keeps_the_expectation() -> None:
    y = nn.Dropout(0.25, rng=LockedRand(1))(np.ones(100_000, np.float32)).value
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert y.dtype == np.float32
    assert y.mean() == pytest.approx(1, abs=0.01)


def test_dropout_hands_gradients_through_its_mask() -> None:
    x = ag.var(a_batch(50), requires_grad=True)
    y = nn.Dropout(0.5)(x)
    y.backward()
    np.testing.assert_array_equal(y.value, x.value * x.grad)


def test_dropout_does_nothing_after_training_and_for_0() -> None:
    x = ag.var(a_batch(5))
    assert nn.Dropout(0.5).eval()(x) is x
    assert nn.Dropout(0.0)(x) is x
    assert nn.Dropout(0.5).eval()(x.value).value is x.value


def test_dropout_of_everything_is_0() -> None:
    assert not nn.Dropout(1.0)(a_batch(5)).value.any()


def test_dropout_can_share_its_mask_over_time() -> None:
    y = nn.Dropout(0.5, shared_axis=-2, rng=LockedRand(1))(np.ones((4, 6, 50), np.float32)).value
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len(np.unique(y, axis=0)) == 4
    assert set(np.unique(y)) == {0.0, 2.0}


def test_dropout_draws_from_the_default_generator() -> None:
    dropout, x = nn.Dropout(0.5), np.ones(100, np.float32)
    manual_seed(3)
    first = dropout(x).value
    assert not np.array_equal(dropout(x).value, first)
    manual_seed(3)
    np.testing.assert_array_equal(dropout(x).value, first)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_of_dropout_continues_its_stream(duplicate: object) -> None:
    dropout, x = nn.Dropout(0.5, rng=LockedRand(1)), np.ones(100, np.float32)
    dropout(x)
    assert callable(duplicate)
    other = duplicate(dropout)
    np.testing.assert_array_equal(other(x).value, dropout(x).value)


def test_dropout_names_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="Dropout: expected a probability p from 0 to 1, got 1.5"):
        nn.Dropout(1.5)
    with pytest.raises(ShapeError, match=r"Dropout: expected x with an axis -2, shared_axis, got shape \(3,\)"):
        nn.Dropout(0.5, shared_axis=-2)(np.ones(3, np.float32))


# Containers


def test_sequential_feeds_each_with_the_one_before() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), ag.tanh), a_batch(5, 3)
    assert model.append(nn.Linear(4, 2)) is model
    first, function, second = model
    np.testing.assert_array_equal(model(x).value, second(function(first(x))).value)
    assert len(model) == 3
    assert model[1] is function
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_sequential_survives_pickling() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), ag.tanh, nn.Linear(4, 2)), a_batch(5, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model))(x).value, model(x).value)


def test_a_module_list_names_its_modules_by_number() -> None:
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
    layers.append(nn.Linear(2, 1))
    assert len(layers) == 3
    assert [layer.out_features for layer in layers] == [2, 2, 1]
    assert layers[-1].out_features == 1
    assert [name for name, _ in layers.named_modules()] == ["", "0", "1", "2"]
