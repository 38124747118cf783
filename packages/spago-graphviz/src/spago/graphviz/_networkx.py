"""A graph as one of networkx, to search and measure it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spago.ag import Node
from spago.ag.graph import Graph
from spago.graphviz._modules import node_names
from spago.graphviz._options import Names
from spago.mat.addons import require


def to_networkx(nodes: Node | Graph | Iterable[Node], *, names: Names | None = None) -> Any:
    """Return the graph behind some nodes as a `networkx.MultiDiGraph`.

    Its nodes are the ids of `Graph`, with the attributes `node` (the node itself), `label`, `kind` (its class),
    `shape`, `dtype` and `requires_grad`; its edges lead from operands to what uses them, with the attribute `operand`:
    which operand it is, from 0.

    Args:
        nodes: A node, several, or a `Graph`.
        names: A model, or a mapping from nodes to names.

    Raises:
        ModuleNotFoundError: When networkx is not installed.
    """
    networkx = require("networkx", install="networkx", purpose="to_networkx")
    graph = nodes if isinstance(nodes, Graph) else Graph(*([nodes] if isinstance(nodes, Node) else nodes))
    given = node_names(names)
    result = networkx.MultiDiGraph()
    for id, node in enumerate(graph.nodes):
        result.add_node(
            id,
            node=node,
            label=given.get(node) or graph.label(id),
            kind=type(node).__name__,
            shape=node.shape,
            dtype=node.dtype.name,
            requires_grad=node.requires_grad,
        )
    for id, operands in enumerate(graph.operands):
        for i, operand in enumerate(operands):
            result.add_edge(operand, id, operand=i)
    return result
