"""What does a second thread gain where there is much to compute, and what does it cost where there is little?

Ours has two threads here, whatever the others of a comparison have; beside it, the same work with one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag
from spago.mat import Array

BRANCHES, DEPTH = 8, 4


def with_threads(threads: int, set_threads: Callable[[int], None], get_threads: Callable[[], int], run: Run) -> Run:
    """Return the work, done by so many threads."""

    def limited() -> Results:
        before = get_threads()
        set_threads(threads)
        try:
            return run()
        finally:
            set_threads(before)

    return limited


our_threads = partial(with_threads, set_threads=ag.set_num_threads, get_threads=ag.get_num_threads)


@workload(
    f"{BRANCHES} independent branches: {DEPTH} {{function}} of {{n}}×{{n}} {{dtype}}, forward and backward, 2 threads",
    cases=[
        dict(function=function, n=1024, dtype=dtype)
        for function in ("sin", "tanh", "gelu")
        for dtype in ("float32", "float64")
    ],
    goals={"spago, 1 thread": 1.5},
)
def branches(function: str, n: int, dtype: str) -> Inputs:
    """The inputs of the branches, and what is done to them."""
    return np.random.default_rng(1).standard_normal((BRANCHES, n, n)).astype(dtype), function


def branching(xs: Array, function: str) -> Run:
    """Return our side of the work, on as many threads as there are."""
    leaves, apply = [ag.var(x, requires_grad=True) for x in xs], getattr(ag, function)

    def run() -> Results:
        ys: list[Any] = []
        for leaf in leaves:
            leaf.zero_grad()
            y: ag.Node = leaf
            for _ in range(DEPTH):
                y = apply(y)
            ys.append(y)
        ag.backward_many(ys)
        return [*(y.value for y in ys), *(leaf.grad for leaf in leaves)]

    return run


@branches.side("spago")
def _(xs: Array, function: str) -> Run:
    return our_threads(2, run=branching(xs, function))


@branches.side("spago", "1 thread")
def _(xs: Array, function: str) -> Run:
    return our_threads(1, run=branching(xs, function))


@branches.side("PyTorch", "2 threads")
def _(xs: Array, function: str) -> Run:
    import torch

    leaves = [torch.tensor(x, requires_grad=True) for x in xs]
    apply = getattr(torch, function, None) or getattr(torch.nn.functional, function)

    def run() -> Results:
        ys: list[Any] = []
        for leaf in leaves:
            leaf.grad = None
            y: Any = leaf
            for _ in range(DEPTH):
                y = apply(y)
            ys.append(y)
        torch.autograd.backward(ys, [torch.ones_like(y) for y in ys])
        return [*ys, *(leaf.grad for leaf in leaves)]

    return with_threads(2, torch.set_num_threads, torch.get_num_threads, run)


@workload(
    "{count} times a·b + b on {n} elements, forward and backward, 2 threads",
    cases=[dict(count=1000, n=1), dict(count=1000, n=100), dict(count=1000, n=10_000)],
    goals={"spago, 1 thread": 0.95},
    per=("count", "time"),
)
def small_operators(count: int, n: int) -> Inputs:
    """The factors, and how often."""
    return (*np.random.default_rng(1).standard_normal((2, n), np.float32), count)


def small(a: Array, b: Array, count: int) -> Run:
    """Return our side of the work, on as many threads as there are."""
    x, z = ag.var(a, requires_grad=True), ag.var(b, requires_grad=True)

    def run() -> Results:
        y: ag.Node = x
        for _ in range(count):
            x.zero_grad()
            z.zero_grad()
            y = x * z + z
            y.backward()
        return y.value, x.grad, z.grad

    return run


@small_operators.side("spago")
def _(a: Array, b: Array, count: int) -> Run:
    return our_threads(2, run=small(a, b, count))


@small_operators.side("spago", "1 thread")
def _(a: Array, b: Array, count: int) -> Run:
    return our_threads(1, run=small(a, b, count))
