"""Time and memory of results: measured inside a block, free outside of it."""

import time

import numpy as np
import pytest

from spago import ag
from spago.mat import Array


@ag.unary
def slow(x: ag.Operand) -> ag.Unary:
    time.sleep(0.02)
    return np.asarray(x) * 1.0, lambda g: g


def test_each_result_has_its_time() -> None:
    x = ag.var(np.ones(10))
    with ag.profile() as times:
        y = ag.tanh(x)
        z = slow(y)
    after = ag.tanh(z)
    seconds = times.seconds(y), times.seconds(z)
    assert seconds[0] is not None
    assert seconds[1] is not None
    assert seconds[1] >= 0.02
    assert times.seconds(x) is None
    assert times.seconds(after) is None
    assert len(times) == 2


def test_large_results_are_measured_too_and_the_threads_come_back() -> None:
    before = ag.get_num_threads()
    with ag.profile() as times:
        y = ag.exp(ag.var(np.ones(2_000_000)))
    assert times.seconds(y) is not None
    assert ag.get_num_threads() == before


def test_memory_is_the_value_and_what_the_way_back_needs() -> None:
    x, w = ag.var(np.ones(100), requires_grad=True), ag.var(np.ones(100), requires_grad=True)
    with ag.profile() as times:
        product = x * w
        root = ag.sqrt(x)
        view = ag.reshape(x, (10, 10))
        total = ag.softmax(x)
    assert [times.memory(node) for node in (product, root, view, total)] == [800, 800, 0, 800]


def test_blocks_can_be_nested_and_results_die_as_ever() -> None:
    with ag.profile() as outer:
        with ag.profile() as inner:
            ag.tanh(ag.var(1.0))
        y = ag.tanh(ag.var(1.0))
    assert (len(inner), len(outer)) == (0, 1)
    assert outer.seconds(y) is not None


@ag.unary
def slow_on_the_way_back(x: ag.Operand) -> ag.Unary:
    def pullback(g: Array) -> Array:
        time.sleep(0.02)
        return g

    return np.asarray(x) * 1.0, pullback


def test_each_result_has_the_time_of_its_way_back() -> None:
    x = ag.var(np.ones(10), requires_grad=True)
    with ag.profile() as times:
        y = slow_on_the_way_back(x)
        z = ag.tanh(y)
        ag.sum(z).backward()
        once = times.backward_seconds(y)
        ag.sum(z).backward()
    twice, quick = times.backward_seconds(y), times.backward_seconds(z)
    assert once is not None
    assert twice is not None
    assert quick is not None
    assert 0.02 <= once <= twice - 0.02
    assert quick < 0.02
    assert times.backward_seconds(x) is None


def test_a_backward_outside_the_block_or_one_that_fails_gives_no_time_to_what_follows() -> None:
    @ag.unary
    def broken(x: ag.Operand) -> ag.Unary:
        return np.asarray(x) * 1.0, lambda g: g / object()

    x = ag.var(np.ones(10), requires_grad=True)
    with ag.profile() as times:
        y, z = broken(x), ag.tanh(x)
        with pytest.raises(TypeError):
            y.backward()
        time.sleep(0.02)
        z.backward()
    failed = times.backward_seconds(y)
    assert failed is not None
    assert failed < 0.02
    w = ag.tanh(x)
    w.backward()
    assert times.backward_seconds(w) is None
