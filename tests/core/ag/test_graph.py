"""The graph behind a result: numbering, edges, labels and time steps."""

import math
import sys

import numpy as np
import pytest

from spago import ag
from spago.ag.graph import Graph
from spago.mat import Array


def labels(graph: Graph) -> list[str]:
    return [graph.label(i) for i in range(len(graph))]


def test_a_node_is_numbered_before_its_operands_and_these_in_order() -> None:
    x, w, b = (ag.var([1.0, 2.0], name=name) for name in "xwb")
    graph = Graph(ag.sigmoid(w * x + b))
    assert labels(graph) == ["Sigmoid", "Add", "Mul", "w", "x", "b"]
    assert graph.edges == {1: [0], 2: [1], 3: [2], 4: [2], 5: [1]}
    assert graph.operands == [(1,), (2, 5), (3, 4), (), (), ()]
    assert graph.roots == [0]


def test_an_operand_used_twice_is_one_node_and_one_edge_but_two_operands() -> None:
    x = ag.var([1.0, 2.0], name="x")
    graph = Graph(x * x)
    assert graph.edges == {1: [0]}
    assert graph.operands == [(1, 1), ()]


def test_an_operand_used_again_after_others_is_one_edge() -> None:
    @ag.operator
    def three(a: Array, b: Array, c: Array) -> ag.Joint:
        return a + b + c, lambda g, needs: (g, g, g)

    x = ag.var([1.0], name="x")
    graph = Graph(three(x, ag.tanh(x), x))
    assert graph.edges == {1: [0, 2], 2: [0]}
    assert graph.operands[0] == (1, 2, 1)


def test_consumers_are_in_the_order_of_discovery() -> None:
    x = ag.var([1.0], name="x")
    h = ag.tanh(x)
    assert Graph((h * h) * x).edges == {1: [0], 2: [1], 3: [2, 0]}


def test_several_roots_share_what_they_share() -> None:
    x = ag.var([1.0], name="x")
    h = ag.tanh(x)
    graph = Graph(ag.sigmoid(h), h, x, h)
    assert labels(graph) == ["Sigmoid", "Tanh", "x"]
    assert graph.roots == [0, 1, 2]


def test_no_roots_give_an_empty_graph() -> None:
    graph = Graph()
    assert len(graph) == 0
    assert graph.nodes_by_time_step() == {}


def test_a_constant_is_one_node_for_each_place_where_it_is_given() -> None:
    x, c = ag.var([1.0, 2.0], name="x"), np.ones(2, np.float32)
    h = x * c
    graph = Graph((h + c) * h)
    assert labels(graph) == ["Mul", "Add", "Mul", "x", "", ""]
    assert [type(graph.nodes[i]) for i in (4, 5)] == [ag.Constant, ag.Constant]
    assert graph.operands == [(1, 2), (2, 5), (3, 4), (), (), ()]


def test_an_operand_that_was_left_out_is_no_node() -> None:
    y = ag.linear(ag.var([1.0], name="x"), ag.var([[1.0]], name="w"), None)
    assert labels(Graph(y)) == ["Linear", "x", "w"]


def test_what_lies_behind_stop_grad_is_left_out() -> None:
    x = ag.var([1.0, 2.0], name="x")
    graph = Graph(ag.stop_grad(ag.sigmoid(x)) * 0.25)
    assert labels(graph) == ["Mul", "Sigmoid", "0.25"]
    assert x not in graph


def test_a_node_knows_its_id() -> None:
    x = ag.var([1.0])
    graph = Graph(x * x)
    assert graph.id_of(x) == 1
    with pytest.raises(KeyError):
        graph.id_of(ag.var(1.0))


def test_only_a_leaf_of_one_element_without_name_shows_its_value() -> None:
    leaves = [ag.var(2.0), ag.var([0.5]), ag.var([1.0, 2.0]), ag.var(2.0, name="two"), ag.var(np.float64(1) / 3)]
    assert labels(Graph(*leaves)) == ["2", "0.5", "", "two", "0.3333333333333333"]


@pytest.mark.parametrize(("x", "text"), [(0.1, "0.1"), (-1, "-1"), (1e6, "1e+06"), (1e-5, "1e-05"), (math.nan, "NaN")])
def test_numbers_are_printed_as_by_the_reference(x: float, text: str) -> None:
    assert labels(Graph(ag.var(x))) == [text]


def test_nodes_are_listed_by_time_step() -> None:
    steps = ag.TimeStepHandler()
    w = ag.var([1.0], name="w")
    h: ag.Node = ag.var([0.0], name="h0")
    for _ in range(2):
        steps.next()
        h = ag.tanh(w * h + 1.0)
    graph = Graph(h, time_steps=steps)
    by_step = {step: [graph.label(i) for i in ids] for step, ids in graph.nodes_by_time_step().items()}
    # A constant belongs to the step that uses it, whenever it came to be.
    assert by_step == {0: ["w", "h0"], 1: ["Tanh", "Add", "Mul", "1"], 2: ["Tanh", "Add", "Mul", "1"]}


def test_without_time_steps_all_nodes_are_in_step_minus_one() -> None:
    assert Graph(ag.var(1.0) * 2.0).nodes_by_time_step() == {-1: [0, 1, 2]}


def test_a_released_graph_is_refused_with_the_remedy() -> None:
    h = ag.tanh(ag.var([1.0]))
    y = h * 2.0
    ag.release_graph(h)
    message = "Graph: expected a graph with its values, got Tanh, which release_graph has emptied; compute it again"
    with pytest.raises(ag.GraphError) as caught:
        Graph(y)
    assert str(caught.value) == message


def test_a_cycle_made_by_hand_ends() -> None:
    class Loop(ag.Variable):
        @property
        def operands(self) -> tuple[ag.Node, ...]:
            return (self.other,)

        other: ag.Node

    a, b = Loop(1.0, name="a"), Loop(2.0, name="b")
    a.other, b.other = b, a
    graph = Graph(a)
    assert labels(graph) == ["a", "b"]
    assert graph.edges == {0: [1], 1: [0]}


def test_any_depth_is_reached_without_recursion() -> None:
    x: ag.Node = ag.var(1.0)
    for _ in range(100_000):
        x = ag.neg(x)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(220)
    try:
        graph = Graph(x)
    finally:
        sys.setrecursionlimit(limit)
    assert len(graph) == 100_001
    assert graph.edges[100_000] == [99_999]
