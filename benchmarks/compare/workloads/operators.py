"""How near is an operator on large arrays to NumPy written by hand?

The hand-written side does the same mathematics with as few passes as NumPy allows, and its gradients, like ours, are
arrays of their own: the caller keeps g.
"""

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag
from spago.mat import Array

LIMIT = {"NumPy": 1 / 1.2}
"""No more than 1.2 times the hand-written time."""


@workload(
    "broadcast add, {rows}×{columns} + {columns}, forward and backward",
    cases=[dict(rows=512, columns=768)],
    goals=LIMIT,
)
def broadcast_add(rows: int, columns: int) -> Inputs:
    """The operands, and the gradient that arrives."""
    return normal((rows, columns), (columns,), (rows, columns))


@broadcast_add.side("spago")
def _(a: Array, b: Array, g: Array) -> Run:
    x, z = ag.var(a, requires_grad=True), ag.var(b, requires_grad=True)

    def run() -> Results:
        x.zero_grad()
        z.zero_grad()
        y = x + z
        y.backward(g)
        return y.value, x.grad, z.grad

    return run


@broadcast_add.side("NumPy")
def _(a: Array, b: Array, g: Array) -> Run:
    def run() -> Results:
        return a + b, g.copy(), g.sum(axis=0)

    return run


@broadcast_add.side("PyTorch")
def _(a: Array, b: Array, g: Array) -> Run:
    import torch

    x, z = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    arriving = torch.tensor(g)

    def run() -> Results:
        x.grad = z.grad = None
        y = x + z
        y.backward(arriving)
        return y, x.grad, z.grad

    return run


@workload("matmul {n}×{n}, forward and backward", cases=[dict(n=512)], goals=LIMIT)
def matmul(n: int) -> Inputs:
    """The operands, and the gradient that arrives."""
    return normal((n, n), (n, n), (n, n))


@matmul.side("spago")
def _(a: Array, b: Array, g: Array) -> Run:
    x, z = ag.var(a, requires_grad=True), ag.var(b, requires_grad=True)

    def run() -> Results:
        x.zero_grad()
        z.zero_grad()
        y = x @ z
        y.backward(g)
        return y.value, x.grad, z.grad

    return run


@matmul.side("NumPy")
def _(a: Array, b: Array, g: Array) -> Run:
    def run() -> Results:
        return a @ b, g @ b.T, a.T @ g

    return run


@matmul.side("PyTorch")
def _(a: Array, b: Array, g: Array) -> Run:
    import torch

    x, z = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    arriving = torch.tensor(g)

    def run() -> Results:
        x.grad = z.grad = None
        y = x @ z
        y.backward(arriving)
        return y, x.grad, z.grad

    return run


@workload("softmax of {rows}×{columns}, forward and backward", cases=[dict(rows=64, columns=1000)], goals=LIMIT)
def softmax(rows: int, columns: int) -> Inputs:
    """The scores, and the gradient that arrives."""
    return normal((rows, columns), (rows, columns))


@softmax.side("spago")
def _(a: Array, g: Array) -> Run:
    x = ag.var(a, requires_grad=True)

    def run() -> Results:
        x.zero_grad()
        y = ag.softmax(x)
        y.backward(g)
        return y.value, x.grad

    return run


@softmax.side("NumPy")
def _(a: Array, g: Array) -> Run:
    def run() -> Results:
        y = a - a.max(axis=-1, keepdims=True)
        np.exp(y, out=y)
        y /= y.sum(axis=-1, keepdims=True)
        d = g * y
        np.subtract(g, d.sum(axis=-1, keepdims=True), out=d)
        d *= y
        return y, d

    return run


@softmax.side("PyTorch")
def _(a: Array, g: Array) -> Run:
    import torch

    x, arriving = torch.tensor(a, requires_grad=True), torch.tensor(g)

    def run() -> Results:
        x.grad = None
        y = torch.softmax(x, dim=-1)
        y.backward(arriving)
        return y, x.grad

    return run


@workload("layer norm of {rows}×{columns}, forward and backward", cases=[dict(rows=512, columns=768)], goals=LIMIT)
def layer_norm(rows: int, columns: int) -> Inputs:
    """Input, gain, bias, and the gradient that arrives."""
    return normal((rows, columns), (columns,), (columns,), (rows, columns))


@layer_norm.side("spago")
def _(a: Array, gain: Array, bias: Array, g: Array) -> Run:
    from spago import nn

    x = ag.var(a, requires_grad=True)
    layer = nn.LayerNorm(len(gain))
    layer.load_state_dict({"weight": gain, "bias": bias})

    def run() -> Results:
        x.zero_grad()
        layer.zero_grad()
        y = layer(x)
        y.backward(g)
        return y.value, x.grad, *(parameter.grad for parameter in layer.parameters())

    return run


@layer_norm.side("NumPy")
def _(a: Array, gain: Array, bias: Array, g: Array) -> Run:
    D = a.shape[-1]

    def run() -> Results:
        x = a - a.mean(axis=-1, keepdims=True)
        r = 1 / np.sqrt(np.einsum("ij,ij->i", x, x)[:, None] / D + np.float32(1e-5))
        x *= r
        y = x * gain
        y += bias
        d = g * gain
        along = np.einsum("ij,ij->i", d, x)[:, None] / D
        d -= d.mean(axis=-1, keepdims=True)
        d -= x * along
        d *= r
        return y, d, np.einsum("ij,ij->j", g, x), g.sum(axis=0)

    return run


@layer_norm.side("PyTorch")
def _(a: Array, gain: Array, bias: Array, g: Array) -> Run:
    import torch

    x, w, b = (torch.tensor(array, requires_grad=True) for array in (a, gain, bias))
    arriving = torch.tensor(g)

    def run() -> Results:
        x.grad = w.grad = b.grad = None
        y = torch.nn.functional.layer_norm(x, w.shape, w, b)
        y.backward(arriving)
        return y, x.grad, w.grad, b.grad

    return run


def normal(*shapes: tuple[int, ...]) -> tuple[Array, ...]:
    """Return arrays of normally distributed numbers."""
    rng = np.random.default_rng(1)
    return tuple(rng.standard_normal(shape, np.float32) for shape in shapes)
