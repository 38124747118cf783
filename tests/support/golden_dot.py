"""Adapters of the DOT texts: our text, read back and written as the reference writes it.

Ours looks better, but tells the same: which nodes there are, in which order, called what, of which shape, and what
leads where. It lists the lines to a node in the order of its operands, so that a - b is drawn with a first; the
reference lists those from a node in the order of discovery, which is the order of `Graph.edges`.
"""

import re
from collections.abc import Callable, Iterator

import numpy as np

from golden import Case, Result, adapter
from spago import ag, graphviz, nn
from spago.ag import Node, TimeStepHandler
from spago.ag.graph import Graph

# What the reference calls the operators whose names differ.
NAMES = {"Matmul": "Mul", "Mul": "Prod", "Sum": "ReduceSum"}

HEAD = """strict digraph {
\trankdir=LR;
    ordering="in";
    outputMode="edgesfirst";
\tcolorscheme="dark28";
\tnode [colorscheme="dark28"];
"""
NODE = re.compile(r"(\d+) \[label=<(?:<b>(.*?)</b>|<i>\w+</i>)<br/><font[^>]*>(?:\w+ · )?(.*?)</font>>,shape=(\w+)")


def as_reference(graph: Graph, names: dict[str, str] = NAMES) -> str:
    """Return our text for a graph as the reference would have written the same picture."""
    return "\n".join(_translated(graph, names)) + "\n"


def _translated(graph: Graph, names: dict[str, str]) -> Iterator[str]:
    dot = graphviz.to_dot(graph, values=0)
    drawn = re.findall(r"\d+->\d+;", dot)
    edges = [f"{source}->{target};" for source, targets in graph.edges.items() for target in targets]
    assert sorted(drawn) == sorted(edges)
    yield HEAD
    yield from (f"\t{edge}" for edge in edges)
    yield ""
    indent = "\t"
    for line in dot.splitlines():
        if step := re.search(r"cluster_timestep_(\d+)", line):
            color = int(step[1]) % 8 + 1
            yield f"\tsubgraph cluster_timestep_{step[1]} {{"
            yield f'\t\tlabel="Time Step {step[1]}";\n\t\tcolor={color};\n\t\tnode [color={color}];\n\t\t'
            indent = "\t\t"
        elif node := NODE.search(line):
            id, name, shape, form = node.groups()
            name = names.get(name, name) if form == "oval" else name or ""
            label = f"<sup>{id}</sup><br/><b>{name}</b><br/><sub>{_matrix(shape)}</sub>"
            yield f"{indent}{id} [label=<{label}>,shape={form}]"
        elif line == "\t}":
            yield "\t}\n"
    yield "}"


def _matrix(shape: str) -> str:
    return "1×1" if shape == "scalar" else shape if "×" in shape else f"{shape}×1"


def _scalars_without_names() -> list[Node]:
    return [ag.var(2.0) * ag.var(0.5) + ag.var(-1.0)]


def _scalar_names() -> list[Node]:
    y: Node = ag.var(0.1, dtype=np.float32)
    for c in (1e6, 123456, 1e20, 1e21, 1e-5, 1e-4, 0.1, 100, 1 / 3):
        y = y + ag.var(c, dtype=np.float64)
    return [y]


def _shared_nodes() -> list[Node]:
    x = ag.var(np.arange(3.0), name="x")
    h = ag.tanh(x)
    return [ag.dot(h * h, x)]


def _escaped_name() -> list[Node]:
    a, b = ag.var(np.arange(3.0), name='a<b & "c"'), ag.var(np.arange(3.0))
    return [ag.square(a) + (b - a)]


def _two_roots() -> list[Node]:
    w, x = nn.Param(np.zeros((2, 3))), ag.var(np.arange(3.0), name="x")
    return [ag.softmax(w @ x), ag.sum(x)]


def _stop_grad() -> list[Node]:
    return [ag.stop_grad(ag.sigmoid(ag.var(np.arange(3.0), name="x"))) * nn.Buffer(0.25)]


def _single_variable() -> list[Node]:
    return [ag.var(np.arange(4.0), name="only")]


GRAPHS: dict[str, tuple[Callable[[], list[Node]], dict[str, str]]] = {
    "scalars_without_names": (_scalars_without_names, NAMES),
    "scalar_names": (_scalar_names, NAMES),
    "shared_nodes": (_shared_nodes, NAMES),
    "escaped_name": (_escaped_name, NAMES),
    "two_roots": (_two_roots, NAMES),
    "stop_grad": (_stop_grad, {"Mul": "ProdScalar"}),
    "single_variable": (_single_variable, NAMES),
}


@adapter("dot", *GRAPHS)
def _graph(case: Case) -> Result:
    build, names = GRAPHS[case.name]
    return Result(text=as_reference(Graph(*build()), names))


@adapter("dot", "time_steps")
def _time_steps(case: Case) -> Result:
    steps = TimeStepHandler()
    w = nn.Param(np.eye(2), name="w")
    h: Node = ag.var(np.zeros(2), name="h0")
    for t in (1, 2):
        steps.next()
        x = ag.var(np.ones(2), name=f"x{t}")
        h = ag.tanh(w @ h + x)
    return Result(text=as_reference(Graph(h, time_steps=steps)))
