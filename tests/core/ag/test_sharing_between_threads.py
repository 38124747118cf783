"""Several Python threads at once, on shared parameters."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from spago import ag

THREADS = 8


def together(function: Callable[[int], None]) -> None:
    """Call function in as many threads, started at the same moment; raise what any of them raises."""
    barrier = threading.Barrier(THREADS)

    def run(i: int) -> None:
        barrier.wait()
        function(i)

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(run, i) for i in range(THREADS)]:
            future.result()


def test_gradients_of_all_threads_add_up_on_shared_leaves() -> None:
    w = ag.var(np.ones((4, 4)), requires_grad=True)
    rng = np.random.default_rng(0)
    xs = rng.integers(-3, 4, (THREADS, 50, 2, 4)).astype(np.float64)

    def train(i: int) -> None:
        for x in xs[i]:
            (ag.linear(x, w) * 2.0).backward()

    together(train)

    # Whole numbers: the order of additions does not matter.
    expected = 2 * np.broadcast_to(xs.sum(axis=(0, 1, 2)), (4, 4))
    np.testing.assert_array_equal(w.grad, expected)


def test_threads_may_go_back_through_a_graph_that_they_share() -> None:
    x = ag.var(np.arange(4.0), requires_grad=True)
    shared = ag.square(x) * 3.0

    def go_back(i: int) -> None:
        for _ in range(50):
            (shared * 1.0).backward()

    together(go_back)

    np.testing.assert_array_equal(x.grad, THREADS * 50 * 6 * np.arange(4.0))


def test_inference_in_all_threads_gives_what_one_gives() -> None:
    rng = np.random.default_rng(1)
    w, xs = ag.var(rng.standard_normal((8, 8)), requires_grad=True), rng.standard_normal((THREADS, 8))
    expected = [ag.softmax(ag.tanh(ag.linear(x, w))).value for x in xs]

    def infer(i: int) -> None:
        for _ in range(100):
            with ag.no_grad():
                y = ag.softmax(ag.tanh(ag.linear(xs[i], w)))
            assert not y.requires_grad
            np.testing.assert_array_equal(y.value, expected[i])

    together(infer)


def test_switches_belong_to_one_thread() -> None:
    x = ag.var(1.0, requires_grad=True)

    def switch(i: int) -> None:
        for _ in range(200):
            if i % 2:
                with ag.no_grad():
                    assert not (x * x).requires_grad
            else:
                assert (x * x).requires_grad

    together(switch)


def test_draws_of_dropout_are_never_given_to_two_threads() -> None:
    from spago.mat import rand

    rng = rand.LockedRand(3)
    x = ag.var(np.ones(64))
    masks: list[bytes] = []
    together(lambda i: masks.extend(ag.dropout(x, 0.5, rng=rng).value.tobytes() for _ in range(20)))

    again = rand.LockedRand(3)
    expected = [(again.bernoulli((64,), 0.5, np.float64) * 2).tobytes() for _ in range(20 * THREADS)]
    assert sorted(masks) == sorted(expected)
