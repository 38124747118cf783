"""Module, Param and Buffer: what belongs to a model, its names, its state, copies, messages."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spago import ag, nn
from spago.ag import Node


class Encoder(nn.Module):
    """A module with parts of every kind."""

    def __init__(self) -> None:
        self.scale = nn.Param([2.0], name="scale")
        self.layers: list[Any] = [nn.Linear(2, 2), None, nn.Linear(2, 2, bias=False)]
        self.pair = (nn.Param(np.ones((1, 2), np.float32)), "text")
        self.by_name: dict[Any, Any] = {"a": nn.Linear(2, 1), 3: nn.Buffer([0.5]), "none": None}
        self.size = 2
        self.words = ["a", "b"]

    def forward(self, x: Node) -> Node:
        y: Node = self.layers[0](x) * self.scale
        return y


NAMES = ["scale", "layers.0.weight", "layers.0.bias", "layers.2.weight", "pair.0", "by_name.a.weight", "by_name.a.bias"]


class Rows:
    """A source of parameters that is no module, as embeddings on disk are."""

    def __init__(self) -> None:
        self.rows = [nn.Param([1.0, 2.0], name="rows"), nn.Param([3.0])]
        self.zeroed = 0

    def parameters(self) -> Iterator[nn.Trainable]:
        yield from self.rows

    def zero_grad(self) -> None:
        self.zeroed += 1


class Tied(nn.Module):
    """Two layers with one weight, a part that is there twice, and one that knows the whole."""

    def __init__(self) -> None:
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.again = self.first
        self.whole = self


def test_parameters_are_found_in_the_order_of_the_attributes() -> None:
    assert [name for name, _ in Encoder().named_parameters()] == NAMES


def test_names_can_have_a_prefix() -> None:
    assert next(Encoder().named_parameters("encoder"))[0] == "encoder.scale"
    assert [name for name, _ in nn.Linear(1, 1).named_modules("x")] == ["x"]


def test_buffers_are_found_apart() -> None:
    encoder = Encoder()
    assert [name for name, _ in encoder.named_buffers()] == ["by_name.3"]
    assert [buffer.value.tolist() for buffer in encoder.buffers()] == [[0.5]]


def test_modules_are_found_parents_first() -> None:
    assert [name for name, _ in Encoder().named_modules()] == ["", "layers.0", "layers.2", "by_name.a"]
    assert [type(module).__name__ for module in Encoder().modules()] == ["Encoder", "Linear", "Linear", "Linear"]


def test_an_attribute_set_later_counts() -> None:
    encoder = Encoder()
    encoder.extra = nn.Param([1.0])  # type: ignore[attr-defined]
    assert [name for name, _ in encoder.named_parameters()] == [*NAMES, "extra"]
    encoder.layers[0] = None
    assert "layers.0.weight" not in encoder.state_dict()


def test_a_shared_parameter_is_one_parameter() -> None:
    tied = Tied()
    names = ["first.weight", "first.bias", "second.bias"]
    assert [name for name, _ in tied.named_parameters()] == names
    assert list(tied.state_dict()) == names
    assert tied.num_parameters() == 4 + 2 + 2


def test_a_shared_parameter_sums_its_gradients() -> None:
    tied, x = Tied(), np.ones((1, 2), np.float32)
    (tied.first(x) + tied.second(x)).backward()
    np.testing.assert_array_equal(tied.first.weight.grad, np.full((2, 2), 2))


def test_numbers_of_parameters_are_counted() -> None:
    assert nn.Linear(3, 4).num_parameters() == 16
    assert Encoder().num_parameters() == 1 + 6 + 4 + 2 + 3


def test_apply_visits_parts_before_the_whole() -> None:
    seen: list[str] = []
    tied = Tied()
    assert tied.apply(lambda module: seen.append(type(module).__name__)) is tied
    assert seen == ["Linear", "Linear", "Tied"]


def test_training_is_switched_everywhere() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    assert all(module.training for module in model.modules())
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.train().modules())


def test_zero_grad_forgets_all_gradients() -> None:
    tied = Tied()
    tied.first(np.ones((1, 2), np.float32)).backward()
    tied.zero_grad()
    assert [parameter.grad for parameter in tied.parameters()] == [None] * 3


def test_to_converts_values_gradients_and_payloads() -> None:
    model = nn.Linear(2, 2)
    model(np.ones((1, 2), np.float32)).backward()
    model.weight.payload = nn.Payload("Adam", {"m": np.ones((2, 2), np.float32)})
    assert model.to(np.float64) is model
    for parameter in model.parameters():
        assert parameter.value.dtype == parameter.grad.dtype == np.float64
    assert model.weight.payload.arrays["m"].dtype == np.float64
    assert Encoder().to(np.float64).by_name[3].value.dtype == np.float64


def test_to_refuses_other_dtypes_and_changes_nothing() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="Linear.to: expected dtype float32 or float64, got int32"):
        model.to(np.int32)
    assert model.weight.dtype == np.float32


# Sources of parameters that are no modules


class Reader(nn.Module):
    """A module with a source of parameters in it."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.linear = nn.Linear(2, 1)


def test_a_source_of_parameters_takes_part() -> None:
    reader = Reader()
    assert [name for name, _ in reader.named_parameters()] == ["rows.rows", "rows.1", "linear.weight", "linear.bias"]
    reader.zero_grad()
    assert reader.rows.zeroed == 1


def test_a_source_of_parameters_keeps_its_state_itself() -> None:
    reader = Reader()
    assert list(reader.state_dict()) == ["linear.weight", "linear.bias"]
    assert reader.num_parameters() == 3
    assert [type(module).__name__ for module in reader.modules()] == ["Reader", "Linear"]


# State


def test_a_state_loads_into_another_model() -> None:
    one, other = Encoder(), Encoder()
    one.by_name[3].value = np.array([7.0], np.float32)
    assert other.load_state_dict(one.state_dict()) == ([], [])
    for name, value in one.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], value)


def test_a_state_is_a_copy_unless_asked_otherwise() -> None:
    linear = nn.Linear(2, 2)
    state, own = linear.state_dict(), linear.state_dict(copy=False)
    linear.weight.value += 1
    assert not np.array_equal(state["weight"], linear.weight.value)
    assert own["weight"] is linear.weight.value


def test_loading_keeps_the_dtype_of_the_model_and_its_arrays() -> None:
    linear = nn.Linear(2, 2)
    held = linear.weight.value
    linear.load_state_dict({"weight": [[1.0, 2.0], [3.0, 4.0]], "bias": np.zeros(2, np.float64)})
    assert linear.weight.value is held
    assert held.tolist() == [[1, 2], [3, 4]]
    assert held.dtype == np.float32


def test_loading_replaces_an_array_that_cannot_be_written() -> None:
    linear = nn.Linear(2, 2)
    linear.weight.value.flags.writeable = False
    linear.load_state_dict({"weight": np.ones((2, 2)), "bias": np.ones(2)})
    assert linear.weight.value.tolist() == [[1, 1], [1, 1]]


def test_all_that_does_not_fit_is_listed_at_once_and_nothing_is_changed() -> None:
    encoder = Encoder()
    before = encoder.state_dict()
    state: dict[str, Any] = {name: value + 1 for name, value in before.items()}
    del state["scale"], state["layers.0.bias"]
    state |= {"more": np.zeros(1), "pair.0": np.zeros((3, 1))}
    message = (
        r"Encoder: the state does not fit: unexpected more; missing scale, layers.0.bias; "
        r"expected pair.0 \(1, 2\), got \(3, 1\)"
    )
    with pytest.raises(ValueError, match=message):
        encoder.load_state_dict(state)
    with pytest.raises(ValueError, match=r"does not fit: expected pair.0 \(1, 2\), got \(3, 1\)$"):
        encoder.load_state_dict(state, strict=False)
    for name, value in encoder.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_what_is_no_number_changes_nothing() -> None:
    linear = nn.Linear(2, 2)
    before = linear.weight.value.copy()
    with pytest.raises(ValueError, match="could not convert"):
        linear.load_state_dict({"weight": np.ones((2, 2)), "bias": ["a", "b"]})
    np.testing.assert_array_equal(linear.weight.value, before)


def test_without_strict_names_may_differ() -> None:
    linear = nn.Linear(2, 2)
    result = linear.load_state_dict({"weight": np.ones((2, 2)), "more": 1.0}, strict=False)
    assert result.missing == ["bias"]
    assert result.unexpected == ["more"]
    assert linear.weight.value.tolist() == [[1, 1], [1, 1]]


def test_a_shared_parameter_loads_under_any_of_its_names() -> None:
    tied = Tied()
    weight = np.full((2, 2), 3.0)
    for name in ("second.weight", "again.weight", "first.weight"):
        tied.first.weight.value[...] = 0
        assert tied.load_state_dict({name: weight, "first.bias": [1, 2], "second.bias": [3, 4]}) == ([], [])
        np.testing.assert_array_equal(tied.second.weight.value, weight)


def test_two_parameters_of_one_name_are_refused() -> None:
    class Clash(nn.Module):
        def __init__(self) -> None:
            self.parts = {"a.b": nn.Param([1.0]), "a": {"b": nn.Param([2.0])}}

    with pytest.raises(ValueError, match="Clash: expected each name once, got 'parts.a.b' twice; rename a dict key"):
        Clash().state_dict()


# Copies


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_equal_and_their_own(duplicate: Any) -> None:
    tied = Tied()
    tied.first.weight.payload = nn.Payload("SGD", {"v": np.ones((2, 2), np.float32)})
    tied.first.bias.requires_grad = False  # type: ignore[union-attr]
    tied.first(np.ones((1, 2), np.float32)).backward()
    other = duplicate(tied)
    for name, value in tied.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], value)
    assert other.second.weight is other.first.weight is not tied.first.weight
    assert other.whole is other
    assert other.again is other.first
    assert other.first.weight.grad is None
    assert other.first.weight.payload == nn.Payload("SGD", other.first.weight.payload.arrays)
    assert other.first.weight.name == "weight"
    assert not other.first.bias.requires_grad
    other.first.weight.value += 1
    assert not np.array_equal(other.first.weight.value, tied.first.weight.value)


class Keeper(nn.Module):
    """A module that keeps a result of its own."""

    def __init__(self) -> None:
        self.linear = nn.Linear(2, 2)
        self.last: Node | None = None


def test_a_copy_drags_no_graph_along() -> None:
    keeper = Keeper()
    y = keeper.linear(np.ones((1, 2), np.float32))
    for _ in range(2000):
        y = y + 1
    keeper.last = y
    other = pickle.loads(pickle.dumps(keeper))
    np.testing.assert_array_equal(other.last.value, y.value)
    assert other.last.operands == ()
    np.testing.assert_array_equal(copy.deepcopy(keeper).last.value, y.value)  # type: ignore[union-attr]


def test_models_are_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(2, 2), ag.tanh)
        model(np.ones((1, 2), np.float32)).backward()
        list(model.named_parameters())
        model.state_dict()
        del model
        assert gc.collect() == 0
    finally:
        gc.enable()


# Param and Buffer


def test_replace_value_forgets_gradient_and_payload() -> None:
    parameter = nn.Param([1.0, 2.0])
    (parameter * 2.0).backward()
    parameter.payload = nn.Payload("SGD")
    parameter.replace_value([[3.0]])
    assert parameter.value.tolist() == [[3.0]]
    assert parameter.grad is None
    assert [parameter.payload] == [None]
    with pytest.raises(TypeError, match="expected an array of float32 or float64, got int64"):
        parameter.replace_value(np.arange(3))
    assert parameter.value.tolist() == [[3.0]]


def test_a_frozen_parameter_receives_nothing() -> None:
    linear = nn.Linear(2, 2)
    linear.weight.requires_grad = False
    linear(np.ones((1, 2), np.float32)).backward()
    assert linear.weight.grad is None
    assert linear.bias is not None
    assert linear.bias.grad is not None


def test_a_buffer_receives_nothing() -> None:
    buffer, parameter = nn.Buffer([2.0], name="mean"), nn.Param([3.0])
    (buffer * parameter).backward()
    assert buffer.grad is None
    assert buffer.name == "mean"
    assert parameter.grad.tolist() == [2.0]
    assert pickle.loads(pickle.dumps(buffer)).value.tolist() == [2.0]


def test_a_parameter_is_what_an_optimizer_updates() -> None:
    trainable: nn.Trainable = nn.Param([1.0], name="w")
    trainable.grad = np.array([0.5], np.float32)
    trainable.value -= np.array([0.5], np.float32)
    trainable.commit()
    assert trainable.value.tolist() == [0.5]
    assert repr(trainable) == "<Param 'w' float32(1,), requires_grad: [0.5]>"


# Looks


def test_the_picture_is_a_tree_with_shapes_and_counts() -> None:
    assert repr(nn.Sequential(nn.Linear(1200, 3), nn.Dropout(0.2))) == (
        "Sequential: 3,603 parameters\n"
        "  0: Linear(1200, 3): 3,603 parameters: weight (3, 1200), bias (3,)\n"
        "  1: Dropout(0.2): 0 parameters"
    )


def test_the_picture_shows_a_part_once() -> None:
    assert repr(Tied()) == (
        "Tied: 8 parameters\n"
        "  first: Linear(2, 2): 6 parameters: weight (2, 2), bias (2,)\n"
        "  second: Linear(2, 2): 6 parameters: weight (2, 2), bias (2,)\n"
        "  again: Linear(2, 2): see above\n"
        "  whole: Tied: see above"
    )


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Tied: expected a method forward"):
        Tied()(1.0)


def test_calling_is_forward() -> None:
    encoder, x = Encoder(), np.ones((1, 2), np.float32)
    np.testing.assert_array_equal(encoder(x).value, encoder.forward(ag.var(x)).value)
