"""What does an operator cost beyond its arithmetic? Two of them, a·b + b, on few elements."""

from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag
from spago.mat import Array


@workload(
    "a·b + b on {n} elements, forward and backward",
    cases=[dict(n=1), dict(n=100), dict(n=1000)],
    goals={"PyTorch": 3, "autograd": 8, "MyGrad": 8},
)
def multiply_add(n: int) -> Inputs:
    """a, b, and the gradient that arrives."""
    return tuple(np.random.default_rng(1).standard_normal((3, n), np.float32))


@multiply_add.side("spago")
def _(a: Array, b: Array, g: Array) -> Run:
    x, z = ag.var(a, requires_grad=True), ag.var(b, requires_grad=True)

    def run() -> Results:
        x.zero_grad()
        z.zero_grad()
        y = x * z + z
        y.backward(g)
        return y.value, x.grad, z.grad

    return run


@multiply_add.side("NumPy")
def _(a: Array, b: Array, g: Array) -> Run:
    def run() -> Results:
        return a * b + b, g * b, g * a + g

    return run


@multiply_add.side("PyTorch")
def _(a: Array, b: Array, g: Array) -> Run:
    import torch

    x, z = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    arriving = torch.tensor(g)

    def run() -> Results:
        x.grad = z.grad = None
        y = x * z + z
        y.backward(arriving)
        return y, x.grad, z.grad

    return run


@multiply_add.side("autograd")
def _(a: Array, b: Array, g: Array) -> Run:
    from autograd import make_vjp

    def multiply_and_add(operands: Any) -> Any:
        x, z = operands
        return x * z + z

    pullback = make_vjp(multiply_and_add)

    def run() -> Results:
        back, y = pullback((a, b))
        return y, *back(g)

    return run


@multiply_add.side("MyGrad")
def _(a: Array, b: Array, g: Array) -> Run:
    import mygrad

    x, z = mygrad.tensor(a), mygrad.tensor(b)

    def run() -> Results:
        y = x * z + z
        y.backward(g)
        return y.data, x.grad, z.grad

    return run
