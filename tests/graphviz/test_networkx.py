"""Graphs for networkx."""

import sys

import pytest

from spago import ag
from spago.graphviz import to_networkx


def test_nodes_and_edges_with_what_is_known_of_them() -> None:
    networkx = pytest.importorskip("networkx")
    x = ag.var([1.0, 2.0], requires_grad=True, name="x")
    y = x * x + 1.0
    graph = to_networkx(y, names={x: "input"})
    assert isinstance(graph, networkx.MultiDiGraph)
    assert {id: data["label"] for id, data in graph.nodes(data=True)} == {0: "Add", 1: "Mul", 2: "input", 3: "1"}
    assert sorted(graph.edges(data="operand")) == [(1, 0, 0), (2, 1, 0), (2, 1, 1), (3, 0, 1)]
    assert graph.nodes[2] == {
        "node": x,
        "label": "input",
        "kind": "Variable",
        "shape": (2,),
        "dtype": "float32",
        "requires_grad": True,
    }
    assert networkx.is_directed_acyclic_graph(graph)


def test_without_networkx_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ModuleNotFoundError, match="to_networkx: .* run: pip install networkx"):
        to_networkx(ag.var(1.0))
