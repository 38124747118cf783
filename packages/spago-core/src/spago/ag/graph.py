"""The graph behind a result as a whole: its nodes numbered, its edges listed, for pictures and for inspection."""

from __future__ import annotations

from typing import Any

from spago import mat
from spago.ag._node import Constant, GraphError, Node, Operator, ReleasedOperator
from spago.ag._time_steps import TimeStepHandler
from spago.mat.addons import mimebundle


class Graph:
    """All nodes that some roots were computed from.

    The numbering is depth first: a node has its id before its operands, and operands have theirs in the order of the
    operator's arguments. What lies behind a `stop_grad` is not part of the graph. A number or an array that an operator
    was given as it is appears as one `Constant` for each place where it was given.

    Args:
        roots: Any nodes; one that is listed twice counts once.
        time_steps: What knows the time step of each node.

    Attributes:
        nodes: The nodes, by id.
        roots: The ids of the roots.
        operands: By id, the ids of the node's operands in order; one that is used twice is listed twice.
        edges: For each node that has consumers, their ids in the order of discovery, each once.
        time_steps: As given.

    Raises:
        GraphError: When a part of the graph was released.

    Examples:
        >>> from spago import ag
        >>> from spago.ag.graph import Graph
        >>> x = ag.var(3.0, name="x")
        >>> graph = Graph(ag.tanh(x) * x + 1.0)
        >>> [graph.label(i) for i in range(len(graph))]
        ['Add', 'Mul', 'Tanh', 'x', '1']
        >>> graph.edges
        {1: [0], 2: [1], 3: [2, 1], 4: [0]}
    """

    def __init__(self, *roots: Node, time_steps: TimeStepHandler | None = None) -> None:
        self.time_steps = time_steps
        self.nodes: list[Node] = []
        self.operands: list[tuple[int, ...]] = []
        self.edges: dict[int, list[int]] = {}
        self._ids: dict[Node, int] = {}
        self._discover(roots)
        self.edges = dict(sorted(self.edges.items()))
        self.roots = list(dict.fromkeys(self._ids[root] for root in roots))

    def _discover(self, roots: tuple[Node, ...]) -> None:
        """Number the nodes and list their edges. A stack of our own reaches any depth."""
        ids, nodes = self._ids, self.nodes
        operands: list[tuple[Node, ...]] = []
        pending: list[tuple[Node, int]] = [(root, -1) for root in reversed(roots)]
        while pending:
            node, consumer = pending.pop()
            id = ids.get(node)
            if id is None:
                if isinstance(node, ReleasedOperator):
                    raise GraphError(
                        f"Graph: expected a graph with its values, got {node.name}, which release_graph has emptied; "
                        "compute it again"
                    )
                id = ids[node] = len(nodes)
                nodes.append(node)
                # Read once: constants among the operands are made anew at each access.
                operands.append(node.operands)
                pending.extend((operand, id) for operand in reversed(dict.fromkeys(operands[-1])))
            if consumer >= 0:
                self.edges.setdefault(id, []).append(consumer)
        self.operands = [tuple(ids[operand] for operand in each) for each in operands]

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, node: object) -> bool:
        return node in self._ids

    def __repr__(self) -> str:
        return f"<Graph: nodes {len(self.nodes)}, edges {sum(map(len, self.edges.values()))}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mimebundle(self)

    def id_of(self, node: Node) -> int:
        """Return the id of a node.

        Raises:
            KeyError: When the node is not part of the graph.
        """
        return self._ids[node]

    def label(self, id: int) -> str:
        """Return what to call a node: its name, or the value of a leaf of one element that has none; else nothing."""
        node = self.nodes[id]
        if node.name or isinstance(node, Operator) or node.size != 1:
            return node.name
        return mat.format_number(node.value)

    def step_of(self, id: int) -> int:
        """Return the time step of a node, that of its first consumer for a constant; -1 without `time_steps`."""
        if self.time_steps is None:
            return -1
        node = self.nodes[id]
        if isinstance(node, Constant) and id in self.edges:
            node = self.nodes[self.edges[id][0]]
        return self.time_steps.step_of(node)

    def nodes_by_time_step(self) -> dict[int, list[int]]:
        """Return the ids of the nodes of each time step, both ascending; all under -1 without `time_steps`."""
        steps: dict[int, list[int]] = {}
        for id in range(len(self.nodes)):
            steps.setdefault(self.step_of(id), []).append(id)
        return dict(sorted(steps.items()))
