"""Modules that are built alike, one after the other: the twelve layers of a Transformer are drawn once."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from itertools import groupby

from spago.ag import Constant, Operator
from spago.ag.graph import Graph
from spago.graphviz._modules import Path

_COUNTED = re.compile(r"(.*?)(\d+)", re.DOTALL)


class Repeats:
    """Modules that are built alike, and which of their nodes correspond.

    At first nothing is merged; `merge` makes one module of those at one depth that follow one another in a list and
    have the same operators on nodes of the same shapes.

    Args:
        graph: With the nodes.
        labels: What each of them is called.
        paths: The module of each node.
        modules: What modules there are, where some have no nodes; with what else is to be equal in those that are
            merged.

    Attributes:
        first: By id, the node of the first module of its kind that a node corresponds to; most often itself.
        paths: The modules of each node, those that are merged under a name like `layers.0 … layers.11 × 12`.
        modules: As given, without those that were merged into others.
        merged: The modules that were merged, by the path that they have in common now.
    """

    def __init__(
        self,
        graph: Graph,
        labels: Sequence[str],
        paths: Sequence[Path],
        modules: Mapping[Path, Hashable] | None = None,
    ) -> None:
        self.first = list(range(len(graph)))
        self.paths = list(paths)
        self.modules = dict(modules or {})
        self.merged: dict[Path, list[Path]] = {}
        self._graph = graph
        self._labels = labels
        self._own = list(paths)

    def merge(self, depth: int) -> bool:
        """Merge modules whose path has `depth` names, and return whether there were any.

        Args:
            depth: From 1 on; to be called with the lowest first.
        """
        nodes: dict[Path, list[int]] = {path: [] for path in self.modules if len(path) == depth}
        for id, path in enumerate(self.paths):
            if len(path) >= depth and self.first[id] == id:
                nodes.setdefault(path[:depth], []).append(id)
        ordered = {path: self._ordered(ids) for path, ids in nodes.items()}
        lists: dict[tuple[Path, str], list[tuple[int, Path]]] = {}
        for path in nodes:
            if counted := _COUNTED.fullmatch(path[-1]):
                lists.setdefault((path[:-1], counted[1]), []).append((int(counted[2]), path))
        found = False
        for members in lists.values():
            for _, run in groupby((path for _, path in sorted(members)), lambda path: self._looks(path, ordered[path])):
                paths = list(run)
                if len(paths) > 1:
                    self._make_one(paths, [ordered[path] for path in paths])
                    found = True
        for id, first in enumerate(self.first):
            if first != id:
                self.first[id] = self.first[first]
                self.paths[id] = self.paths[first]
        return found

    def original(self, path: Path) -> Path:
        """Return the path that the first of merged modules had before."""
        for depth in range(len(path), 0, -1):
            if merged := self.merged.get(path[:depth]):
                return self.original(merged[0]) + path[depth:]
        return path

    def goes_on(self, operand: int, user: int) -> bool:
        """Whether an edge leads from one of several merged modules to another of them."""
        merged = zip(self.paths[operand], self.paths[user], strict=False)
        own = zip(self._own[operand], self._own[user], strict=False)
        for (a, b), (own_a, own_b) in zip(merged, own, strict=True):
            if a != b:
                return False
            if own_a != own_b:
                return True
        return False

    def _make_one(self, paths: list[Path], ordered: list[list[int]]) -> None:
        *outer, name = paths[0]
        title = (*outer, f"{name} … {paths[-1][-1]} × {len(paths)}")
        self.merged[title] = paths
        depth = len(title)
        others = set(paths[1:])
        self.modules = {
            title + path[depth:] if path[:depth] == paths[0] else path: looks
            for path, looks in self.modules.items()
            if path[:depth] not in others
        }
        for ids in ordered:
            for first, id in zip(ordered[0], ids, strict=True):
                self.first[id] = first
                self.paths[id] = title + self.paths[id][depth:]

    def _ordered(self, ids: list[int]) -> list[int]:
        """Return nodes of a module in an order that is the same in each module of its kind: as they were computed."""
        inside = set(ids)
        order: dict[int, None] = {}
        for id in sorted(ids, key=lambda id: self._graph.nodes[id].number):
            if isinstance(self._graph.nodes[id], Operator):
                order |= dict.fromkeys(operand for operand in self._graph.operands[id] if operand in inside)
                order[id] = None
        order |= dict.fromkeys(sorted(inside - order.keys(), key=lambda id: self._labels[id]))
        return list(order)

    def _looks(self, path: Path, ids: list[int]) -> Hashable:
        """Return what modules have in common that are built alike; where their operands come from is left open."""
        depth = len(path)
        position = {id: i for i, id in enumerate(ids)}
        outside: dict[int, int] = {}
        nodes = tuple(
            (
                type(node := self._graph.nodes[id]).__name__,
                self._labels[id] if isinstance(node, Constant) else re.sub(r"\d+", "#", self._labels[id]),
                self.paths[id][depth:],
                node.shape,
                node.dtype,
                node.requires_grad,
                tuple(
                    position[operand] if operand in position else -1 - outside.setdefault(operand, len(outside))
                    for operand in self._graph.operands[id]
                ),
            )
            for id in ids
        )
        return nodes, tuple((part[depth:], looks) for part, looks in self.modules.items() if part[:depth] == path)
