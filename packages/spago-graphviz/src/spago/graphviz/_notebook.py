"""What notebooks show of nodes, graphs and models."""

from __future__ import annotations

import sys
from typing import Any

from spago.ag import Node, Operator
from spago.ag.graph import Graph
from spago.graphviz._model import model
from spago.graphviz._picture import show

# Of a graph with more nodes no picture is made unasked: it would take longer than a second.
_LARGEST = 20_000


def mimebundle(shown: object) -> dict[str, str]:
    """Return the picture that a notebook shows of a result, a graph or a model, by MIME type; nothing for all else.

    A result is shown with all that it was computed from, a model as the tree of its modules. `ag`, `nn` and notebooks
    call this by themselves.
    """
    if _is_terminal():
        return {}
    if isinstance(shown, Operator | Graph):
        picture = show(shown) if _is_small(shown) else None
    elif callable(getattr(shown, "named_modules", None)):
        tree: Any = shown
        picture = model(tree)
    else:
        picture = None
    return {} if picture is None else picture.drawing()


def _is_terminal() -> bool:
    """Whether this is the terminal of IPython, which asks for pictures and throws them away."""
    get_ipython: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)
    shell = get_ipython()
    return shell is not None and shell.display_formatter.active_types == ["text/plain"]


def _is_small(shown: Operator | Graph) -> bool:
    if isinstance(shown, Graph):
        return len(shown) <= _LARGEST
    seen: set[Node] = {shown}
    stack: list[Node] = [shown]
    while stack and len(seen) <= _LARGEST:
        new = [operand for operand in stack.pop().operands if operand not in seen]
        seen.update(new)
        stack.extend(new)
    return len(seen) <= _LARGEST
