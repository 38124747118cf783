"""Operators with several results: drawn as one node, whose lines say which result they carry."""

import re

import numpy as np

from spago import ag, nn
from spago.graphviz import Picture, to_dot


def parts() -> tuple[ag.Node, ...]:
    return tuple(ag.split(ag.var(np.arange(6.0), name="x"), 3))


def lines(dot: str) -> list[str]:
    return [line.strip() for line in dot.splitlines() if "->" in line]


def test_the_operator_and_its_results_are_one_node() -> None:
    a, b, c = parts()
    dot = to_dot(a * b + c)
    assert re.findall(r"<b>(.*?)</b>", dot) == ["Add", "Mul", "Split", "x"]
    assert re.findall(r">(\[\d\] \d)<", dot) == ["[0] 2", "[1] 2", "[2] 2"]


def test_lines_say_which_results_they_carry() -> None:
    a, b, c = parts()
    assert lines(to_dot(a * b + c)) == ["1->0;", '2->0 [label=" [2] "];', '2->1 [label=" [0], [1] "];', "4->2;"]


def test_lines_carry_shapes_beside_the_numbers() -> None:
    _, b, _ = parts()
    assert '[label=" [1] 2 "]' in to_dot(ag.tanh(b), shapes="edges")


def test_the_first_result_alone_needs_no_number() -> None:
    x = ag.var(np.ones((5, 3)), name="x")
    ys, _ = nn.LSTM(3, 4)(x)
    dot = to_dot(ag.sum(ys))
    assert "[0]" not in dot
    assert "5×4" in dot


def test_a_result_that_is_drawn_is_marked_as_such() -> None:
    a, b, _ = parts()
    dot = to_dot([b, ag.tanh(a)])
    assert dot.count("#dcfce7") == 2


def test_the_results_are_in_the_module_of_their_operator() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.lstm = nn.LSTM(3, 4)
            self.linear = nn.Linear(4, 2)

        def forward(self, x: ag.Node) -> ag.Node:
            ys, state = self.lstm(x)
            y: ag.Node = self.linear(ag.tanh(ys)) + self.linear(state.c)
            return y

    model = Model()
    y = model(ag.var(np.ones((5, 3)), name="x"))
    framed = to_dot(y, names=model).partition('label="lstm"')[2].partition("\t}\n")[0]
    assert '[0] 5×4</font><br/><font color="#6b7280" point-size="10">[2] 4' in framed


def test_repeated_operators_with_several_results_fold() -> None:
    x: ag.Node = ag.var(np.ones(4), name="x")
    for _ in range(300):
        a, b = ag.split(x, 2)
        x = ag.concat([b, a])
    picture = Picture(x, max_nodes=40)
    assert len(re.findall(r"\d+ \[label=", picture.dot)) <= 40
    assert re.search(r"<b>Split × \d+</b>", picture.dot)
