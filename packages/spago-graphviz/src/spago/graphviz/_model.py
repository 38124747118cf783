"""Pictures of models: their modules, how many parameters each has, and what shapes go from one to the next."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Unpack

import numpy as np

from spago.ag.graph import Graph
from spago.graphviz._fold import Group, fold_parts, with_results
from spago.graphviz._modules import Path, node_names
from spago.graphviz._options import Look, Options
from spago.graphviz._picture import Picture
from spago.graphviz._repeats import Repeats
from spago.graphviz._trace import Part, Trace, Traceable, trace
from spago.graphviz._view import Box, Frames, Label, Line, Role, View, box_of, lines_between

# How many boxes a picture of a model has at most, unless it is told otherwise: a page.
_MODEL_NODES = 40


def model(module: Traceable, *inputs: Any, method: str = "__call__", **options: Unpack[Options]) -> Picture:
    """Return a picture of a model: its modules with their classes, parameters and shapes, and what goes between them.

    The model runs once on example inputs, as in evaluation, and is left as it was. Modules without parts are boxes;
    those with parts are frames, in which operators that belong to none of the parts are drawn one by one; save for
    layers such as attention, which compute with parameters of their own. A module that the run does not reach is a box
    without arrows. Without inputs nothing runs: the tree of modules is drawn, with the shapes of the parameters.

    A model of more than 40 boxes is folded: of modules in a list that are built alike one is drawn, as
    `layers.0 … layers.11 × 12`, with a dashed arrow for what goes from each to the next.

    Args:
        module: A model, such as any `nn.Module`.
        inputs: What to call it with. Arrays of floats are given to it as variables.
        method: Which method to call.
        options: See `Options`. `clusters` says how deep modules are opened, by default as deep as they go, or as
            `max_nodes` allows, which is 40; `max_nodes=None` draws everything. The shapes are on the edges and the
            results below unless told otherwise.

    Raises:
        TypeError: When it is no model, or has no such method.
        ValueError: When the run returns no node.

    Examples:
        >>> import numpy as np
        >>> from spago import graphviz, nn
        >>> graphviz.model(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), np.ones((5, 2), np.float32))
        <Picture of 7 nodes, 4 of them drawn>
    """
    look = Look.of(Options(shapes="edges", direction="TB", max_nodes=_MODEL_NODES) | options)
    run = trace(module, inputs, method)
    if inputs and not run.results:
        raise ValueError(f"graphviz.model: expected {type(module).__name__} to return nodes, got none; name a method=")
    graph = Graph(*run.results)
    owners = _owners(graph, run, module)
    layers = _layers(graph, run, owners, module) if look.clusters is None else frozenset[str]()
    paths = _paths(run.parts)
    repeats = Repeats(
        graph,
        [graph.label(id) for id in range(len(graph))],
        [paths[owner or ""] for owner in owners],
        {paths[name]: part.looks for name, part in run.parts.items()},
    )
    opened = max(map(_level, run.parts)) if look.clusters is None else look.clusters
    picture = _view(graph, owners, look, _Tree.of(run, opened, layers, repeats))
    for depth in range(1, max(map(len, paths.values())) + 1):
        if look.max_nodes is None or len(picture.boxes) <= look.max_nodes:
            break
        if repeats.merge(depth):
            picture = _view(graph, owners, look, _Tree.of(run, opened, layers, repeats))
    # Modules are closed, the deepest first; where even that is not enough, operators beside them are what is too many.
    depths = range(opened, -1, -1) if look.clusters is None else [opened]
    for depth, fold in [*((depth, False) for depth in depths if depth), *((depth, True) for depth in depths)]:
        if look.max_nodes is None or len(picture.boxes) <= look.max_nodes:
            break
        picture = _view(graph, owners, look, _Tree.of(run, depth, layers, repeats), fold=fold)
    return Picture.of(picture, graph)


def _level(name: str) -> int:
    """Return how deep a module lies; 0 for the model itself."""
    return name.count(".") + 1 if name else 0


def _paths(parts: Iterable[str]) -> dict[str, Path]:
    """Return for each module, parents first, the names on the way to it, each as it is called in the one around."""
    paths: dict[str, Path] = {"": ()}
    for name in parts:
        around = name.rpartition(".")[0]
        while around not in paths:
            around = around.rpartition(".")[0]
        if name:
            paths[name] = (*paths[around], name.removeprefix(f"{around}."))
    return paths


def _owners(graph: Graph, run: Trace, module: Traceable) -> list[str | None]:
    """Return the name of the module that each node belongs to; None for what the model was given."""
    innermost: dict[int, str] = {}
    spans = sorted(run.spans, key=lambda span: span[0])  # the outer call has started before the inner one
    operators = sorted((node.number, id) for id, node in enumerate(graph.nodes) if not node.is_leaf)
    position, open_calls = 0, list[tuple[int, str]]()
    for number, id in operators:
        while position < len(spans) and spans[position][0] < number:
            open_calls.append(spans[position][1:])
            position += 1
        while open_calls and open_calls[-1][0] < number:
            open_calls.pop()
        innermost[id] = open_calls[-1][1] if open_calls else ""
    named = {node: name.rpartition(".")[0] for node, name in node_names(module).items()}
    owners: list[str | None] = [None] * len(graph)
    for id, node in enumerate(graph.nodes):
        if id in innermost:
            owners[id] = innermost[id]
        elif node in named:
            owners[id] = _module_of(named[node], run.parts)
    for id, node in enumerate(graph.nodes):
        # Buffers and constants have no names of their own: they belong to what uses them, if that is one module.
        if node.is_leaf and owners[id] is None and (node.number >= run.start or type(node).__name__ == "Buffer"):
            users = {owners[user] for user in graph.edges.get(id, ())}
            owners[id] = users.pop() if len(users) == 1 else None
    return owners


def _module_of(name: str, parts: dict[str, Part]) -> str:
    """Return the name of the innermost module that a dotted name leads through, such as `a` for `a.weights.0`."""
    while name not in parts:
        name = name.rpartition(".")[0]
    return name


def _layers(graph: Graph, run: Trace, owners: list[str | None], module: Traceable) -> frozenset[str]:
    """Return the modules to be drawn as one box although they have parts.

    These compute with their own parameters, as attention does with a matrix for queries, keys and values; or with those
    of parts that compute nothing, as a bidirectional layer does which runs both directions at once.
    """
    inner = {outer for name in run.parts if name for outer in _around(name, run.parts)}
    own = {_module_of(name.rpartition(".")[0], run.parts) for name, _ in module.named_parameters()}
    at_work = {owners[id] for id, node in enumerate(graph.nodes) if not node.is_leaf}
    silent = set(owners) - at_work - {None}
    with_silent_parts = {_around(name, run.parts)[-1] for name in silent if name}
    nested = {outer for name in inner if name for outer in _around(name, run.parts)}
    return frozenset((own & inner | with_silent_parts) - nested - {""})


def _around(name: str, parts: Container[str]) -> list[str]:
    """Return the modules around one, outermost first, which is the model."""
    if not name:
        return []
    ends = [i for i, letter in enumerate(name) if letter == "."]
    return ["", *(name[:end] for end in ends if name[:end] in parts)]


def _view(graph: Graph, owners: list[str | None], look: Look, tree: _Tree, *, fold: bool = False) -> View:
    """Return what a picture of a model has to show; with `fold`, operators that play the same part as one box."""
    members: dict[str, list[int]] = {}
    for id, owner in enumerate(owners):
        first = owners[tree.repeats.first[id]]
        if owner is not None and first is not None and (box := tree.box_around(first)) is not None:
            members.setdefault(box, []).append(id)
    folded = [Group(tuple(ids), (name or ".",)) for name, ids in members.items()]
    rest = set(range(len(graph))).difference(*members.values())
    groups = sorted([*folded, *with_results(graph, sorted(rest), tree.repeats)], key=lambda group: group.members[0])
    box_names = dict(zip(folded, members, strict=True))
    if fold and groups and look.max_nodes is not None:
        called = [graph.label(id) for id in range(len(graph))]
        groups = fold_parts(graph, called, groups, look.max_nodes, modules=False)
    boxes: list[Box] = []
    names = node_names(look.names)
    for group in groups:
        if group.module:
            boxes.append(tree.module_box(group.members[0], box_names[group]))
        else:
            labels = [Label(names.get(graph.nodes[id], "") or graph.label(id), (), ()) for id in group.members]
            # What nobody uses has no line that its shape could be on.
            used = look.shapes != "edges" or any(id in graph.edges for id in group.members)
            node = box_of(graph, look if used else replace(look, shapes="nodes"), group, labels, None)
            boxes.append(replace(node, frames=tree.frames(owners[tree.repeats.first[group.head]])))
    lines = list(lines_between(graph, look, groups, boxes, tree.repeats))
    lines += [
        Line(box.id, box.id, "")
        for group, box in zip(groups, boxes, strict=True)
        if tree.is_recurrent(graph, group) and not any(line.source == line.target == box.id for line in lines)
    ]
    arrays, uses = _given_arrays(tree, members, len(graph), look)
    results, gives = _results(graph, tree, groups, len(graph) + len(arrays))
    free = len(graph) + len(arrays) + len(results)
    idle = [tree.module_box(free + i, name) for i, name in enumerate(_idle(tree, members))]
    if not tree.run.spans:
        # Without a run there are no lines: in their order, one below the other, they are a list to read.
        lines += [Line(above.id, below.id, "", hidden=True) for above, below in pairwise(idle)]
    return View(look, [*boxes, *arrays, *results, *idle], lines + uses + gives, {})


@dataclass(frozen=True, slots=True)
class _Tree:
    """Which modules are drawn as boxes and which as frames.

    Attributes:
        run: What the run has shown.
        depth: How deep modules are opened; 0 for a model that is one box.
        layers: Modules that are boxes whatever their depth.
        repeats: Which modules are drawn once for several that are built alike.
        parts: The modules that are drawn, parents first.
        alike: The names of modules that are built alike, by the name of the first of them.
        outer: The modules with parts that matter.
        at_work: The modules with parts that were called.
    """

    run: Trace
    depth: int
    layers: frozenset[str]
    repeats: Repeats
    parts: dict[str, Part]
    alike: dict[str, list[str]]
    outer: frozenset[str]
    at_work: frozenset[str]

    @classmethod
    def of(cls, run: Trace, depth: int, layers: frozenset[str], repeats: Repeats) -> _Tree:
        """Return the tree of the modules that are left when some were merged."""
        names = {path: ".".join(repeats.original(path)) for path in repeats.modules}
        alike = {names[path]: [each[-1] for each in paths] for path, paths in repeats.merged.items() if path in names}
        parts = {name: run.parts[name] for name in names.values()}
        at_work = {outer for part in parts.values() if part.calls for outer in _around(part.name, parts)}
        # Without a run the tree of modules is all there is to see.
        matter = [part.name for part in parts.values() if part.calls or part.parameters or not run.spans]
        outer = {outer for name in matter for outer in _around(name, parts)}
        return cls(run, depth, layers, repeats, parts, alike, frozenset(outer), frozenset(at_work))

    def is_open(self, name: str) -> bool:
        """Whether a module is a frame: it has parts that matter, and lies high enough."""
        return name in self.outer and _level(name) < self.depth and name not in self.layers

    def path(self, name: str) -> list[str]:
        """Return the names of the modules around and including this one, the model first."""
        return [*_around(name, self.parts), name]

    def box_around(self, name: str) -> str | None:
        """Return the module whose box holds what belongs to the module of this name; None if that one is open."""
        return next((part for part in self.path(name) if not self.is_open(part)), None)

    def frames(self, name: str | None) -> Frames:
        """Return the frames around what belongs to a module that is open itself."""
        path = [] if name is None else [part for part in self.path(name) if self._is_framed(part)]
        return tuple(self._title(part, before) for part, before in zip(path, ["", *path], strict=False))

    def _is_framed(self, name: str) -> bool:
        # A list of modules is never called: it would be a frame that says nothing.
        return self.is_open(name) and (not name or self.parts[name].calls > 0 or not self.run.spans)

    def _title(self, name: str, before: str) -> str:
        words = (self._short(name, before), self._kind(name), self._count(name))
        return " · ".join(word for word in words if word)

    def _short(self, name: str, before: str) -> str:
        """Return what to call a module inside the frame of another, and the last of those that are built alike."""
        short = name.removeprefix(f"{before}.") if before else name
        if name not in self.alike:
            return short
        first, *_, last = self.alike[name]
        return f"{short} … {short.removesuffix(first)}{last}"

    def _kind(self, name: str) -> str:
        return self.parts[name].kind + (f" × {len(self.alike[name])}" if name in self.alike else "")

    def _count(self, name: str) -> str:
        count = count_text(self.parts[name].parameters)
        return f"{count} each" if count and name in self.alike else count

    def module_box(self, id: int, name: str) -> Box:
        """Return the box of a module."""
        part = self.parts[name]
        around = [outer for outer in self.path(name) if outer != name and self._is_framed(outer)]
        before = around[-1] if around else ""
        details = [self._kind(name)] if name else []
        if part.calls:
            shapes = " → ".join(_shapes_text(shapes) for shapes in (part.inputs, part.outputs) if shapes)
            details.append(shapes + (f", {part.calls} calls" if part.calls > 1 else ""))
        elif self.run.spans and name not in self.at_work:
            details.append("not used in this run")
        elif not self.run.spans:
            details.append(_parameters_text(part.shapes))
        details.append(self._count(name))
        return Box(
            id=id,
            role=Role.LEARNED if part.parameters else Role.OPERATOR,
            name=self._short(name, before) or part.kind,
            kind="",
            details=tuple(line for line in details if line),
            tooltip=name or part.kind,
            frames=self.frames(around[-1]) if around else (),
            step=-1,
            strange=False,
            heat=None,
        )

    def is_recurrent(self, graph: Graph, group: Group) -> bool:
        """Whether one call of a module uses a result of another call of it."""
        if not group.module or len(group.members) == 1:
            return False
        name = self.box_around("" if group.module == (".",) else group.module[0])
        calls = sorted(span for span in self.run.spans if span[2] == name)
        if len(calls) < 2:
            return False
        inside = set(group.members)

        starts = [start for start, _, _ in calls]

        def call(id: int) -> int:
            i = bisect(starts, graph.nodes[id].number) - 1
            return i if i >= 0 and graph.nodes[id].number < calls[i][1] else -1

        return any(
            -1 not in (call(operand), call(id)) and call(operand) != call(id)
            for id in group.members
            for operand in graph.operands[id]
            if operand in inside
        )


def _given_arrays(tree: _Tree, members: dict[str, list[int]], free: int, look: Look) -> tuple[list[Box], list[Line]]:
    """Return boxes for the arrays that boxes of modules were given and that are no nodes, and lines from them."""
    boxes: dict[int, Box] = {}
    lines: list[Line] = []
    for name, ids in members.items():
        for argument, array in tree.parts[name].arrays:
            box = boxes.get(id(array))
            if box is None:
                box = boxes[id(array)] = _array_box(free + len(boxes), argument, array)
            shape = "×".join(map(str, np.shape(array))) if look.shapes == "edges" else ""
            lines.append(Line(box.id, ids[0], shape))
    return list(boxes.values()), lines


def _results(graph: Graph, tree: _Tree, groups: list[Group], free: int) -> tuple[list[Box], list[Line]]:
    """Return boxes for what the run has returned out of boxes of modules, and lines to them."""
    boxes: list[Box] = []
    lines: list[Line] = []
    for group in groups:
        roots = [graph.nodes[id] for id in group.members if id in graph.roots]
        if group.module and roots:
            name = "result" if tree.run.method in ("__call__", "forward") else tree.run.method
            shapes = _shapes_text(node.shape for node in roots)
            box = Box(free + len(boxes), Role.RESULT, name, "", (shapes,), name, (), -1, strange=False, heat=None)
            boxes.append(box)
            lines.append(Line(group.members[0], box.id, ""))
    return boxes, lines


def _array_box(id: int, name: str, array: Any) -> Box:
    kind = {"b": "truth values", "i": "integers", "u": "integers"}[array.dtype.kind]
    return Box(id, Role.INPUT, name, "", (kind,), name, (), -1, strange=False, heat=None)


def _idle(tree: _Tree, members: dict[str, list[int]]) -> list[str]:
    """Return the modules that deserve a box but have no node in the graph."""
    boxes = (tree.box_around(name) for name, part in tree.parts.items() if part.parameters or not tree.run.spans)
    return [name for name in dict.fromkeys(boxes) if name is not None and name not in members]


def count_text(parameters: int) -> str:
    """Return how many parameters there are, in words; nothing for none."""
    return f"{parameters:,} parameter{'s' * (parameters != 1)}" if parameters else ""


def _shapes_text(shapes: Iterable[tuple[int, ...]]) -> str:
    texts = ["×".join(map(str, shape)) if shape else "scalar" for shape in shapes]
    return ", ".join(texts[:3]) + (", …" if len(texts) > 3 else "")


def _parameters_text(shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> str:
    texts = [f"{name} {_shapes_text([shape])}" for name, shape in shapes]
    return ", ".join(texts[:4]) + (", …" if len(texts) > 4 else "")
