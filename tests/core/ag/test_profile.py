"""Time and memory of results: measured inside a block, free outside of it."""

import time

import numpy as np

from spago import ag


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
