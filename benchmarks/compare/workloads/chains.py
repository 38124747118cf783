"""Does the cost of a node depend on how large the graph is? Chains of sums, and trees of products.

autograd is not among the trees: it takes many operands as one container, whose gradient costs the square of their
number.
"""

from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag
from spago.mat import Array

SIZES = [dict(n=10**k) for k in (2, 3, 4, 5)]
LARGE = [dict(n=10**6)]


@workload("chain of {n} sums, forward and backward", cases=SIZES, large=LARGE, per=("n", "node"), memory=True)
def chain(n: int) -> Inputs:
    """The number that is added to itself, and how often."""
    return np.array([0.5], np.float32), n


@chain.side("spago")
def _(a: Array, n: int) -> Run:
    x = ag.var(a, requires_grad=True)

    def run() -> Results:
        x.zero_grad()
        y: ag.Node = x
        for _ in range(n):
            y = y + x
        y.backward()
        return y.value, x.grad

    return run


@chain.side("NumPy")
def _(a: Array, n: int) -> Run:
    ones = np.ones_like(a)

    def run() -> Results:
        y, g = a, ones
        for _ in range(n):
            y = y + a
        for _ in range(n):
            g = g + ones
        return y, g

    return run


@chain.side("PyTorch")
def _(a: Array, n: int) -> Run:
    import torch

    x = torch.tensor(a, requires_grad=True)

    def run() -> Results:
        x.grad = None
        y = x
        for _ in range(n):
            y = y + x
        y.backward()
        return y, x.grad

    return run


@chain.side("autograd")
def _(a: Array, n: int) -> Run:
    from autograd import make_vjp

    def chained(x: Any) -> Any:
        y = x
        for _ in range(n):
            y = y + x
        return y

    pullback, ones = make_vjp(chained), np.ones_like(a)

    def run() -> Results:
        back, y = pullback(a)
        return y, back(ones)

    return run


@chain.side("MyGrad")
def _(a: Array, n: int) -> Run:
    import mygrad

    x = mygrad.tensor(a)

    def run() -> Results:
        y = x
        for _ in range(n):
            y = y + x
        y.backward()
        return y.data, x.grad

    return run


@workload("tree of {n} leaves, forward and backward", cases=SIZES, large=LARGE, per=("n", "node"), memory=True)
def tree(n: int) -> Inputs:
    """The leaves, whose neighbours are multiplied, then the neighbours of the products, and so on."""
    return (list(np.random.default_rng(1).uniform(0.9, 1.1, (n, 1)).astype(np.float32)),)


def root(leaves: list[Any]) -> Any:
    """Return the product of all leaves, as a balanced tree of products of two."""
    level = leaves
    while len(level) > 1:
        above = [a * b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = above + level[2 * len(above) :]
    return level[0]


@tree.side("spago")
def _(values: list[Array]) -> Run:
    leaves = [ag.var(value, requires_grad=True) for value in values]

    def run() -> Results:
        for leaf in leaves:
            leaf.zero_grad()
        y = root(leaves)
        y.backward()
        return y.value, leaves[0].grad, leaves[-1].grad

    return run


@tree.side("PyTorch")
def _(values: list[Array]) -> Run:
    import torch

    leaves = [torch.tensor(value, requires_grad=True) for value in values]

    def run() -> Results:
        for leaf in leaves:
            leaf.grad = None
        y = root(leaves)
        y.backward()
        return y, leaves[0].grad, leaves[-1].grad

    return run


@tree.side("MyGrad")
def _(values: list[Array]) -> Run:
    import mygrad

    leaves = [mygrad.tensor(value) for value in values]

    def run() -> Results:
        y = root(leaves)
        y.backward()
        return y.data, leaves[0].grad, leaves[-1].grad

    return run
