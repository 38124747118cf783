"""The picture of a graph before it is written in any language: boxes, lines between them, frames around them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from spago import mat
from spago.ag import Constant, Node, Operator, Profile, Variable, Wrapper
from spago.ag.graph import Graph
from spago.graphviz._fold import Group, fold, without_numbers
from spago.graphviz._modules import Path, common_path, maker, module_paths, node_names, result_number
from spago.graphviz._options import Look
from spago.graphviz._repeats import Repeats

Frames: TypeAlias = tuple[str, ...]
"""The frames around a box, outermost first."""


class Role(Enum):
    """What a node is there for."""

    INPUT = "input"
    LEARNED = "learned"
    FIXED = "fixed"
    STOPPED = "stopped"
    OPERATOR = "operator"
    RESULT = "result"
    FOLDED = "folded"


@dataclass(frozen=True, slots=True)
class Box:
    """One node of the picture.

    Attributes:
        id: The lowest id of the nodes that it stands for.
        role: What they are there for.
        name: What it is called.
        kind: For leaves the kind of node, such as `variable`.
        details: What is said below the name, a line each.
        tooltip: The name in full.
        frames: What it is framed by, outermost first.
        step: Its time step; -1 when there are none, or several.
        strange: Whether a value or a gradient has NaN or Inf.
        heat: From 0 to 1 how large the gradient is beside the others; None where there is none.
        node: The id of the node, if it stands for one alone; else -1.
    """

    id: int
    role: Role
    name: str
    kind: str
    details: tuple[str, ...]
    tooltip: str
    frames: Frames
    step: int
    strange: bool
    heat: float | None
    node: int = -1


@dataclass(frozen=True, slots=True)
class Line:
    """An arrow from an operand to what uses it.

    Attributes:
        source: The id of the box where it begins.
        target: That of the box where it ends.
        label: What is written on it.
        again: Whether it leads from one of several modules that are drawn once to the next of them.
        hidden: Whether it is not drawn at all, but keeps boxes in order.
    """

    source: int
    target: int
    label: str
    again: bool = False
    hidden: bool = False


class Label(NamedTuple):
    """What to call a node, the modules whose frames it is in, and what these are called in its name."""

    name: str
    frames: Path
    path: Path


@dataclass(frozen=True, slots=True)
class View:
    """A picture before it is written.

    Attributes:
        look: The options.
        boxes: In the order of ids.
        lines: Those to each box in the order of its operands.
        steps: Which frames are time steps, and which.
    """

    look: Look
    boxes: list[Box]
    lines: list[Line]
    steps: dict[str, int]


def view(graph: Graph, look: Look) -> View:
    """Return what a picture of a graph has to show."""
    given = node_names(look.names)
    labels = [_label(graph, id, given.get(node, "")) for id, node in enumerate(graph.nodes)]
    named = {
        id: labels[id]
        for id, node in enumerate(graph.nodes)
        if node.is_leaf and not isinstance(node, Constant | Wrapper) and (node in given or node.name)
    }
    paths = module_paths(graph, named)
    depth = look.clusters
    if depth is None:
        depth = 0 if graph.time_steps is not None else max(map(len, paths), default=0)
    if graph.time_steps is not None:
        paths = [(_step_frame(graph.step_of(id)), *path) for id, path in enumerate(paths)]
        depth += 1
    groups, repeats = fold(graph, labels, paths, look.max_nodes)
    boxes = [
        box_of(
            graph, look, group, [Label(labels[id], repeats.paths[id][:depth], paths[id]) for id in group.members], heat
        )
        for group, heat in zip(groups, heats(graph, look, groups), strict=True)
    ]
    steps = {} if graph.time_steps is None else {box.frames[0]: box.step for box in boxes if box.frames}
    return View(look, boxes, list(lines_between(graph, look, groups, boxes, repeats)), steps)


def lines_between(graph: Graph, look: Look, groups: list[Group], boxes: list[Box], repeats: Repeats) -> Iterator[Line]:
    """Yield the lines between the boxes of groups, those to each box in the order of its operands."""
    group_of = {id: i for i, group in enumerate(groups) for id in group.members}
    for target, group in enumerate(groups):
        again: dict[int, bool] = {}
        for id in group.members:
            for operand in graph.operands[id]:
                source, goes_on = group_of[operand], repeats.goes_on(operand, id)
                # A line within a module, or an operator, says nothing; one among those that are alike how they go on.
                if source != target or group.count > 1 or goes_on:
                    again[source] = again.get(source, True) and goes_on
        for source, goes_on in again.items():
            label = line_label(graph, look, groups[source], group)
            yield Line(boxes[source].id, boxes[target].id, label, again=goes_on)


def _label(graph: Graph, id: int, given: str) -> str:
    """Return what to call a node; an operator keeps its name beside the one that it is given."""
    own = graph.label(id)
    return f"{given} = {own}" if given and isinstance(graph.nodes[id], Operator) else given or own


def box_of(graph: Graph, look: Look, group: Group, labels: list[Label], heat: float | None) -> Box:
    """Return the box of a group whose nodes have these labels."""
    nodes = [graph.nodes[id] for id in group.members]
    first_id = group.head
    first = graph.nodes[first_id]
    heads = set(group.heads or group.members)
    frames = common_path([label.frames for label in labels])
    if group.module:
        frames = frames[: len(group.module) - 1]
    in_step = graph.time_steps is not None
    step = graph.step_of(first_id) if in_step and frames else -1
    name = _name(
        replace(group, module=group.module[in_step:] or group.module),
        [label.name for id, label in zip(group.members, labels, strict=True) if id in heads],
    )
    short = name
    # What the frames say need not be said again.
    if group.module:
        short = name.removeprefix(".".join((*frames[in_step:], "")))
    elif group.count == 1 and first.is_leaf:
        short = _range([l.name.removeprefix(".".join((*l.path[in_step : len(frames)], ""))) for l in labels])
    return Box(
        id=group.members[0],
        role=_role(graph, group),
        name=short,
        kind=_kind(first) if len({type(node) for node in nodes}) == 1 else "",
        details=(
            *(_result_details(graph, look, group) if group.heads else _details(look, group, nodes, short)),
            *_cost(look, nodes),
        ),
        tooltip=name,
        frames=frames,
        step=step,
        strange=any(not _is_finite(node.value) or not _is_finite(node.grad) for node in nodes),
        heat=heat,
        node=first_id if len(heads) == 1 and not group.module else -1,
    )


def _role(graph: Graph, group: Group) -> Role:
    node = graph.nodes[group.head]
    if group.module:
        return Role.FOLDED
    if isinstance(node, Operator):
        roots = group.members if group.heads or group.count == 1 else group.members[:1]
        return Role.RESULT if any(id in graph.roots for id in roots) else Role.OPERATOR
    if isinstance(node, Wrapper):
        return Role.STOPPED
    if node.requires_grad:
        return Role.LEARNED
    # A variable is what the user gave; a constant, a buffer and a frozen parameter are part of the machinery.
    return Role.INPUT if type(node) is Variable else Role.FIXED


def _kind(node: Node) -> str:
    """Return what to call the kind of a leaf: `variable`, `param`, `embedding`; nothing for an operator."""
    return "" if isinstance(node, Operator) else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()


def _name(group: Group, labels: list[str]) -> str:
    if group.module:
        module = ".".join(group.module)
        return f"{without_numbers(module)} × {group.count}" if group.count > 1 else module
    if group.count == 1:
        return labels[0]
    return f"{_range(labels) or 'nodes'} × {group.count}"


def _range(labels: list[str]) -> str:
    """Return what labels have in common, as in `x1 … x12`; nothing if they differ in more than numbers."""
    first, last = min(labels, key=_natural), max(labels, key=_natural)
    return first if first == last else f"{first} … {last}" if without_numbers(first) == without_numbers(last) else ""


def _natural(label: str) -> tuple[int, str]:
    """Order x2 before x10."""
    return len(label), label


def _details(look: Look, group: Group, nodes: list[Node], name: str) -> tuple[str, ...]:
    first, one = nodes[0], len(nodes) == 1
    lines: list[str] = []
    if group.module:
        lines.append(f"{len(nodes) // group.count:,} nodes" + (" each" if group.count > 1 else ""))
    elif len({node.shape for node in nodes}) == 1:
        shape = shape_text(first, dtype=look.dtypes) if look.shapes == "nodes" else ""
        if one and 0 < first.size <= look.values:
            text = value_text(first.value)
            # An unnamed number is called by its value.
            shown = first.size == 1 and name == mat.format_number(first.value)
            lines.append(shape if shown else f"{shape} = {text}" if shape and first.shape else text)
        else:
            lines.append(shape)
    if one and first.size > look.values and not _is_finite(first.value):
        lines.append(count_strange(first.value))
    if one and not _is_finite(first.grad):
        lines.append(f"gradient: {count_strange(first.grad)}")
    elif look.gradients and one and first.grad is not None:
        lines.append(f"|gradient| {np.linalg.norm(first.grad):.3g}")
    return tuple(line for line in lines if line)


def _result_details(graph: Graph, look: Look, group: Group) -> Iterator[str]:
    """Yield what is said of an operator with several results: a line for each of them that is used."""
    results: dict[int, list[Node]] = {}
    for id in group.members:
        if maker(graph, id) >= 0:
            results.setdefault(result_number(graph.nodes[id]), []).append(graph.nodes[id])
    for number, nodes in sorted(results.items()):
        own = _details(look, Group(group.members[:1]), nodes, "")
        if own:
            yield (f"[{number}] " if _numbered(graph, group) else "") + own[0]
            yield from own[1:]


def _cost(look: Look, nodes: list[Node]) -> Iterator[str]:
    """Yield the times that nodes took, there and back, and the memory that they keep, if they were measured."""
    if look.profile is None:
        return
    there, back = (
        [time for time in times if time is not None]
        for times in zip(*(both_ways(look.profile, node) for node in nodes), strict=True)
    )
    if there:
        way_back = f" + {time_text(sum(back))} back" if back else ""
        yield f"{time_text(sum(there))}{way_back}"
        yield memory_text(sum(map(look.profile.memory, nodes)))


def time_text(seconds: float) -> str:
    """Return a time in µs, ms or s, with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def memory_text(size: int) -> str:
    """Return a number of bytes in B, kB, MB or GB, with three digits."""
    for unit, bytes in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes:
            return f"{size / bytes:.3g} {unit}"
    return f"{size} B"


def _is_finite(value: Any) -> bool:
    return value is None or bool(np.isfinite(value).all())


def count_strange(value: Any) -> str:
    """Return how many NaN and Inf there are, as in `2 NaN, 1 Inf`."""
    counts = {"NaN": int(np.isnan(value).sum()), "Inf": int(np.isinf(value).sum())}
    return ", ".join(f"{n:,} {what}" for what, n in counts.items() if n)


def line_label(graph: Graph, look: Look, source: Group, target: Group) -> str:
    """Return what is written on a line: which results of an operator with several, and the shapes if asked for."""
    numbers = _result_numbers(graph, source, target)
    used = [graph.nodes[id] for id in (source.members if not source.heads else numbers.values())]
    shapes = {shape_text(node, dtype=look.dtypes) for node in used}
    shape = shapes.pop() if look.shapes == "edges" and not source.module and len(shapes) == 1 else ""
    which = ", ".join(f"[{number}]" for number in sorted(numbers)) if _numbered(graph, source) else ""
    return " ".join(part for part in (which, shape) if part)


def _result_numbers(graph: Graph, source: Group, target: Group) -> dict[int, int]:
    """Return which of several results one group takes from another, with the ids of their nodes."""
    if not source.heads:
        return {}
    taken = {operand for id in target.members for operand in graph.operands[id]}.intersection(source.members)
    return {result_number(graph.nodes[id]): id for id in sorted(taken) if maker(graph, id) >= 0}


def _numbered(graph: Graph, group: Group) -> bool:
    """Whether the results of an operator need their numbers: more than the first of them is there."""
    return (
        any(result_number(graph.nodes[id]) for id in group.members if maker(graph, id) >= 0) if group.heads else False
    )


def heats(graph: Graph, look: Look, groups: list[Group]) -> list[float | None]:
    """Return for each group, from 0 to 1, how large its gradient or its time is: 0 for a thousandth of the largest."""
    if look.color not in ("gradient", "time"):
        return [None] * len(groups)
    norms: list[float | None] = []
    for group in groups:
        if look.profile is not None and look.color == "time":
            nodes = [graph.nodes[id] for id in group.members]
            times = [time for node in nodes for time in both_ways(look.profile, node) if time is not None]
            norms.append(sum(times) if times else None)
            continue
        held = [graph.nodes[id].grad for id in group.members]
        some = [float(np.linalg.norm(grad)) for grad in held if grad is not None]
        norms.append(max(some) if some else None)
    finite = [norm for norm in norms if norm is not None and np.isfinite(norm)]
    largest = max(finite, default=0.0)
    return [_heat(norm, largest) for norm in norms]


def both_ways(profile: Profile, node: Node) -> tuple[float | None, float | None]:
    """Return the time that a node took, and that of its way back."""
    return profile.seconds(node), profile.backward_seconds(node)


def _heat(norm: float | None, largest: float) -> float | None:
    if norm is None or not np.isfinite(norm):
        return None
    return max(0.0, 1 + float(np.log10(norm / largest)) / 3) if norm > 0 else 0.0


def _step_frame(step: int) -> str:
    return f"Time Step {step}"


def shape_text(node: Node, *, dtype: bool = False) -> str:
    """Return `scalar`, `3` or `2×3`, with the dtype in front if asked for."""
    shape = "×".join(map(str, node.shape)) if node.shape else "scalar"
    return f"{node.dtype} {shape}" if dtype else shape


def value_text(value: Any) -> str:
    """Return a small array in one line, with four digits."""
    text = np.array2string(
        value,
        separator=", ",
        threshold=value.size + 1,
        max_line_width=10**6,
        formatter={"float_kind": lambda x: f"{x:.4g}"},
    )
    return text.replace("\n", "")
