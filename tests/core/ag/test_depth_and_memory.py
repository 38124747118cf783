"""Graphs of any depth; memory that comes back without the cyclic collector."""

import copy
import gc
import pickle
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from spago import ag
from spago.mat import Array


@pytest.fixture
def low_recursion_limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    # Pytest itself stands on the stack; what is left is a few frames.
    depth = 0
    frame = sys._getframe()
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(depth + 100)
    yield
    sys.setrecursionlimit(before)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = ag.get_num_threads()
    ag.set_num_threads(1)
    yield
    ag.set_num_threads(before)


def chain(x: ag.Node, length: int) -> ag.Node:
    for _ in range(length):
        x = x + 1.0
    return x


def comb(x: ag.Node, length: int) -> ag.Node:
    """A chain of which every link has a leaf of its own, and the first leaf once more."""
    y = x
    for _ in range(length):
        y = y * x + 1.0 - x
    return y


@pytest.mark.parametrize("shape", [chain, comb])
@pytest.mark.usefixtures("low_recursion_limit", "no_collector")
def test_a_deep_graph_goes_forward_backward_and_away(shape: Callable[[ag.Node, int], ag.Node]) -> None:
    x = ag.var(np.float64(0.5), requires_grad=True)
    y = shape(x, 100_000)
    y.backward()
    assert np.isfinite(x.grad)
    del y
    assert gc.collect() == 0


@pytest.mark.slow
@pytest.mark.usefixtures("no_collector")
def test_a_million_operators_go_forward_backward_and_away() -> None:
    x = ag.var(np.float64(1.0), requires_grad=True)
    y = chain(x, 1_000_000)
    assert y.item() == 1_000_001
    y.backward()
    assert x.grad == 1
    del y
    assert gc.collect() == 0


@pytest.mark.usefixtures("low_recursion_limit")
def test_copies_and_pickles_of_a_deep_result_are_its_value_alone() -> None:
    x = ag.var(np.float64(1.0), requires_grad=True)
    y = chain(x, 20_000)
    for copied in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        assert isinstance(copied, ag.Variable)
        assert copied.item() == 20_001
        assert copied.name == "Add"
        assert not copied.requires_grad
    ag.release_graph(y)


def test_copies_of_a_leaf_keep_what_it_holds() -> None:
    x = ag.var([1.0, 2.0], requires_grad=True, name="x")
    (x * x).backward()
    for copied in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert (copied.name, copied.requires_grad) == ("x", True)
        assert copied.value.tolist() == [1, 2]
        assert copied.grad.tolist() == [2, 4]
        copied.acc_grad([1.0, 1.0])
        assert x.grad.tolist() == [2, 4]
    assert not np.shares_memory(copy.deepcopy(x).value, x.value)


def training_step(w: ag.Variable, b: ag.Variable, x: Array) -> None:
    h = ag.tanh(ag.linear(x, w, b))
    left, right = ag.split(h, 2)
    first = left[0] + right[[0, 0, 1]].sum()
    scores = ag.log_softmax(ag.concat([h, ag.stack([first, first]).reshape(1, 2)], axis=0))
    assert isinstance(h, ag.Operator)
    h.retain_grad()
    loss = -ag.gather(scores, np.zeros((4, 1), int)).mean() + ag.einsum("ij,ij->", w, w) * 0.1 + ag.max(h)
    loss.backward()
    for p in (w, b):
        p.value -= 0.01 * p.grad
        p.zero_grad()


@pytest.mark.usefixtures("no_collector")
def test_training_leaves_nothing_to_the_cyclic_collector_and_memory_is_flat() -> None:
    rng = np.random.default_rng(0)
    w = ag.var(rng.standard_normal((2, 3)), requires_grad=True)
    b = ag.var(np.zeros(2), requires_grad=True)
    x = rng.standard_normal((3, 3))

    def steps(n: int) -> int:
        for _ in range(n):
            training_step(w, b, x)
        return tracemalloc.get_traced_memory()[0]

    # Python keeps some freed objects for reuse, up to 2,000 of a kind: by then their number no longer grows.
    for _ in range(1_200):
        training_step(w, b, x)
    tracemalloc.start()
    early, late = steps(100), steps(300)
    tracemalloc.stop()

    assert gc.collect() == 0
    assert late - early < 10_000


@pytest.mark.slow
@pytest.mark.usefixtures("no_collector")
def test_ten_thousand_steps_take_no_more_memory_than_one() -> None:
    w = ag.var(np.ones((10, 10)), requires_grad=True)
    x = np.ones((4, 10))

    def steps(n: int) -> int:
        for _ in range(n):
            loss = ag.softmax(ag.tanh(ag.linear(x, w))).sum()
            loss.backward()
            w.zero_grad()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    early, late = steps(3_000), steps(7_000)
    tracemalloc.stop()
    assert late - early < 10_000
    assert gc.collect() == 0


@pytest.mark.usefixtures("no_collector")
def test_an_error_in_backward_leaves_no_cycles() -> None:
    @ag.unary
    def broken(x: Array) -> ag.Unary:
        def pullback(g: Array) -> Array:
            raise ZeroDivisionError

        return x.copy(), pullback

    x = ag.var(1.0, requires_grad=True)
    with pytest.raises(ZeroDivisionError):
        (broken(x * 2.0) + 1.0).backward()
    assert x.grad is None


@pytest.mark.usefixtures("one_thread")
def test_inference_keeps_nothing() -> None:
    x = ag.var(np.ones(100_000), requires_grad=True)
    tracemalloc.start()
    with ag.no_grad():
        y: ag.Node = x
        for _ in range(20):
            y = ag.tanh(y)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size < 1.5 * x.value.nbytes


@pytest.mark.usefixtures("one_thread")
def test_a_pullback_of_tanh_keeps_the_result_and_not_the_operand() -> None:
    x = ag.var(np.ones(100_000), requires_grad=True)
    tracemalloc.start()
    y = ag.tanh(ag.sigmoid(x * 2.0))
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert y.requires_grad
    assert size < 3.5 * x.value.nbytes  # three results
