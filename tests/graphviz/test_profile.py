"""Time and memory in pictures."""

import re
import time

import numpy as np
import pytest

from spago import ag, graphviz
from spago.mat import Array


@ag.unary
def slow(x: ag.Operand) -> ag.Unary:
    time.sleep(0.03)
    return np.asarray(x) * 1.0, lambda g: g


@ag.unary
def slow_on_the_way_back(x: ag.Operand) -> ag.Unary:
    def pullback(g: Array) -> Array:
        time.sleep(0.03)
        return g

    return np.asarray(x) * 1.0, pullback


def test_nodes_show_the_time_they_took_and_the_memory_they_keep() -> None:
    with ag.profile() as times:
        y = slow(ag.tanh(ag.var(np.ones(1_000), name="x")))
    lines = [line for line in graphviz.to_dot(y, profile=times).splitlines() if "[label=" in line]
    assert re.search(r">[3-9]\d(\.\d)? ms</font>.*>8 kB<", lines[0])
    assert re.search(r">[\d.]+ (µs|ms)</font>.*>8 kB<", lines[1])
    assert "kB" not in lines[2]


def test_the_slowest_node_is_the_deepest_in_colour() -> None:
    with ag.profile() as times:
        y = slow(ag.tanh(ag.var(np.ones(10), name="x")))
    dot = graphviz.to_dot(y, profile=times, color="time")
    fills = re.findall(r'fillcolor="(#\w+)"', dot)
    assert fills[0] == "#f97316"
    assert fills[1] != "#f97316"
    assert '<font color="#111827" point-size="10">' in dot.splitlines()[-4]


def test_colouring_by_time_needs_a_profile() -> None:
    with pytest.raises(ValueError, match='expected profile= for color="time", got none; measure with ag.profile'):
        graphviz.to_dot(ag.var(1.0), color="time")


def test_the_way_back_is_shown_and_counts() -> None:
    x = ag.var(np.ones(1_000), requires_grad=True, name="x")
    with ag.profile() as times:
        y = ag.sum(slow_on_the_way_back(ag.tanh(x)))
        y.backward()
    dot = graphviz.to_dot(y, profile=times, color="time")
    assert re.search(r">[\d.]+ (µs|ms) \+ [3-9]\d(\.\d)? ms back<", dot)
    slowest = next(line for line in dot.splitlines() if "<b>SlowOnTheWayBack</b>" in line)
    assert 'fillcolor="#f97316"' in slowest
    assert '["time back","' in graphviz.to_html(y, profile=times)
