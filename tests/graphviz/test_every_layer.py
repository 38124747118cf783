"""Every layer of spago.nn as a picture: its tree of modules, one run of it, and fifty of it in a row."""

import re

import numpy as np
import pytest

import module_table
from spago import ag, graphviz, nn


def names(dot: str) -> list[str]:
    return re.findall(r"<b>(.*?)</b>", dot)


@pytest.mark.parametrize("row", module_table.EVERY, ids=str)
def test_the_tree_has_each_parameter_once(row: module_table.AnyRow) -> None:
    layer = row.layer()
    total = f"{layer.num_parameters():,}"
    picture = graphviz.model(layer)
    assert names(picture.dot)
    assert total == "0" or total in picture.dot


@pytest.mark.parametrize("row", module_table.EVERY, ids=str)
def test_a_run_is_drawn(row: module_table.AnyRow) -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            self.layer = row.layer()

        def forward(self, x: ag.Node) -> list[ag.Node]:
            return [node + ag.sum(x) for node in row.results(self.layer)]

    dot = graphviz.model(Whole(), np.ones(1)).dot
    assert "->" in dot
    if not row.name.startswith("Dropout"):  # which hands on what it was given
        assert "layer" in dot
        assert {"x", "Sum", "Add"} <= set(names(dot))


@pytest.mark.parametrize("row", module_table.EVERY, ids=str)
def test_fifty_of_them_are_drawn_as_one(row: module_table.AnyRow) -> None:
    one = graphviz.model(nn.ModuleList([row.layer()]), max_nodes=None)
    many = graphviz.model(nn.ModuleList([row.layer() for _ in range(50)]))
    assert len(names(many.dot)) == len(names(one.dot))
    assert "0 … 49" in many.dot
