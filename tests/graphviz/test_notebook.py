"""What nodes and graphs show of themselves in a notebook."""

import pytest

import spago.graphviz  # noqa: F401
from spago import ag
from spago.ag.graph import Graph
from spago.graphviz import _notebook


def bundle(shown: ag.Node | Graph) -> dict[str, str]:
    method = "_repr_mimebundle_"
    result: dict[str, str] = getattr(shown, method)()
    return result


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


def test_a_leaf_shows_its_text_alone() -> None:
    x = ag.var([1.0, 2.0], name="x")
    assert bundle(x) == {"text/plain": repr(x)}


def test_a_released_result_shows_its_text(y: ag.Node) -> None:
    ag.release_graph(y)
    assert bundle(y) == {"text/plain": repr(y)}


def test_a_notebook_never_sees_an_error(y: ag.Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(shown: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(_notebook, "show", broken)
    assert bundle(y) == {"text/plain": repr(y)}
