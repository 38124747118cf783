"""Operators beside PyTorch's, where PyTorch has the same: values and gradients in float64 and float32."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spago import ag  # noqa: E402

F = torch.nn.functional
Shape = tuple[int, ...]

INDICES = np.array([[2, 0, 1], [1, 1, 0]])
CONDITION = np.array([[True, False, True], [False, False, True]])


@dataclass(frozen=True)
class Pair:
    """The same function here and there.

    Attributes:
        name: What it is.
        ours: On nodes.
        theirs: On tensors.
        shapes: Of the operands.
        low: The least value of an operand's elements.
        high: The greatest.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    shapes: list[tuple[Shape, ...]] = field(default_factory=lambda: [((2, 3),), ((1,),), ((2, 2, 4),), ((0, 3),)])
    low: float = -6.0
    high: float = 6.0


TWO: list[tuple[Shape, ...]] = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 4)), ((), (2, 2)), ((0, 3), (3,))]
ROWS: list[tuple[Shape, ...]] = [((4,),), ((2, 5),), ((2, 3, 2),), ((3, 1),)]

PAIRS = [
    Pair("add", ag.add, torch.add, TWO),
    Pair("sub", ag.sub, torch.sub, TWO),
    Pair("mul", ag.mul, torch.mul, TWO),
    Pair("div", ag.div, torch.div, TWO, 0.3, 3),
    Pair("pow", ag.pow, torch.pow, TWO, 0.3, 3),
    Pair("pow 3", lambda x: x**3.0, lambda x: x**3.0),
    Pair("maximum", ag.maximum, torch.maximum, TWO),
    Pair("minimum", ag.minimum, torch.minimum, TWO),
    Pair("neg", ag.neg, torch.neg),
    Pair("clip", lambda x: ag.clip(x, -1.0, 2.0), lambda x: torch.clamp(x, -1.0, 2.0)),
    Pair("where", lambda a, b: ag.where(CONDITION, a, b), lambda a, b: torch.where(torch.tensor(CONDITION), a, b),
         [((2, 3), (3,)), ((2, 1), ())]),
    Pair("abs", ag.abs, torch.abs),
    Pair("exp", ag.exp, torch.exp),
    Pair("log", ag.log, torch.log, low=0.1),
    Pair("sqrt", ag.sqrt, torch.sqrt, low=0.1),
    Pair("square", ag.square, torch.square),
    Pair("reciprocal", ag.reciprocal, torch.reciprocal, low=0.3),
    Pair("expm1", ag.expm1, torch.expm1),
    Pair("log1p", ag.log1p, torch.log1p, low=-0.8),
    Pair("erf", ag.erf, torch.erf),
    Pair("sin", ag.sin, torch.sin),
    Pair("cos", ag.cos, torch.cos),
    Pair("tan", ag.tan, torch.tan, low=-1.3, high=1.3),
    Pair("sigmoid", ag.sigmoid, torch.sigmoid, low=-30, high=30),
    Pair("log_sigmoid", ag.log_sigmoid, F.logsigmoid, low=-30, high=30),
    Pair("tanh", ag.tanh, torch.tanh),
    Pair("relu", ag.relu, F.relu),
    Pair("leaky_relu", ag.leaky_relu, F.leaky_relu),
    Pair("elu", lambda x: ag.elu(x, 0.7), lambda x: F.elu(x, 0.7)),
    # PyTorch rounds 1 / alpha to float32: one half stays as it is.
    Pair("celu", lambda x: ag.celu(x, 0.5), lambda x: F.celu(x, 0.5)),
    Pair("selu", ag.selu, F.selu),
    Pair("softplus", lambda x: ag.softplus(x, 2.0), lambda x: F.softplus(x, 2.0, threshold=1000)),
    Pair("softshrink", ag.softshrink, F.softshrink),
    Pair("threshold", lambda x: ag.threshold(x, 0.5, -1.0), lambda x: F.threshold(x, 0.5, -1.0)),
    Pair("hard_tanh", ag.hard_tanh, F.hardtanh),
    Pair("softsign", ag.softsign, F.softsign),
    Pair("mish", ag.mish, F.mish, low=-30, high=30),
    Pair("gelu", ag.gelu, F.gelu),
    Pair("gelu tanh", lambda x: ag.gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh")),
    Pair("silu", ag.silu, F.silu, low=-30, high=30),
    Pair("softmax", ag.softmax, lambda x: torch.softmax(x, -1), ROWS, -50, 50),
    Pair("softmax 0", lambda x: ag.softmax(x, axis=0), lambda x: torch.softmax(x, 0), ROWS),
    Pair("log_softmax", ag.log_softmax, lambda x: torch.log_softmax(x, -1), ROWS, -50, 50),
    Pair("logsumexp", ag.logsumexp, lambda x: torch.logsumexp(x, -1), ROWS, -50, 50),
    Pair("logsumexp all", lambda x: ag.logsumexp(x, axis=None), lambda x: torch.logsumexp(x.flatten(), 0), ROWS),
    Pair("sum", lambda x: ag.sum(x, axis=0, keepdims=True), lambda x: torch.sum(x, 0, keepdim=True)),
    Pair("prod", lambda x: ag.prod(x, axis=0), lambda x: torch.prod(x, 0), ROWS),
    Pair("mean", ag.mean, torch.mean, ROWS),
    Pair("variance", lambda x: ag.variance(x, axis=0, ddof=1), lambda x: torch.var(x, 0), [((3,),), ((4, 2),)]),
    Pair("variance all", ag.variance, lambda x: torch.var(x, correction=0), ROWS),
    Pair("std", lambda x: ag.std(x, axis=-1, ddof=1), lambda x: torch.std(x, -1), [((3,),), ((4, 2),)]),
    Pair("norm", lambda x: ag.norm(x, axis=-1), lambda x: torch.linalg.vector_norm(x, dim=-1), ROWS),
    Pair("max", lambda x: ag.max(x, axis=-1), lambda x: torch.max(x, -1).values, ROWS),
    Pair("min", lambda x: ag.min(x, axis=0), lambda x: torch.min(x, 0).values, ROWS),
    Pair("cumsum", lambda x: ag.cumsum(x, axis=0), lambda x: torch.cumsum(x, 0), ROWS),
    Pair("transpose", lambda x: ag.transpose(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1), [((2, 3, 4),)]),
    Pair("sort", lambda x: ag.sort(x, axis=0), lambda x: torch.sort(x, 0).values, ROWS),
    Pair("topk", lambda x: ag.topk(x, 2)[0], lambda x: torch.topk(x, 2).values, [((4,),), ((2, 3),)]),
    Pair("repeat", lambda x: ag.repeat(x, 3, axis=0), lambda x: torch.repeat_interleave(x, 3, 0), ROWS),
    Pair("tile", lambda x: ag.tile(x, (2, 3)), lambda x: torch.tile(x, (2, 3)), ROWS),
    Pair("tril", lambda x: ag.tril(x, -1), lambda x: torch.tril(x, -1), [((3, 3),), ((2, 4, 3),)]),
    Pair("triu", ag.triu, torch.triu, [((3, 3),), ((2, 4, 3),)]),
    Pair("roll", lambda x: ag.roll(x, 2), lambda x: torch.roll(x, 2, -1), ROWS),
    Pair("flip", lambda x: ag.flip(x, 0), lambda x: torch.flip(x, (0,)), ROWS),
    Pair("pad", lambda x: ag.pad(x, ((0, 0), (1, 2)), 3.0), lambda x: F.pad(x, (1, 2), value=3.0), [((2, 3),)]),
    Pair("concat", lambda *xs: ag.concat(xs), lambda *xs: torch.cat(xs, -1), [((2, 1), (2, 3), (2, 0)), ((2,), (3,))]),
    Pair("stack", lambda *xs: ag.stack(xs, axis=1), lambda *xs: torch.stack(xs, 1), [((2, 3), (2, 3)), ((3,), (3,))]),
    Pair("split", lambda x: ag.split(x, (1, 3))[1], lambda x: torch.split(x, (1, 3), -1)[1], [((4,),), ((2, 4),)]),
    Pair("getitem", lambda x: x[INDICES, 1:], lambda x: x[torch.tensor(INDICES), 1:], [((3, 3),), ((4, 2),)]),
    Pair("take", lambda x: ag.take(x, INDICES), lambda x: F.embedding(torch.tensor(INDICES), x),
         [((3, 2),), ((5, 4),)]),
    Pair("gather", lambda x: ag.gather(x, INDICES), lambda x: torch.gather(x, 1, torch.tensor(INDICES)),
         [((2, 3),), ((2, 5),)]),
    Pair("matmul", ag.matmul, torch.matmul, [
        ((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 2, 3), (3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
    ]),
    Pair("dot", ag.dot, torch.dot, [((3,), (3,)), ((1,), (1,))]),
    Pair("linear", ag.linear, F.linear, [((3,), (2, 3), (2,)), ((2, 4, 3), (2, 3), (2,)), ((4, 3), (2, 3))]),
    Pair("bilinear", lambda x1, x2, w: ag.bilinear(w[0], x1, x2), lambda x1, x2, w: F.bilinear(x1, x2, w)[..., 0],
         [((4, 2), (4, 3), (1, 2, 3))]),
    *[
        Pair(f"einsum {subscripts}", lambda *xs, s=subscripts: ag.einsum(s, *xs),
             lambda *xs, s=subscripts: torch.einsum(s, *xs), [shapes])
        for subscripts, shapes in {
            "bhqd,bhkd->bhqk": ((2, 1, 3, 2), (2, 1, 4, 2)),
            "ij,ij->": ((2, 3), (2, 3)),
            "ii->i": ((3, 3),),
            "i,ij,j->": ((2,), (2, 3), (3,)),
            "...i,ji->...j": ((2, 4, 3), (5, 3)),
        }.items()
    ],
    Pair("max_pooling", lambda x: ag.max_pooling(x, 2, 3), lambda x: F.max_pool2d(x, (2, 3)), [((1, 2, 4, 6),)]),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("pair", "shapes"), [
    pytest.param(p, s, id=f"{p.name}-{s}") for p in PAIRS for s in p.shapes
])  # fmt: skip
def test_value_and_gradients_are_those_of_pytorch(pair: Pair, shapes: tuple[Shape, ...], dtype: Any) -> None:
    rng = np.random.default_rng(len(pair.name))
    operands = [rng.uniform(pair.low, pair.high, shape).astype(dtype) for shape in shapes]
    nodes = [ag.var(x, requires_grad=True) for x in operands]
    tensors = [torch.tensor(x, requires_grad=True) for x in operands]

    y, z = pair.ours(*nodes), pair.theirs(*tensors)
    g = rng.standard_normal(y.shape).astype(dtype)
    y.backward(g)
    z.backward(torch.tensor(g))

    tolerance = 1e-10 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(y.value, z.detach().numpy(), rtol=tolerance, atol=tolerance)
    for node, tensor in zip(nodes, tensors, strict=True):
        assert node.grad.dtype == dtype
        np.testing.assert_allclose(node.grad, tensor.grad.numpy(), rtol=tolerance, atol=tolerance)


def test_a_training_run_of_many_operators_stays_with_pytorch() -> None:
    rng = np.random.default_rng(0)
    w1, w2, x = rng.standard_normal((8, 5)), rng.standard_normal((3, 8)), rng.standard_normal((6, 5))
    targets = rng.integers(0, 3, (6, 1))
    ours = [ag.var(w.copy(), requires_grad=True) for w in (w1, w2)]
    theirs = [torch.tensor(w, requires_grad=True) for w in (w1, w2)]

    for _ in range(100):
        h = ag.gelu(ag.linear(x, ours[0])) + ag.softplus(ag.linear(x, ours[0]))
        loss = -ag.gather(ag.log_softmax(ag.linear(h, ours[1])), targets).mean()
        loss.backward()
        t = F.gelu(torch.tensor(x) @ theirs[0].T) + F.softplus(torch.tensor(x) @ theirs[0].T, threshold=1000)
        torch_loss = F.cross_entropy(t @ theirs[1].T, torch.tensor(targets[:, 0]))
        torch_loss.backward()
        assert abs(loss.item() - torch_loss.item()) < 1e-10
        for p, q in zip(ours, theirs, strict=True):
            p.value -= 0.1 * np.asarray(p.grad)
            p.zero_grad()
            q.data -= 0.1 * q.grad
            q.grad = None
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.value, q.detach().numpy(), rtol=1e-9, atol=1e-10)
