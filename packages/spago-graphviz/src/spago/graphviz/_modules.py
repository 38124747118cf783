"""Which module of the model each node of a graph belongs to, as far as names tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from spago.ag import Constant, Node, Operator
from spago.ag.graph import Graph
from spago.graphviz._options import Names

Path: TypeAlias = tuple[str, ...]
"""The modules that a node is in, outermost first, such as `("encoder", "layers.0")`."""

_ONE_OF_SEVERAL = re.compile(r"(.*)\[\d+\]", re.DOTALL)


def node_names(names: Names | None) -> dict[Node, str]:
    """Return the names that a model or a mapping gives to nodes."""
    if names is None:
        return {}
    if isinstance(names, Mapping):
        return dict(names)
    return {parameter: name for name, parameter in names.named_parameters() if isinstance(parameter, Node)}


def split_name(name: str) -> tuple[Path, str]:
    """Return the modules that a dotted name tells of, and what is left; a number goes with the list that it counts.

    Examples:
        >>> split_name("encoder.layers.0.weight")
        (('encoder', 'layers.0'), 'weight')
        >>> split_name("0.5"), split_name("see p. 7")
        (((), '0.5'), ((), 'see p. 7'))
    """
    words = name.split(".")
    if not all(word.isidentifier() or word.isdecimal() for word in words) or all(word.isdecimal() for word in words):
        return (), name
    path: list[str] = []
    for word in words[:-1]:
        if word.isdecimal() and path:
            path[-1] += f".{word}"
        else:
            path.append(word)
    return tuple(path), words[-1]


def module_paths(graph: Graph, names: Mapping[int, str]) -> list[Path]:
    """Return the module of each node, given the names of the leaves.

    A leaf is in the module that its name tells. An operator is where its leaves are. Operators that use none were
    created between two that do, and belong to the innermost module that both of these are in; save for a shortcut such
    as x + f(x), which belongs to the layer that it leads around.
    """
    paths: list[Path] = [()] * len(graph)
    for id, name in names.items():
        paths[id] = split_name(name)[0]
    named = [bool(path) for path in paths]

    operators = [id for id, node in enumerate(graph.nodes) if isinstance(node, Operator)]
    operators.sort(key=lambda id: graph.nodes[id].number)
    own: dict[int, list[Path]] = {}
    for id in operators:
        made_by = maker(graph, id)
        found = own.get(made_by) if made_by >= 0 else [paths[leaf] for leaf in graph.operands[id] if named[leaf]]
        if found:
            own[id] = found
    for id, found in own.items():
        paths[id] = common_path(found)
    before: Path = ()
    waiting: list[int] = []
    for id in operators:
        if id not in own:
            waiting.append(id)
            continue
        _place(graph, paths, waiting, before, paths[id])
        before = paths[id]
        waiting.clear()
    _place(graph, paths, waiting, before, ())
    for id in operators:
        if (made_by := maker(graph, id)) >= 0:
            paths[id] = paths[made_by]
    for id, node in enumerate(graph.nodes):
        if isinstance(node, Constant) and graph.edges.get(id):
            paths[id] = paths[graph.edges[id][0]]
    return paths


def maker(graph: Graph, id: int) -> int:
    """Return the id of the operator that this node is one of several results of; -1 for any other node."""
    match = _ONE_OF_SEVERAL.fullmatch(graph.nodes[id].name)
    if match is None or len(graph.operands[id]) != 1 or not isinstance(graph.nodes[id], Operator):
        return -1
    operand = graph.operands[id][0]
    return operand if isinstance(graph.nodes[operand], Operator) and graph.nodes[operand].name == match[1] else -1


def result_number(node: Node) -> int:
    """Return which of several results a node is, by its name, as in `Split[2]`."""
    return int(node.name[node.name.rindex("[") + 1 : -1])


def _place(graph: Graph, paths: list[Path], operators: list[int], before: Path, after: Path) -> None:
    """Set the paths of operators that were created between one in the module before and one in the module after."""
    shared = common_path([before, after])
    inner = [before[:depth] for depth in range(len(before), len(shared), -1)]
    for id in operators:
        around = next((module for module in inner if _leads_around(graph, paths, id, module)), ())
        # Whether x + f(x) is written in f or where f is called cannot be seen; the layers of a list tend to do it.
        layers = [module for module in inner if len(module) <= len(around) and module[-1][-1].isdecimal()]
        paths[id] = layers[0] if layers else shared or around


def _leads_around(graph: Graph, paths: list[Path], id: int, module: Path) -> bool:
    """Whether an operator joins a result of a module with what the module was given."""
    inside = [paths[operand][: len(module)] == module for operand in graph.operands[id]]
    return any(inside) and any(
        not within and any(paths[user][: len(module)] == module for user in graph.edges[operand])
        for operand, within in zip(graph.operands[id], inside, strict=True)
    )


def common_path(paths: list[Path]) -> Path:
    """Return the beginning that all paths share."""
    shared = paths[0]
    for path in paths[1:]:
        same = 0
        while same < min(len(shared), len(path)) and shared[same] == path[same]:
            same += 1
        shared = shared[:same]
    return shared
