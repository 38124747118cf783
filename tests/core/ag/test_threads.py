"""Large results on other threads: the same numbers, shapes checked at the call, errors where the value is asked for."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

from spago import ag
from spago.ag import _threads
from spago.ag._node import Operator
from spago.ag._queue import QueuedOperator
from spago.ag._rules import Unary
from spago.ag._threads import LARGE, LARGE_SUM, Task, line
from spago.mat import Array, ShapeError

N = 1001  # numbers of float64 that are large here


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_threads, "LARGE", 8 * (N - 1))
    monkeypatch.setattr(_threads, "LARGE_SUM", 8 * (N - 1))
    before = ag.get_num_threads()
    ag.set_num_threads(2)
    yield
    ag.synchronize()
    monkeypatch.undo()
    ag.set_num_threads(before)


def large(seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=N)


@ag.elementwise
def slow(x: Array) -> Unary:
    time.sleep(0.05)
    return x + 1, lambda g: g


def branches(xs: list[ag.Variable]) -> ag.Node:
    """Eight chains of element-wise work, added up; operands of other sizes, numbers and arrays among them."""
    total: ag.Node = ag.var(0.0, dtype=np.float64)
    for i, x in enumerate(xs):
        h: ag.Node = x
        for _ in range(3):
            h = ag.tanh(h * 1.1 + np.full(1, 0.1)) * (1.0 - ag.sigmoid(h)) + i
        total = total + h * h[:1]
    return total


def test_large_results_are_queued_and_small_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    ag.set_num_threads(2)
    function, product = np.ones(LARGE // 8 + 1), np.ones(LARGE_SUM // 8 + 1)
    assert type(ag.exp(ag.var(function))) is QueuedOperator
    assert type(ag.exp(ag.var(function[1:]))) is Operator
    assert type(ag.var(product) * 2.0) is QueuedOperator
    assert type(ag.var(product[1:]) * 2.0) is Operator


def test_what_needs_a_queued_result_is_queued() -> None:
    y = slow(ag.var(large()))
    assert type(y + 1.0) is QueuedOperator
    assert type(1.0 - y) is QueuedOperator


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    results = []
    for threads in (1, 2, 5):
        ag.set_num_threads(threads)
        xs = [ag.var(large(i), requires_grad=True) for i in range(4)]
        y = branches(xs)
        y.backward()
        y.backward(2.0 * np.ones(N))
        results.append([y.value, *(x.grad for x in xs)])
    for one, *others in zip(*results, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


def test_a_queued_result_knows_its_shape_and_dtype_at_once() -> None:
    x = slow(ag.var(large()))
    y = x * ag.var(np.ones((3, 1)))
    assert (y.shape, y.ndim, y.size, y.dtype) == ((3, N), 2, 3 * N, np.dtype(np.float64))
    assert type(y) is QueuedOperator
    assert y.value.shape == (3, N)
    assert type(y) is Operator


def test_python_numbers_do_not_promote_queued_results() -> None:
    y = 2.0 * ag.exp(ag.var(np.repeat(large(), 2).astype(np.float32))) + 1
    assert type(y) is QueuedOperator
    assert y.dtype == np.float32
    assert y.value.dtype == np.float32


def test_work_overlaps() -> None:
    both = threading.Barrier(2)

    @ag.elementwise
    def meets(x: Array) -> Unary:
        both.wait(timeout=60)  # until the other one is being computed too
        return x + 1, lambda g: g

    a, b = meets(ag.var(large())), meets(ag.var(large()))
    np.testing.assert_array_equal(a.value, b.value)


def test_shapes_are_checked_at_the_call() -> None:
    x, y = slow(ag.var(large())), ag.var(np.ones(N + 1))
    with pytest.raises(ShapeError, match=rf"Add: expected shapes that broadcast, got \({N},\) and \({N + 1},\)"):
        x + y


def test_what_is_no_array_is_refused_at_the_call() -> None:
    with pytest.raises(TypeError, match="Mul: expected an array of float32 or float64, got int64"):
        ag.var(large()) * np.arange(N)


@ag.elementwise
def fails(x: Array) -> Unary:
    raise ZeroDivisionError("no such number")


def test_an_error_is_raised_where_the_value_is_asked_for() -> None:
    y = fails(ag.var(large(), requires_grad=True))
    for ask in (lambda: y.value, y.backward, lambda: (y + 1.0).value, lambda: ag.sum(y)):
        with pytest.raises(ag.GraphError, match=r"Fails, created at .*test_threads.py:\d+, failed: no such number"):
            ask()


@ag.elementwise
def fails_backward(x: Array) -> Unary:
    def pullback(g: Array) -> Array:
        raise ZeroDivisionError("no way back")

    return x + 0, pullback


def test_an_error_on_the_way_back_leaves_all_leaves_alone() -> None:
    x, w = ag.var(large(), requires_grad=True), ag.var(large(), requires_grad=True)
    with pytest.raises(ZeroDivisionError, match="no way back"):
        (fails_backward(x) * w).backward()
    assert x.grad is None
    assert w.grad is None


@ag.elementwise
def halves(x: Array) -> Unary:
    return x[::2], lambda g: g


def test_a_rule_that_is_not_elementwise_is_told() -> None:
    with pytest.raises(ag.GraphError, match=r"Halves, created at .*: expected a result of float64 and shape .* @unary"):
        halves(ag.var(large())).value  # noqa: B018


def test_no_grad_keeps_nothing() -> None:
    with ag.no_grad():
        y = ag.exp(ag.var(large(), requires_grad=True))
    assert not y.requires_grad
    assert y.operands == ()
    np.testing.assert_array_equal(y.value, np.exp(large()))


def test_settings_of_numpy_reach_the_other_threads() -> None:
    x = ag.var(np.full(N, 1e300))
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("error")
        y, z = x * x, x * x
    assert np.isinf(y.value).all()
    assert np.isinf(z.value).all()


def test_retained_and_seeded_gradients() -> None:
    x = ag.var(large(), requires_grad=True)
    h = x * 3.0
    h.retain_grad()
    h.acc_grad(np.ones(N))
    (h * 2.0).backward()
    np.testing.assert_array_equal(h.grad, np.full(N, 3.0))
    np.testing.assert_array_equal(x.grad, np.full(N, 9.0))


def test_truncated_back_propagation_stops_at_a_large_result() -> None:
    w, steps = ag.var(np.full(N, 2.0), requires_grad=True), ag.TimeStepHandler()
    h = w * 1.0
    for _ in range(3):
        steps.next()
        h = h * w
    ag.backward(h, time_steps=steps, back_steps=1)
    np.testing.assert_array_equal(w.grad, np.full(N, 8.0))


def test_slices_meet_large_gradients() -> None:
    x = ag.var(large(), requires_grad=True)
    y = x * 1.0
    (ag.sum(y[:3]) + ag.sum(y * 2.0) + ag.sum(y[1:2])).backward()
    expected = np.full(N, 2.0)
    expected[:3] += 1
    expected[1] += 1
    np.testing.assert_array_equal(x.grad, expected)


def test_a_queued_graph_can_be_released() -> None:
    y = slow(ag.var(large(), requires_grad=True)) * 2.0
    ag.release_graph(y)
    with pytest.raises(ag.GraphError, match="was released"):
        y.value  # noqa: B018


def test_a_queued_result_can_be_pickled_and_shown() -> None:
    y = ag.exp(ag.var(large()))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(y)).value, np.exp(large()))
    assert repr(ag.exp(ag.var(large()))).startswith(f"<Operator 'Exp' float64({N},): [")


def test_no_reference_cycles() -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            ag.sum(branches([ag.var(large(), requires_grad=True)])).backward()
        ag.synchronize()
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("threads", [1, 3])
def test_calls_run_together_and_all_end_before_an_error_is_raised(threads: int) -> None:
    ended: list[int] = []

    def call(number: int) -> None:
        if number == 1:
            raise KeyError(f"call {number}")
        time.sleep(0.001)
        ended.append(number)

    ag.set_num_threads(threads)
    with pytest.raises(KeyError, match="call 1"):
        ag.run_together([partial(call, number) for number in range(5)])
    assert sorted(ended) == [0, 2, 3, 4]


def test_synchronize_waits_for_everything() -> None:
    ys = [slow(ag.var(large())) for _ in range(3)]
    ag.synchronize()
    assert line.unfinished == 0
    assert all(y.value is not None for y in ys)


def test_many_threads_ask_for_the_same_result() -> None:
    ys = [slow(ag.var(large(i))) * 2.0 for i in range(3)]
    seen: list[Array] = []

    def ask(y: ag.Node) -> None:
        seen.append(y.value)

    threads = [threading.Thread(target=ask, args=(y,)) for y in ys for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 12
    assert len({id(value) for value in seen}) == 3


def test_backward_from_many_threads_adds_up() -> None:
    w = ag.var(large(), requires_grad=True)

    def train() -> None:
        for _ in range(5):
            (ag.tanh(w) * 2.0).backward()

    threads = [threading.Thread(target=train) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(w.grad, 30 * 2 * (1 - np.tanh(large()) ** 2), rtol=1e-12)


def test_a_long_chain_of_tasks_does_not_recurse() -> None:
    task = Task(lambda: 0)
    for _ in range(20_000):
        task = Task(lambda n: n + 1, [task])
    assert task.result() == 20_000


def in_child(work: Callable[[], bool]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes can fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_computes_too() -> None:
    y = slow(ag.var(large()))
    assert in_child(lambda: bool((y.value == large() + 1).all() and (ag.exp(y).value > 0).all())) == 0
    np.testing.assert_array_equal(y.value, large() + 1)


def test_a_number_of_threads_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="set_num_threads: expected at least 1 thread, got 0"):
        ag.set_num_threads(0)


def test_the_default_is_all_processors_of_the_process() -> None:
    ag.set_num_threads()
    assert ag.get_num_threads() == len(os.sched_getaffinity(0))
