"""Drawing a large graph with few nodes: of modules that are built alike one is drawn, then modules become nodes."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from spago.ag import Node, Operator
from spago.ag.graph import Graph
from spago.graphviz._modules import Path, maker
from spago.graphviz._repeats import Repeats

# How far around a node to look when its part is compared with that of others; the ends of a long repetition are drawn
# out by as much, so that little is enough.
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes of a graph that are drawn as one.

    Attributes:
        members: Their ids, ascending; most often one. Several, where `count` is 1 and there is no module, are those of
            modules that are built alike.
        module: The module that they make up, or the empty path.
        count: How many modules, or nodes, that play the same part they are.
        heads: Those of them that the others are results of; empty when each stands for itself.
    """

    members: tuple[int, ...]
    module: Path = ()
    count: int = 1
    heads: tuple[int, ...] = ()

    @property
    def head(self) -> int:
        """The id of the node that the group is like."""
        return self.heads[0] if self.heads else self.members[0]


def fold(
    graph: Graph, labels: Sequence[str], paths: Sequence[Path], max_nodes: int | None
) -> tuple[list[Group], Repeats]:
    """Return groups that hold each node once, max_nodes of them at most, in the order of their first members.

    An operator with several results is one group with them.

    Tried in turn, until it is enough: each node by itself; one of the modules in a list that are built alike, the
    outermost first; modules as one node, the deepest first; nodes that play the same part as one node.

    Returns:
        The groups, and the modules that were merged.
    """
    repeats = Repeats(graph, labels, paths)
    ids = range(len(graph))
    groups = with_results(graph, ids, repeats)
    if max_nodes is None or len(groups) <= max_nodes:
        return groups, repeats
    deepest = max(map(len, paths))
    for depth in range(1, deepest + 1):
        if repeats.merge(depth):
            groups = with_results(graph, ids, repeats)
            if len(groups) <= max_nodes:
                return groups, repeats
    for depth in range(deepest, 0, -1):
        groups = _fold_modules(graph, repeats, depth)
        if len(groups) <= max_nodes:
            return groups, repeats
    return fold_parts(graph, labels, groups, max_nodes), repeats


def _fold_modules(graph: Graph, repeats: Repeats, depth: int) -> list[Group]:
    """Make one group of each module at the given depth, with the leaves that only it uses."""
    modules = [path[:depth] if len(path) >= depth else () for path in repeats.paths]
    for id, node in enumerate(graph.nodes):
        if not isinstance(node, Operator) and modules[id]:
            users = {modules[consumer] for consumer in graph.edges.get(id, ())}
            if users != {modules[id]}:
                modules[id] = ()
    members: dict[Path, list[int]] = {}
    for id, module in enumerate(modules):
        if module:
            members.setdefault(module, []).append(id)
    folded = [Group(tuple(ids), module) for module, ids in members.items() if len(ids) > 1]
    rest = set(range(len(graph))).difference(*(group.members for group in folded))
    return sorted([*folded, *with_results(graph, sorted(rest), repeats)], key=lambda group: group.members[0])


def with_results(graph: Graph, ids: Iterable[int], repeats: Repeats | None = None) -> list[Group]:
    """Return a group for each node, or for each operator with all of its several results, in the order of `ids`.

    Nodes of merged modules that correspond are one group.
    """
    members: dict[int, list[int]] = {}
    heads: dict[int, list[int]] = {}
    for id in ids:
        made_by = maker(graph, id)
        head = id if made_by < 0 else made_by
        first = head if repeats is None else repeats.first[head]
        members.setdefault(first, []).append(id)
        if made_by >= 0:
            heads.setdefault(first, []).append(made_by)
    return [
        Group(tuple(each), heads=tuple(dict.fromkeys(sorted(heads.get(first, ()))))) for first, each in members.items()
    ]


def fold_parts(
    graph: Graph, labels: Sequence[str], groups: list[Group], max_nodes: int, *, modules: bool = True
) -> list[Group]:
    """Make one group of those that play the same part; those of modules stay as they are unless `modules`.

    Two play the same part when they are called the same, numbers in names aside, and all around them is, up to as many
    steps away as the number of groups allows.
    """
    inputs = group_inputs(graph, groups)
    outputs: list[set[int]] = [set() for _ in groups]
    for i, operands in enumerate(inputs):
        for operand in operands:
            outputs[operand].add(i)
    part = _numbered(type(graph.nodes[group.head]).__name__ for group in groups)
    finer = _numbered(_first_sight(graph, labels, group) for group in groups)
    for _ in range(_ROUNDS):
        if max(finer) + 1 > max_nodes:
            break
        part = finer
        finer = _numbered(
            (part[i], tuple(part[j] for j in inputs[i]), tuple(sorted({part[j] for j in outputs[i]})))
            for i in range(len(groups))
        )
        if max(finer) == max(part):
            break
    merged: dict[int, list[Group]] = {}
    for i, (number, group) in enumerate(zip(part, groups, strict=True)):
        merged.setdefault(number if modules or not group.module else -1 - i, []).append(group)
    return [_merge(same) for same in merged.values()]


def group_inputs(graph: Graph, groups: Sequence[Group]) -> list[tuple[int, ...]]:
    """Return for each group the groups that its operands are in, each once, in the order of the operands."""
    group_of = [0] * len(graph)
    for i, group in enumerate(groups):
        for id in group.members:
            group_of[id] = i
    return [
        tuple(dict.fromkeys(group_of[operand] for id in group.members for operand in graph.operands[id]))
        for group in groups
    ]


def without_numbers(text: str) -> str:
    """Return text with `#` in the place of each number: `x12` and `x7` are two of a kind."""
    return re.sub(r"\d+", "#", text)


def _first_sight(graph: Graph, labels: Sequence[str], group: Group) -> Hashable:
    """Return what two groups that play the same part have in common at first sight."""
    node: Node = graph.nodes[group.head]
    name = ".".join(group.module) or labels[group.head]
    return type(node).__name__, bool(group.module), without_numbers(name), node.requires_grad


def _numbered(keys: Iterable[Hashable]) -> list[int]:
    """Return a number for each key, from 0 on, equal ones for equal keys."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _merge(groups: list[Group]) -> Group:
    members = sorted(id for group in groups for id in group.members)
    heads = sorted(id for group in groups for id in group.heads)
    return Group(tuple(members), groups[0].module, count=len(groups), heads=tuple(heads))
