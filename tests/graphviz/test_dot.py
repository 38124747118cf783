"""DOT text: what it says of a graph, and that Graphviz reads it whatever the names."""

import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spago import ag, nn
from spago.ag.graph import Graph
from spago.graphviz import Picture, to_dot
from spago.graphviz._dot import write_layout

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")


def drawn(dot: str) -> str:
    """Return what Graphviz makes of a text; it must have nothing to complain about."""
    done = subprocess.run(["dot", "-Tplain"], input=dot.encode(), capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout.decode()


def node(dot: str, id: int) -> str:
    """Return the line of a node."""
    return next(line.strip() for line in dot.splitlines() if line.strip().startswith(f"{id} ["))


def texts(dot: str, id: int) -> list[str]:
    """Return the lines of text in a node."""
    return re.findall(r">([^<>]+)<", node(dot, id))


def attribute(dot: str, id: int, name: str) -> str | None:
    found = re.search(rf'\b{name}="?([^",\]]+)', node(dot, id).partition(">>")[2])
    return found[1] if found else None


def edges(dot: str) -> list[str]:
    return re.findall(r"\d+->\d+", dot)


def perceptron() -> ag.Node:
    x, w, b = ag.var(-0.8, name="x"), ag.var(0.4, requires_grad=True, name="w"), ag.var(-0.2, name="b")
    return ag.sigmoid(w * x + b)


def rnn(steps: int) -> tuple[ag.Node, ag.TimeStepHandler]:
    handler = ag.TimeStepHandler()
    w = nn.Param(np.eye(2), name="w")
    h: ag.Node = ag.var(np.zeros(2), name="h0")
    for t in range(1, steps + 1):
        handler.next()
        h = ag.tanh(w @ h + ag.var(np.ones(2), name=f"x{t}"))
    return h, handler


def test_the_perceptron() -> None:
    dot = to_dot(perceptron())
    assert dot.startswith("strict digraph {\n\trankdir=LR;\n")
    assert edges(dot) == ["1->0", "2->1", "5->1", "3->2", "4->2"]
    shown = [texts(dot, id) for id in range(6)]
    assert shown == [
        ["Sigmoid", "0.3729"],
        ["Add", "-0.52"],
        ["Mul", "-0.32"],
        ["w", "0.4"],
        ["x", "-0.8"],
        ["b", "-0.2"],
    ]
    assert [attribute(dot, id, "shape") for id in range(6)] == ["oval", "oval", "oval", "box", "box", "box"]


def test_the_same_graph_gives_the_same_text() -> None:
    assert to_dot(perceptron()) == to_dot(perceptron())


def test_operands_are_drawn_in_their_order_even_when_they_were_found_in_another() -> None:
    a, b = ag.var([1.0, 2.0], name="a"), ag.var([1.0, 2.0], name="b")
    # a is found first, as the operand of the square.
    dot = to_dot(ag.square(a) + (b - a))
    assert texts(dot, 3)[0] == "Sub"
    assert [edge for edge in edges(dot) if edge.endswith("->3")] == ["4->3", "2->3"]


def test_colours_tell_what_nodes_are_for() -> None:
    x, w = ag.var([1.0, 2.0], name="x"), nn.Param([1.0, 2.0], name="w")
    frozen, buffer = nn.Param([1.0, 1.0], requires_grad=False), nn.Buffer([1.0, 1.0])
    hidden = x * w * frozen * buffer * 2.0
    dot = to_dot(hidden * ag.stop_grad(hidden))
    by_name = {line[0]: id for id in range(len(Graph(hidden)) + 2) if (line := texts(dot, id))}
    fills = {name: attribute(dot, id, "fillcolor") for name, id in by_name.items()}
    assert len({fills["x"], fills["w"], fills["2"]}) == 3
    assert fills["param"] == fills["buffer"] == fills["2"]
    assert attribute(dot, 0, "fillcolor") != attribute(dot, 1, "fillcolor")
    assert sum('style="filled,dashed"' in line for line in dot.splitlines()) == 1


def test_the_kind_of_a_parameter_is_said_below_its_name() -> None:
    assert texts(to_dot(nn.Param(np.zeros((2, 3)), name="w")), 0) == ["w", "param · 2×3"]


def test_a_leaf_without_name_is_called_by_its_kind() -> None:
    dot = to_dot([nn.Param(np.zeros((2, 3))), ag.var([1.0, 2.0]), ag.var([1.0, 2.0], name=" ")])
    assert [texts(dot, id) for id in range(3)] == [["param", "2×3"], ["variable", "2"], ["variable", "2"]]


@pytest.mark.parametrize(("shape", "text"), [((), "scalar"), ((3,), "3"), ((2, 3), "2×3"), ((2, 0, 1), "2×0×1")])
def test_shapes(shape: tuple[int, ...], text: str) -> None:
    assert texts(to_dot(ag.var(np.ones(shape), name="x"), values=0), 0) == ["x", text]


def test_shapes_and_dtypes_on_edges() -> None:
    x = ag.var(np.ones((2, 3), np.float32), name="x")
    dot = to_dot(ag.tanh(x), shapes="edges", dtypes=True)
    assert '1->0 [label=" float32 2×3 "];' in dot
    assert texts(dot, 1) == ["x"]


def test_small_values_are_shown_as_asked() -> None:
    x = ag.var([1.0, 2 / 3], name="x")
    assert texts(to_dot(x), 0) == ["x", "2"]
    assert texts(to_dot(x, values=2), 0) == ["x", "2 = [1, 0.6667]"]


def test_ids_are_shown_as_asked() -> None:
    assert texts(to_dot(perceptron(), ids=True), 3) == ["3", "w", "0.4"]


@pytest.mark.parametrize(("value", "text"), [(np.nan, "1 NaN"), (np.inf, "1 Inf")])
def test_nan_and_inf_are_red_and_counted(value: float, text: str) -> None:
    x = ag.var([1.0, value], name="x")
    dot = to_dot(x + 1.0)
    assert texts(dot, 0) == ["Add", "2", text]
    assert attribute(dot, 0, "fontcolor") == attribute(dot, 1, "fontcolor") == "#dc2626"
    assert attribute(dot, 2, "fontcolor") is None


def test_a_gradient_with_nan_is_red() -> None:
    x = ag.var([1.0, 2.0], requires_grad=True, name="x")
    (x * 2.0).backward([np.nan, np.inf])
    dot = to_dot(x)
    assert texts(dot, 0) == ["x", "2", "gradient: 1 NaN, 1 Inf"]
    assert attribute(dot, 0, "fontcolor") == "#dc2626"


def test_gradients_are_shown_and_colour_nodes() -> None:
    a, b, c = (ag.var([1.0, 1.0], requires_grad=True, name=name) for name in "abc")
    y = a * 3.0 + b * 4.0 + c * 0.0
    y.backward()
    dot = to_dot(y, gradients=True, color="gradient")
    ids = {texts(dot, id)[0]: id for id in range(11)}
    assert texts(dot, ids["b"]) == ["b", "2", "|gradient| 5.66"]
    fills = [attribute(dot, ids[name], "fillcolor") for name in "bac"]
    assert fills[0] == "#f97316"
    assert fills[2] == "#ffffff"
    assert len(set(fills)) == 3


def test_names_from_a_model_and_frames_for_its_modules() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.layers = [nn.Linear(2, 2), nn.Linear(2, 1)]

        def forward(self, x: ag.Node) -> ag.Node:
            y: ag.Node = self.layers[1](ag.tanh(self.layers[0](x)))
            return y

    model = Model()
    y = model(ag.var([1.0, 2.0], name="x"))
    framed = to_dot(y, names=model)
    assert re.findall(r'label="(.*)";', framed) == ["layers.1", "layers.0"]
    assert sorted(re.findall(r"<b>(.*?)</b>", framed)) == [
        "Linear",
        "Linear",
        "Tanh",
        "bias",
        "bias",
        "weight",
        "weight",
        "x",
    ]
    assert "layers.0.weight" in re.findall(r"<b>(.*?)</b>", to_dot(y, names=model, clusters=0))


def test_a_result_can_be_named() -> None:
    y = perceptron()
    assert texts(to_dot(y, names={y: "y"}), 0) == ["y = Sigmoid", "0.3729"]


def test_frames_as_deep_as_asked() -> None:
    x = ag.var([1.0], name="model.encoder.layers.0.weight")
    assert re.findall(r'label="(.*)";', to_dot(x)) == ["model", "encoder", "layers.0"]
    dot = to_dot(x, clusters=2)
    assert re.findall(r'label="(.*)";', dot) == ["model", "encoder"]
    assert texts(dot, 0)[0] == "layers.0.weight"


def test_time_steps_are_framed_in_order_each_with_its_colour() -> None:
    h, handler = rnn(2)
    dot = to_dot(h, time_steps=handler)
    assert re.findall(r"subgraph (\w+)", dot) == [f"cluster_timestep_{t}" for t in (0, 1, 2)]
    assert re.findall(r'label="(.*)";', dot) == ["Time Step 0", "Time Step 1", "Time Step 2"]
    assert [attribute(dot, id, "color") for id in (3, 6, 0)] == ["#1b9e77", "#d95f02", "#7570b3"]


def test_leaves_can_stand_at_one_end() -> None:
    assert "{rank=source; 3; 4; 5}" in to_dot(perceptron(), align_leaves=True)
    assert "rank=source" not in to_dot(perceptron())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 3}, "expected one of the options names, .*, got 'depth'"),
        ({"shapes": "arrows"}, "expected shapes to be one of nodes, edges, none, got 'arrows'"),
        ({"color": "red"}, "expected color to be one of role, gradient, time, none, got 'red'"),
        ({"direction": "up"}, "expected direction to be one of LR, TB, RL, BT, got 'up'"),
        ({"max_nodes": 4}, "expected max_nodes of at least 5, got 4"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        to_dot(ag.var(1.0), **options)


def test_a_released_graph_is_refused() -> None:
    y = perceptron()
    ag.release_graph(y)
    with pytest.raises(ag.GraphError, match="Sigmoid, which release_graph has emptied"):
        to_dot(y)


NAMES = {
    "quotes": "say \"hi\" and 'bye'",
    "HTML": "<b>bold</b> & <table>",
    "newline": "two\nlines\n",
    "backslash": "\\N \\G \\",
    "emoji": "naïve 🦊👩‍🚀 ν",
    "right to left": "שלום عالم",
    "control": "a\x00b\x1bc\x7f\x85d\ufffe\uffff",
    "half a surrogate": "\ud83d",
    "long": "x" * 10_000,
    "only a newline": "\n",
    "comment": "a --> b <!-- c --> ]]>; // d",
}


@needs_dot
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_graphviz_reads_any_name(name: str) -> None:
    x = ag.var([1.0, 2.0], name=name)
    h = ag.tanh(x)
    lines = drawn(to_dot([h, ag.var([3.0], name=f"m.{name}")], names={h: name})).splitlines()
    assert sum(line.startswith("node ") for line in lines) == 3


@needs_dot
@given(st.text(max_size=20))
@example("]")
@example("]]")
@example("]]>")
def test_graphviz_reads_names_of_any_characters(name: str) -> None:
    drawn(to_dot(ag.var([1.0, 2.0], name=name), names={}))


@needs_dot
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shapes": "edges"},
        {"ids": True, "values": 100},
        {"align_leaves": True},
        {"max_nodes": 5},
        {"color": "none"},
    ],
    ids=str,
)
def test_graphviz_reads_what_every_option_gives(options: Any) -> None:
    h, handler = rnn(3)
    drawn(to_dot(h, **options))
    drawn(to_dot(h, time_steps=handler, **options))
    drawn(to_dot(ag.sum(h * np.inf), direction="TB", color="gradient", gradients=True))


@needs_dot
def test_an_empty_graph_and_a_lone_leaf_are_drawn() -> None:
    assert "node" not in drawn(to_dot([]))
    assert "node 0" in drawn(to_dot(ag.var(1.0)))


@needs_dot
def test_a_cycle_made_by_hand_is_drawn() -> None:
    class Loop(ag.Variable):
        other: ag.Node

        @property
        def operands(self) -> tuple[ag.Node, ...]:
            return (self.other,)

    a, b = Loop(1.0, name="a"), Loop(2.0, name="b")
    a.other, b.other = b, a
    assert drawn(to_dot(a)).count("edge") == 2
    assert drawn(to_dot(a, max_nodes=5)).count("edge") == 2


def test_a_very_long_name_keeps_its_ends_and_is_whole_in_the_tooltip() -> None:
    name = "begin" + "x" * 10_000 + "end"
    dot = to_dot(ag.var([1.0, 2.0], name=name))
    assert texts(dot, 0)[0].startswith("begin")
    assert texts(dot, 0)[0].endswith("end")
    assert len(texts(dot, 0)[0]) < 100
    assert f'tooltip="{name}"' in dot


@needs_dot
def test_time_steps_are_drawn_side_by_side_in_their_order() -> None:
    h, handler = rnn(5)
    picture = Picture(h, time_steps=handler, direction="TB")
    text = write_layout(picture._view)
    places = {line.split()[6].strip('<"'): line.split()[2:4] for line in drawn(text).splitlines() if ">x" in line}
    assert len({y for _, y in places.values()}) == 1
    across = [float(x) for _, (x, _) in sorted(places.items())]
    assert across == sorted(across)


def test_lines_between_time_steps_are_laid_out_backwards_and_drawn_forwards() -> None:
    h, handler = rnn(5)
    picture = Picture(h, time_steps=handler)
    text = write_layout(picture._view)
    turned = [tuple(reversed(line.split("->"))) for line in re.findall(r"(\d+->\d+) \[dir=back\]", text)]
    kept = [tuple(line.split("->")) for line in re.findall(r"(\d+->\d+);", text)]
    assert len(turned) == 4
    assert sorted(turned + kept) == sorted(tuple(line.split("->")) for line in edges(picture.dot))


def test_what_has_no_time_steps_is_drawn_from_its_text() -> None:
    picture = Picture(perceptron())
    assert write_layout(picture._view) == picture.dot


def test_large_pictures_are_laid_out_in_bounded_time() -> None:
    h, _ = rnn(100)
    assert "nslimit=2;" in to_dot(h)
    assert "nslimit" not in to_dot(h, max_nodes=100)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (3, "expected a node, several nodes, or a Graph, got int"),
        (np.ones(3), "expected a node, several nodes, or a Graph, got float64"),
        ([ag.var(1.0), "y"], "expected a node, several nodes, or a Graph, got str"),
        (nn.Linear(2, 3), "got Linear; graphviz.model draws models"),
    ],
)
def test_what_is_no_node_is_refused(nodes: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        to_dot(nodes)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"names": 3}, TypeError, "expected names to be a model or a mapping, got int"),
        ({"max_nodes": "5"}, TypeError, "expected max_nodes to be of type int, got str"),
        ({"max_nodes": 4}, ValueError, "expected max_nodes of at least 5, got 4"),
        ({"clusters": -1}, ValueError, "expected clusters of at least 0, got -1"),
        ({"values": -1}, ValueError, "expected values of at least 0, got -1"),
        ({"time_steps": 3}, TypeError, "expected time_steps to be of type TimeStepHandler, got int"),
        ({"profile": 3}, TypeError, "expected profile to be of type Profile, got int"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        to_dot(perceptron(), **options)


def cyclic() -> ag.Node:
    """Two operators made by hand to be operands of one another."""
    first: Any = ag.tanh(ag.var(np.ones(2)))
    second: Any = ag.sin(first)
    first._operands = (second,)
    result: ag.Node = second
    return result


@needs_dot
@pytest.mark.parametrize("max_nodes", [None, 5])
def test_a_graph_that_was_made_cyclic_by_hand_is_drawn(max_nodes: int | None) -> None:
    dot = to_dot(cyclic(), max_nodes=max_nodes)
    assert sorted(edges(dot)) == ["0->1", "1->0"]
    assert "Tanh" in drawn(dot)
