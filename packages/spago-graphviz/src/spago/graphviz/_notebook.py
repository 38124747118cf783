"""Nodes and graphs that show themselves in a notebook, once this package is imported."""

from __future__ import annotations

from typing import Any

from spago.ag import Node, Operator
from spago.ag.graph import Graph
from spago.graphviz._picture import show


def _mimebundle(shown: Node | Graph, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """Return what a notebook can show: the text that it would show anyway, and the picture of what was computed."""
    bundle = {"text/plain": repr(shown)}
    if isinstance(shown, Graph | Operator):
        try:
            bundle = show(shown).mimebundle() | bundle
        except Exception:  # a repr that raises hides what the user looks for
            return bundle
    return bundle


def show_in_notebooks() -> None:
    """Teach nodes and graphs to show themselves."""
    for name, method in {"_repr_mimebundle_": _mimebundle}.items():
        setattr(Node, name, method)
        setattr(Graph, name, method)
