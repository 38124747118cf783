"""Pickles and deep copies of nodes, parameters and their holders: equal, sharing what was shared, without graphs."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spago import ag, nn, optim
from spago.ag import Node


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


every_way = pytest.mark.parametrize("duplicate", [copy.deepcopy, _pickled], ids=["deepcopy", "pickle"])


def _source() -> ag.Variable:
    return ag.var(np.arange(6.0).reshape(2, 3), requires_grad=True, name="x")


NODES: dict[str, Callable[[], Node]] = {
    "variable": _source,
    "float32": lambda: ag.var([1.0, 2.0], name="y"),
    "number": lambda: ag.var(2.0),
    "param": lambda: nn.Param(np.ones((2, 3)), name="weight"),
    "frozen param": lambda: nn.Param(np.ones((2, 3)), name="weight", requires_grad=False),
    "sparse param": lambda: nn.SparseParam(np.ones((4, 3), np.float32), name="table"),
    "buffer": lambda: nn.Buffer([1.0, 2.0], name="mean"),
    "result": lambda: _source() * 2,
    "one of several results": lambda: ag.split(_source(), 3)[1],
    "stopped": lambda: ag.stop_grad(_source()),
    "stopped result": lambda: ag.stop_grad(ag.exp(_source())),
    "large": lambda: ag.exp(ag.var(np.ones((600, 500)), requires_grad=True)),
}


@every_way
@pytest.mark.parametrize("name", NODES)
def test_a_node_comes_back_with_value_dtype_and_name(name: str, duplicate: Callable[[Any], Any]) -> None:
    node = NODES[name]()
    other = duplicate(node)
    np.testing.assert_array_equal(other.value, node.value)
    assert (other.dtype, other.shape, other.name) == (node.dtype, node.shape, node.name)
    assert other.is_leaf
    assert not np.shares_memory(other.value, node.value)
    # A result is a leaf afterwards, and as such needs no gradient.
    assert other.requires_grad == (node.requires_grad and node.is_leaf)
    assert type(other) is (type(node) if node.is_leaf else ag.Variable)


@every_way
@pytest.mark.parametrize("name", NODES)
def test_a_node_that_came_back_takes_part_in_a_graph(name: str, duplicate: Callable[[Any], Any]) -> None:
    other = duplicate(NODES[name]())
    x = ag.var(np.ones(other.shape, other.dtype), requires_grad=True)
    ag.sum(x * other * other).backward()
    np.testing.assert_allclose(x.grad, other.value**2)
    assert (other.grad is not None) == other.requires_grad


@pytest.mark.parametrize("length", [1, 10_000])
def test_a_pickle_of_a_result_has_the_size_of_its_value(length: int) -> None:
    y: Node = ag.var(np.ones(100), requires_grad=True)
    for _ in range(length):
        y = y + 1.0
    assert len(pickle.dumps(y)) < 1100
    assert len(pickle.dumps(ag.stop_grad(y))) < 1200
    assert copy.deepcopy(y).value[0] == length + 1


@every_way
def test_parameters_have_their_payload_and_no_gradient(duplicate: Callable[[Any], Any]) -> None:
    param = nn.Param([1.0, 2.0], name="w")
    ag.sum(param * param).backward()
    optim.Adam([param]).step()
    other = duplicate(param)
    assert other.grad is None
    assert param.payload is not None
    assert other.payload.label == param.payload.label == "Adam"
    for key, array in param.payload.arrays.items():
        np.testing.assert_array_equal(other.payload.arrays[key], array)
        assert not np.shares_memory(other.payload.arrays[key], array)


class Tied(nn.Module):
    """Parameters, modules, a buffer, nodes and a graph, some of them in several places."""

    def __init__(self) -> None:
        self.first = nn.Linear(2, 2)
        self.again = self.first
        self.weight = self.first.weight
        self.table = {"bias": self.first.bias, "parts": [self.first, nn.LSTM(2, 2)]}
        self.mean = nn.Buffer([1.0, 2.0])
        self.means = (self.mean, self.mean)
        self.last: Any = None


@every_way
def test_what_was_shared_is_shared_and_nothing_else(duplicate: Callable[[Any], Any]) -> None:
    model = Tied()
    xs = ag.var(np.ones((3, 2), np.float32), requires_grad=True)
    model.last = model.first(xs)
    ag.sum(model.last).backward()
    other = duplicate(model)
    assert other.again is other.first
    assert other.weight is other.first.weight
    assert other.table["bias"] is other.first.bias
    assert other.table["parts"][0] is other.first
    assert other.means[0] is other.means[1] is other.mean
    assert other.weight is not model.weight
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in model.named_parameters()]
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(ours.value, theirs.value)
        assert not np.shares_memory(ours.value, theirs.value)
        assert theirs.grad is None
    # The last result is its value; what it was computed from stayed behind.
    np.testing.assert_array_equal(other.last.value, model.last.value)
    assert other.last.is_leaf


@every_way
def test_two_models_copied_together_still_share(duplicate: Callable[[Any], Any]) -> None:
    encoder = nn.Linear(2, 2)
    one, two = duplicate((nn.Sequential(encoder, nn.Linear(2, 1)), nn.Sequential(encoder, nn.Linear(2, 3))))
    assert one[0] is two[0]
    assert one[0].weight is two[0].weight


@every_way
def test_a_model_and_its_optimizer_stay_together(duplicate: Callable[[Any], Any]) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters(), learning_rate=0.1)

    def step(layer: Any, method: Any) -> Any:
        ag.sum(layer(np.ones((1, 2), np.float32))).backward()
        method.step()
        method.zero_grad()
        return layer.weight.value.copy()

    step(model, optimizer)
    other, method = duplicate((model, optimizer))
    np.testing.assert_array_equal(step(other, method), step(model, optimizer))
    np.testing.assert_array_equal(step(other, method), step(model, optimizer))


@every_way
def test_a_model_in_a_memory_map_becomes_one_in_memory(tmp_path: Path, duplicate: Callable[[Any], Any]) -> None:
    model = nn.Linear(30, 20)
    nn.save(model, tmp_path / "file")
    mapped = nn.load_model(tmp_path / "file", memory_map=True)
    other = duplicate(mapped)
    del mapped
    np.testing.assert_array_equal(other.weight.value, model.weight.value)
    other.weight.value[...] = 0  # and is one's own


@every_way
def test_a_released_result_says_that_there_is_no_value(duplicate: Callable[[Any], Any]) -> None:
    y = ag.exp(_source()) * 2
    ag.release_graph(y)
    with pytest.raises(ag.GraphError, match="the value of this node was released by release_graph; compute it again"):
        duplicate(y)
