"""The table of a model's modules, shapes and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spago import ag, nn
from spago.mat import Array


class Shared(nn.Module):
    """Two uses of one layer, and a layer that is not used."""

    def __init__(self) -> None:
        self.layer = nn.Linear(3, 3)
        self.again = self.layer
        self.norm = nn.BatchNorm(3)
        self.unused = nn.Linear(3, 2, bias=False)
        self.scale = nn.Param(np.ones(3, np.float32), requires_grad=False)

    def forward(self, x: ag.Node, factor: float = 1.0) -> Any:
        return self.norm(self.again(self.layer(x))) * self.scale * factor, [x]


def zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def test_a_summary_counts_shared_frozen_and_unused_parameters() -> None:
    found = nn.summary(Shared(), zeros(4, 3), factor=2.0)
    assert [(row.name, row.inputs, row.outputs, row.calls, row.parameters) for row in found.layers] == [
        ("", "(4, 3)", "[(4, 3), [(4, 3)]]", 1, 3),
        ("layer", "(4, 3)", "(4, 3)", 2, 12),
        ("norm", "(4, 3)", "(4, 3)", 1, 6),
        ("unused", "", "", 0, 6),
    ]
    assert (found.parameters, found.trainable, found.nbytes) == (27, 24, 4 * 33)
    assert repr(found).endswith("27 parameters, 3 frozen, 0.0 MB")
    assert "Linear(3, 3) ×2" in str(found)


def test_a_summary_leaves_the_model_as_it_was() -> None:
    model = Shared()
    model.unused.eval()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    keys = [list(vars(module)) for module in model.modules()]
    nn.summary(model, zeros(4, 3))
    assert [list(vars(module)) for module in model.modules()] == keys
    assert [module.training for module in model.modules()] == [True, True, True, False]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_failing_model_is_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    with pytest.raises(ValueError, match="Linear: expected x"):
        nn.summary(model, zeros(4, 3))
    assert all("forward" not in vars(module) for module in model.modules())
    assert model.training


def test_many_results_are_abridged() -> None:
    class Many(nn.Module):
        def forward(self, x: ag.Node) -> list[ag.Node]:
            return [x] * 6

    assert nn.summary(Many(), zeros(2)).layers[0].outputs == "[(2,), (2,), (2,), …]"


def test_modules_that_their_parent_does_not_call_have_no_shapes() -> None:
    rows = nn.summary(nn.BiLSTM(3, 2), zeros(2, 5, 3)).layers
    assert [(row.name, row.inputs, row.parameters) for row in rows] == [
        ("", "(2, 5, 3)", 0),
        ("forward_layer", "", 48),
        ("backward_layer", "", 48),
    ]
