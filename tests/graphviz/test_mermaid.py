"""Mermaid text."""

import re

import numpy as np
import pytest

from spago import ag, nn
from spago.graphviz import to_mermaid


def test_the_perceptron() -> None:
    x, w, b = ag.var(-0.8, name="x"), ag.var(0.4, requires_grad=True, name="w"), ag.var(-0.2, name="b")
    assert to_mermaid(ag.sigmoid(w * x + b)).splitlines()[:12] == [
        "flowchart LR",
        '    n0(["Sigmoid<br/>0.3729"]):::result',
        '    n1(["Add<br/>-0.52"]):::operator',
        '    n2(["Mul<br/>-0.32"]):::operator',
        '    n3["w<br/>0.4"]:::learned',
        '    n4["x<br/>-0.8"]:::input',
        '    n5["b<br/>-0.2"]:::input',
        "    n1 --> n0",
        "    n2 --> n1",
        "    n5 --> n1",
        "    n3 --> n2",
        "    n4 --> n2",
    ]


def test_every_style_that_is_used_is_defined() -> None:
    x = ag.var([1.0, np.nan], name="x")
    text = to_mermaid(ag.stop_grad(x) * nn.Param([1.0, 2.0]) + 1.0)
    assert set(re.findall(r":::(\w+)", text)) == set(re.findall(r"classDef (\w+)", text))
    assert "strange" in text


def test_modules_are_nested() -> None:
    text = to_mermaid(ag.var([1.0, 2.0], name="encoder.layers.0.weight"))
    assert text.splitlines()[1:6] == [
        '    subgraph g1 ["encoder"]',
        '        subgraph g2 ["layers.0"]',
        '            n0["weight<br/>2"]:::input',
        "        end",
        "    end",
    ]


def test_shapes_on_edges() -> None:
    assert 'n1 -->|"2"| n0' in to_mermaid(ag.tanh(ag.var([1.0, 2.0])), shapes="edges")


@pytest.mark.parametrize("name", ['a"b', "<script>", "end]", "`x`", "a\nb", "a;b", "#1", "**b**", "x|y", "\x00", "\\"])
def test_nothing_in_a_name_means_anything(name: str) -> None:
    text = to_mermaid(ag.var([1.0, 2.0], name=name))
    label = re.fullmatch(r'    n0\["(.*)<br/>2"\]:::input', text.splitlines()[1])
    assert label is not None
    assert not set('"<>`|*\\\n').intersection(label[1])
    assert re.sub(r"#\d+;", "", label[1]).find("#") == -1
