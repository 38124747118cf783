"""Large graphs in few nodes, and which module an operator belongs to."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from spago import ag, nn
from spago.ag.graph import Graph
from spago.graphviz import Picture, render, to_dot
from spago.graphviz._fold import fold
from spago.graphviz._modules import module_paths, split_name


def names(dot: str) -> list[str]:
    return re.findall(r"<b>(.*?)</b>", dot)


def edges(dot: str) -> list[tuple[str, str]]:
    """Return the edges of a text by the names of their ends."""
    by_id = dict(re.findall(r"(\d+) \[label=<<b>(.*?)</b>", dot))
    return [(by_id[source], by_id[target]) for source, target in re.findall(r"(\d+)->(\d+)", dot)]


def rnn(steps: int) -> ag.Node:
    w = ag.var(np.eye(2), name="w")
    h: ag.Node = ag.var(np.zeros(2), name="h0")
    for t in range(1, steps + 1):
        h = ag.tanh(w @ h + ag.var(np.ones(2), name=f"x{t}"))
    return h


class Block(nn.Module):
    def __init__(self) -> None:
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x: ag.Node) -> ag.Node:
        y: ag.Node = self.down(ag.relu(self.up(x)))
        return x + y


class Model(nn.Module):
    def __init__(self, depth: int) -> None:
        self.blocks = [Block() for _ in range(depth)]
        self.head = nn.Linear(4, 1)

    def forward(self, x: ag.Node) -> ag.Node:
        for block in self.blocks:
            x = block(x)
        y: ag.Node = self.head(x)
        return y


def named_leaves(graph: Graph, model: nn.Module) -> dict[int, str]:
    by_name = {parameter: name for name, parameter in model.named_parameters() if isinstance(parameter, nn.Param)}
    return {i: by_name[node] for i, node in enumerate(graph.nodes) if isinstance(node, nn.Param)}


def test_a_graph_that_is_small_enough_is_left_alone() -> None:
    h = rnn(2)
    assert to_dot(h, max_nodes=len(Graph(h))) == to_dot(h)


def test_a_chain_keeps_its_ends_and_folds_its_middle() -> None:
    x: ag.Node = ag.var(1.0, name="x")
    for _ in range(10_000):
        x = -x
    dot = to_dot(x, max_nodes=20, values=0)
    assert len(names(dot)) <= 20
    folded = [name for name in names(dot) if "×" in name]
    assert len(folded) == 1
    assert 10_000 - 20 < int(folded[0].removeprefix("Neg × ")) < 10_000
    assert (folded[0], folded[0]) in edges(dot)
    assert ("x", "Neg") in edges(dot)


def test_steps_of_a_sequence_fold_into_a_loop() -> None:
    dot = to_dot(rnn(100), max_nodes=12)
    assert {name.partition(" ×")[0] for name in names(dot)} >= {"w", "Tanh", "Add", "Matmul"}
    assert any(re.fullmatch(r"x\d+ … x\d+ × \d+", name) for name in names(dot))
    loop = [edge for edge in edges(dot) if "×" in edge[0] and "×" in edge[1]]
    assert {(source.split(" ×")[0], target.split(" ×")[0]) for source, target in loop} >= {
        ("Matmul", "Add"),
        ("Add", "Tanh"),
        ("Tanh", "Matmul"),
    }


def test_leaves_of_different_names_fold_when_nothing_else_helps() -> None:
    total = ag.stack([ag.var(1.0, name=name * 3) for name in "abcdefghijkl"])
    dot = to_dot(total, max_nodes=5)
    assert names(dot) == ["Stack", "nodes × 12"]


def test_modules_in_a_list_that_are_built_alike_are_drawn_once() -> None:
    model = Model(12)
    dot = to_dot(model(ag.var(np.ones((5, 4)), name="x")), names=model, max_nodes=20)
    assert names(dot).count("Relu") == 1
    assert names(dot).count("Linear") == 3
    assert 'label="blocks.0 … blocks.11 × 12"' in dot
    assert re.findall(r'label="(up|down|head)"', dot) == ["head", "down", "up"]
    assert ("weight", "Linear") in edges(dot)


def test_a_dashed_line_leads_from_each_module_to_the_next() -> None:
    model = Model(12)
    dot = to_dot(model(ag.var(np.ones((5, 4)), name="x")), names=model, max_nodes=20)
    by_id = dict(re.findall(r"(\d+) \[label=<<b>(.*?)</b>", dot))
    again = re.findall(r"(\d+)->(\d+) \[style=dashed,constraint=false\]", dot)
    assert sorted((by_id[source], by_id[target]) for source, target in again) == [("Add", "Add"), ("Add", "Linear")]
    assert {("x", "Add"), ("Add", "Linear")} <= set(edges(dot))
    mermaid = Picture(model(ag.var(np.ones((5, 4)))), names=model, max_nodes=20).mermaid
    assert mermaid.count(" -.-> ") == 2


def test_modules_that_differ_are_not_merged() -> None:
    class Widening(nn.Module):
        def __init__(self) -> None:
            sizes = [4, 4, 4, 8, 8, 4, 4]
            self.layers = [nn.Linear(size, after) for size, after in pairwise(sizes)]

        def forward(self, x: ag.Node) -> ag.Node:
            for layer in self.layers:
                x = layer(x)
            return x

    model = Widening()
    dot = to_dot(model(ag.var(np.ones(4), name="x")), names=model, max_nodes=18)
    titles = re.findall(r'label="(layers\S*)( … \S+ × \d)?"', dot)
    assert sorted(titles) == [
        ("layers.0", " … layers.1 × 2"),
        ("layers.2", ""),
        ("layers.3", ""),
        ("layers.4", ""),
        ("layers.5", ""),
    ]


def test_lists_of_modules_within_modules_of_a_list_are_merged_too() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            self.blocks = [Block(), Block(), Block()]

        def forward(self, x: ag.Node) -> ag.Node:
            for block in self.blocks:
                x = block(x)
            return x

    class Whole(nn.Module):
        def __init__(self) -> None:
            self.outer = [Outer() for _ in range(5)]

        def forward(self, x: ag.Node) -> ag.Node:
            for each in self.outer:
                x = each(x)
            return x

    model = Whole()
    dot = to_dot(model(ag.var(np.ones((5, 4)), name="x")), names=model, max_nodes=10)
    assert 'label="outer.0 … outer.4 × 5"' in dot
    assert 'label="blocks.0 … blocks.2 × 3"' in dot
    assert len(names(dot)) == 9


def test_what_is_not_finite_in_any_of_the_merged_modules_is_red() -> None:
    model = Model(12)
    weight = model.blocks[7].up.weight
    y = model(ag.var(np.ones((5, 4)), name="x"))
    before = to_dot(y, names=model, max_nodes=20)
    weight.value[0, 0] = np.nan
    assert "#fee2e2" not in before
    assert to_dot(y, names=model, max_nodes=20).count('fillcolor="#fee2e2"') == 1


def test_equal_steps_are_drawn_once() -> None:
    steps = ag.TimeStepHandler()
    w, h = ag.var(np.eye(2), name="w"), ag.var(np.zeros(2), name="h0")
    result: ag.Node = h
    for t in range(1, 101):
        steps.next()
        result = ag.tanh(w @ result + ag.var(np.ones(2), name=f"x{t}"))
    dot = to_dot(result, time_steps=steps, max_nodes=10)
    assert 'label="Time Step 1 … Time Step 100 × 100"' in dot
    assert sorted(names(dot)) == ["Add", "Matmul", "Tanh", "h0", "w", "x1 … x100"]


def test_modules_fold_the_deepest_first() -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            self.first, self.second, self.third = Model(1), Model(1), nn.Linear(1, 4)

        def forward(self, x: ag.Node) -> ag.Node:
            y: ag.Node = self.second(self.third(self.first(x)))
            return y

    model = Stack()
    y = model(ag.var(np.ones((5, 4)), name="x"))
    dot = to_dot(y, names=model, max_nodes=12)
    assert names(dot).count("blocks.0") == 2
    chain = ["x", "blocks.0", "head", "Linear", "blocks.0", "head"]
    assert set(pairwise(chain)) <= set(edges(dot))
    assert len(names(dot)) <= 12


@pytest.mark.parametrize(
    ("max_nodes", "drawn"),
    [
        (8, ["Add", "Linear", "Relu", "bias", "down", "up", "weight", "x"]),
        (7, ["blocks.0 … blocks.29 × 30", "head", "x"]),
    ],
)
def test_merged_modules_fold_further(max_nodes: int, drawn: list[str]) -> None:
    model = Model(30)
    dot = to_dot(model(ag.var(np.ones((5, 4)), name="x")), names=model, max_nodes=max_nodes)
    assert sorted(names(dot)) == drawn


@pytest.mark.parametrize("max_nodes", [5, 6, 8, 13, 40, 100, 1000])
def test_never_more_nodes_than_asked_for_and_none_is_lost(max_nodes: int) -> None:
    model = Model(20)
    y = ag.sum(model(ag.var(np.ones((5, 4)), name="x"))) + ag.sum(rnn(30)) + ag.var(1.0) * 2.0
    graph = Graph(y)
    named = named_leaves(graph, model)
    labels = [named.get(i, graph.label(i)) for i in range(len(graph))]
    groups, _ = fold(graph, labels, module_paths(graph, named), max_nodes)
    assert len(groups) <= max_nodes
    assert sorted(i for group in groups for i in group.members) == list(range(len(graph)))


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")
def test_of_ten_thousand_nodes_a_page_is_drawn(tmp_path: Path) -> None:
    h = rnn(3_300)
    assert len(Graph(h)) > 13_000
    drawing = render(h, tmp_path / "g.svg").read_text(encoding="utf-8")
    assert drawing.count('class="node"') <= 100
    assert drawing.count('class="edge"') <= 200


@pytest.mark.parametrize(
    ("name", "path", "rest"),
    [
        ("w", (), "w"),
        ("encoder.layers.0.weight", ("encoder", "layers.0"), "weight"),
        ("layers.0.1.bias", ("layers.0.1",), "bias"),
        ("0.weight", ("0",), "weight"),
        ("0.5", (), "0.5"),
        ("a..b", (), "a..b"),
        ("see p. 7", (), "see p. 7"),
        ("", (), ""),
    ],
)
def test_dotted_names_tell_of_modules(name: str, path: tuple[str, ...], rest: str) -> None:
    assert split_name(name) == (path, rest)


def test_operators_belong_to_the_module_at_work_when_they_were_created() -> None:
    model = Model(2)
    y = ag.sigmoid(model(ag.square(ag.var(np.ones((5, 4)), name="x"))))
    graph = Graph(y)
    named = named_leaves(graph, model)
    paths = module_paths(graph, named)
    found = {(graph.label(i), paths[i]) for i, node in enumerate(graph.nodes) if isinstance(node, ag.Operator)}
    assert {path for label, path in found if label == "Relu"} == {("blocks.0",), ("blocks.1",)}
    assert {path for label, path in found if label == "Add"} == {("blocks.0",), ("blocks.1",)}
    assert {path for label, path in found if label in ("Sigmoid", "Square")} == {()}
    assert ("Linear", ("blocks.1", "down")) in found


def test_a_shortcut_around_a_part_belongs_to_the_layer_that_has_the_part() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            self.first, self.second = Block(), Block()

        def forward(self, x: ag.Node) -> ag.Node:
            y: ag.Node = self.first.down(self.first.up(x))
            x = x + y
            z: ag.Node = self.second.down(self.second.up(x))
            return x * z

    class Layers(nn.Module):
        def __init__(self) -> None:
            self.layers = [Layer(), Layer()]

    model = Layers()
    x: ag.Node = ag.var(np.ones((5, 4)), name="x")
    for layer in model.layers:
        x = layer(x)
    graph = Graph(x)
    paths = module_paths(graph, named_leaves(graph, model))
    for name in ("Add", "Mul"):
        found = {paths[i] for i in range(len(graph)) if graph.label(i) == name}
        assert found == {("layers.0",), ("layers.1",)}
