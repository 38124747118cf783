"""Optimizers, clipping and cross-entropy beside PyTorch's; run by hand, in an environment that has PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spago import ag, losses, nn, optim

torch = pytest.importorskip("torch")

SHAPES = [(3,), (4, 5), (60, 70)]

Pair = tuple[Callable[[Any], optim.Optimizer], Callable[[Any], Any]]

PAIRS: dict[str, Pair] = {
    "SGD": (lambda p: optim.SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "SGD, momentum": (lambda p: optim.SGD(p, 0.01, momentum=0.9), lambda p: torch.optim.SGD(p, 0.01, momentum=0.9)),
    "SGD, Nesterov, decay": (
        lambda p: optim.SGD(p, 0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    "SGD, velocity of gradients": (
        lambda p: optim.SGD(p, 0.01, momentum=0.9, nesterov=True, rate_in_velocity=False),
        lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True),
    ),
    "AdaGrad": (lambda p: optim.AdaGrad(p), lambda p: torch.optim.Adagrad(p)),
    "AdaGrad, decay": (
        lambda p: optim.AdaGrad(p, 0.1, eps=1e-3, weight_decay=0.1),
        lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-3, weight_decay=0.1),
    ),
    "Adam": (lambda p: optim.Adam(p), lambda p: torch.optim.Adam(p)),
    "Adam, decay": (
        lambda p: optim.Adam(p, 0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, 0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    ),
    "AdamW": (lambda p: optim.AdamW(p), lambda p: torch.optim.AdamW(p)),
    "AdamW, decay": (
        lambda p: optim.AdamW(p, 0.01, weight_decay=0.3),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3),
    ),
    "RAdam": (lambda p: optim.RAdam(p), lambda p: torch.optim.RAdam(p)),
    "RAdam, decay": (
        lambda p: optim.RAdam(p, 0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
        lambda p: torch.optim.RAdam(p, 0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    ),
    "RMSProp": (lambda p: optim.RMSProp(p), lambda p: torch.optim.RMSprop(p)),
    "RMSProp, decay": (
        lambda p: optim.RMSProp(p, 0.01, decay=0.9, weight_decay=0.1),
        lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)
def test_a_hundred_steps_are_pytorchs(ours: Callable[[Any], optim.Optimizer], theirs: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(0)
    params = [nn.Param(rng.normal(size=shape)) for shape in SHAPES]
    tensors = [torch.nn.Parameter(torch.tensor(p.value)) for p in params]
    mine, other = ours(params), theirs(tensors)
    for _ in range(100):
        for p, tensor in zip(params, tensors, strict=True):
            gradient = rng.normal(size=p.shape) * 10.0 ** rng.integers(-3, 3)
            p.grad = gradient
            tensor.grad = torch.tensor(gradient)
        mine.step()
        other.step()
    for p, tensor in zip(params, tensors, strict=True):
        np.testing.assert_allclose(p.value, tensor.detach().numpy(), rtol=1e-10, atol=1e-10)


SPARSE: dict[str, Pair] = {
    "SGD": (lambda p: optim.SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "AdaGrad": (lambda p: optim.AdaGrad(p, 0.1), lambda p: torch.optim.Adagrad(p, 0.1)),
    "SparseAdam": (
        lambda p: optim.Adam(p, 0.01, eps=1e-3, as_reference=True),
        lambda p: torch.optim.SparseAdam(p, 0.01, eps=1e-3),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), SPARSE.values(), ids=SPARSE)
def test_a_hundred_sparse_steps_are_pytorchs(
    ours: Callable[[Any], optim.Optimizer], theirs: Callable[[Any], Any]
) -> None:
    rng = np.random.default_rng(3)
    embedding = nn.Embedding(30, 4, padding_idx=2, sparse=True, dtype=np.float64)
    other = torch.nn.Embedding(30, 4, padding_idx=2, sparse=True, dtype=torch.float64)
    with torch.no_grad():
        other.weight.copy_(torch.tensor(embedding.weight.value))
    mine, theirs_of_it = ours(embedding), theirs(list(other.parameters()))
    for _ in range(100):
        for _ in range(rng.integers(1, 3)):  # several backwards accumulate
            rows, gradient = rng.integers(0, 30, (2, 3)), rng.normal(size=(2, 3, 4)) * 10.0 ** rng.integers(-3, 3)
            embedding(rows).backward(gradient)
            other(torch.tensor(rows)).backward(torch.tensor(gradient))
        mine.step()
        theirs_of_it.step()
        theirs_of_it.zero_grad()
    np.testing.assert_allclose(embedding.weight.value, other.weight.detach().numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
def test_clipping_by_norm_is_pytorchs(p: float) -> None:
    rng = np.random.default_rng(1)
    params = [nn.Param(np.zeros(shape)) for shape in SHAPES]
    tensors = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in SHAPES]
    for param, tensor in zip(params, tensors, strict=True):
        param.grad = rng.normal(size=param.shape)
        tensor.grad = torch.tensor(param.grad)
    norm = optim.clip_by_norm(params, 1.0, p)
    assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(tensors, 1.0, p).item(), rel=1e-12)
    for param, tensor in zip(params, tensors, strict=True):
        np.testing.assert_allclose(param.grad, tensor.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, [0.5, 1.0, 2.0, 0.0, 3.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_is_pytorchs(reduction: Any, weight: list[float] | None, smoothing: float) -> None:
    rng = np.random.default_rng(2)
    scores, targets = rng.normal(size=(6, 7, 5)) * 5, rng.integers(0, 5, (6, 7))
    targets[rng.random((6, 7)) < 0.3] = -100
    x, tensor = ag.var(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
    loss = losses.cross_entropy(x, targets, weight=weight, label_smoothing=smoothing, reduction=reduction)
    other = torch.nn.functional.cross_entropy(
        tensor.transpose(1, 2),
        torch.tensor(targets),
        weight=None if weight is None else torch.tensor(weight, dtype=torch.float64),
        label_smoothing=smoothing,
        reduction=reduction,
    )
    gradient = rng.normal(size=loss.shape)
    loss.backward(gradient)
    other.backward(torch.tensor(gradient))
    np.testing.assert_allclose(loss.value, other.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(x.grad, tensor.grad.numpy(), rtol=1e-11, atol=1e-14)
