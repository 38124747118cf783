"""What holds for every public layer, of whatever kind."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from module_table import EVERY, OTHERS, AnyRow, Row, public_layers
from spago import ag, nn
from spago.mat import Array
from spago.mat.rand import LockedRand

every_layer = pytest.mark.parametrize("row", EVERY, ids=str)
every_other_layer = pytest.mark.parametrize("row", OTHERS, ids=str)
every_duplicate = pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))], ids=["deepcopy", "pickle"]
)
Duplicate = Callable[[Any], Any]

KINDS: list[Any] = sorted(public_layers(), key=lambda kind: kind.__name__)

PLAIN = {nn.Sequential, nn.ModuleList}
"""Containers: they have no shapes of their own."""

FOLKLORE = PLAIN | {
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv1x1, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
    *(nn.Embedding, nn.Flatten, nn.Activation),
}
"""Layers that are older than the papers which use them."""


def values(row: AnyRow, layer: nn.Module) -> list[Array]:
    return [node.value for node in row.results(layer)]


def assert_same(row: AnyRow, layer: nn.Module, other: nn.Module) -> None:
    for a, b in zip(values(row, other), values(row, layer), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_layer_has_a_row() -> None:
    made = {type(row.make(rng=LockedRand(1), dtype=np.float32)) for row in EVERY}
    assert public_layers() <= made


# What it says of itself


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_layer_tells_its_shapes_and_its_source(kind: type[nn.Module]) -> None:
    text = inspect.getdoc(kind) or ""
    assert "Args:" in text or not inspect.signature(kind).parameters
    assert ("Shapes:" in text) == (kind not in PLAIN)
    assert ("Source:" in text) == (kind not in FOLKLORE)


@every_layer
def test_a_layer_tells_the_shape_of_each_parameter(row: AnyRow) -> None:
    layer = row.make(rng=LockedRand(1), dtype=np.float32)
    text = inspect.getdoc(type(layer)) or ""
    own = [name for name, _ in layer.named_parameters() if "." not in name]
    assert [name for name in own if name not in text] == []


# Copies


@every_layer
@every_duplicate
def test_a_copy_is_the_same_and_shares_no_memory(row: AnyRow, duplicate: Duplicate) -> None:
    layer = row.layer()
    other = duplicate(layer)
    assert repr(other) == repr(layer)
    assert_same(row, layer, other)
    ours, theirs = layer.state_dict(copy=False), other.state_dict(copy=False)
    assert list(ours) == list(theirs)
    assert not any(np.shares_memory(ours[name], theirs[name]) for name in ours)


class Twins(nn.Module):
    """A model in which a layer stands at two places, and a parameter of it at a third."""

    def __init__(self, layer: nn.Module) -> None:
        self.one, self.other = layer, [layer]
        self.tied = next(layer.parameters(), None)


@every_layer
@every_duplicate
def test_what_is_shared_stays_shared_in_a_copy(row: AnyRow, duplicate: Duplicate) -> None:
    twins = duplicate(Twins(row.layer()))
    assert twins.one is twins.other[0]
    assert twins.tied is next(twins.one.parameters(), None)


@every_layer
def test_a_copy_drags_no_graph_along(row: AnyRow) -> None:
    layer = row.layer()
    before = len(pickle.dumps(layer))
    results = row.results(layer)
    if any(node.requires_grad for node in results):
        ag.backward_many([node for node in results if node.requires_grad])
    assert len(pickle.dumps(layer)) == before
    assert not any(p.grad is not None for p in pickle.loads(pickle.dumps(layer)).parameters())
    # The results are still alive here.
    assert all(node.value is not None for node in results)


# States and files


@every_layer
def test_a_state_makes_another_layer_the_same(row: AnyRow) -> None:
    layer = row.layer()
    other = row.make(rng=LockedRand(9), dtype=np.float64).train(layer.training)
    other.load_state_dict(layer.state_dict())
    assert_same(row, layer, other)


@every_layer
def test_a_state_of_another_layer_is_refused_and_changes_nothing(row: AnyRow) -> None:
    layer = row.layer()
    before = layer.state_dict()
    with pytest.raises(ValueError, match=f"^{type(layer).__name__}: the state does not fit: .*weight_of_another"):
        layer.load_state_dict({**before, "weight_of_another": np.ones((2, 3))})
    wrong = {name: np.ones((*value.shape, 2)) for name, value in before.items()}
    if wrong:
        with pytest.raises(ValueError, match=r"the state does not fit: expected .* got \("):
            layer.load_state_dict(wrong)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@every_layer
def test_a_file_makes_the_layer_again(row: AnyRow, tmp_path: Path) -> None:
    layer = row.layer()
    nn.save(layer, tmp_path / "layer")
    again = nn.load_model(tmp_path / "layer").train(layer.training)
    assert repr(again) == repr(layer)
    assert_same(row, layer, again)


# Those without a table of their own


@pytest.mark.parametrize("row", [row for row in OTHERS if row.smooth], ids=str)
def test_gradients_are_central_differences(row: Row) -> None:
    layer = row.layer()
    inputs = row.inputs(2)
    ag.gradcheck(lambda *nodes: row.run(layer, *nodes), inputs, parameters=list(layer.parameters()), rtol=1e-4)


@pytest.mark.parametrize("row", [row for row in OTHERS if row.shapes], ids=str)
def test_a_batch_is_its_examples_one_by_one(row: Row) -> None:
    layer, inputs = row.layer(), row.inputs(3)

    def train(arrays: list[Array], weights: Array | None = None) -> tuple[ag.Node, list[Array]]:
        leaves = [ag.var(x, requires_grad=True) for x in arrays]
        y = row.run(layer, *leaves)
        y.backward(weights if weights is not None else np.random.default_rng(3).normal(size=y.shape))
        gradients = [np.array(p.grad) for p in layer.parameters()]
        layer.zero_grad()
        return y, [*(np.array(leaf.grad) for leaf in leaves), *gradients]

    y, together = train(inputs)
    weights = np.random.default_rng(3).normal(size=y.shape)
    ones = [train([x[i] for x in inputs], weights[i]) for i in range(3)]
    np.testing.assert_allclose([one.value for one, _ in ones], y.value, rtol=1e-11, atol=1e-13)
    for k, whole in enumerate(together):
        alone = np.array([gradients[k] for _, gradients in ones])
        expected = alone if k < len(inputs) else alone.sum(axis=0)
        np.testing.assert_allclose(whole, expected, rtol=1e-10, atol=1e-12)


@every_other_layer
def test_float32_stays_float32(row: Row) -> None:
    layer = row.layer(np.float32)
    leaves = [ag.var(x.astype(np.float32), requires_grad=True) for x in row.inputs(2)]
    y = row.run(layer, *leaves)
    wide = row.run(row.layer(), *row.inputs(2))
    np.testing.assert_allclose(y.value, wide.value, rtol=1e-4, atol=1e-4)
    y.backward()
    assert y.dtype == np.float32
    assert all(node.grad.dtype == np.float32 for node in [*leaves, *layer.parameters()])
