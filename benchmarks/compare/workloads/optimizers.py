"""One step of an optimizer: ten million parameters in few tensors, and few in many tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago.mat import Array

CASES = [dict(tensors=40, size=250_000), dict(tensors=1000, size=100)]
MOMENTUM = 0.9


def inputs(tensors: int, size: int) -> Inputs:
    """Parameters and their gradients."""
    rng = np.random.default_rng(1)
    values, gradients = rng.standard_normal((2, tensors, size), np.float32)
    return list(values), list(gradients)


@workload("Adam step, {tensors} tensors of {size}", cases=CASES[:1], goals={"PyTorch": 1, "PyTorch, foreach": 1})
def adam_large(tensors: int, size: int) -> Inputs:
    """Large tensors: arithmetic counts."""
    return inputs(tensors, size)


@workload("Adam step, {tensors} tensors of {size}", cases=CASES[1:], goals={"PyTorch": 2, "PyTorch, foreach": 2})
def adam_small(tensors: int, size: int) -> Inputs:
    """Small tensors: overhead counts."""
    return inputs(tensors, size)


@workload(
    "SGD step with momentum, {tensors} tensors of {size}", cases=CASES[:1], goals={"PyTorch": 1, "PyTorch, foreach": 1}
)
def sgd_large(tensors: int, size: int) -> Inputs:
    """Large tensors: arithmetic counts."""
    return inputs(tensors, size)


@workload(
    "SGD step with momentum, {tensors} tensors of {size}", cases=CASES[1:], goals={"PyTorch": 2, "PyTorch, foreach": 2}
)
def sgd_small(tensors: int, size: int) -> Inputs:
    """Small tensors: overhead counts."""
    return inputs(tensors, size)


def our_steps(values: list[Array], gradients: list[Array], method: Callable[[list[Any]], Any]) -> Run:
    """Return a step of one of our methods."""
    from spago import nn

    parameters = [nn.Param(value.copy()) for value in values]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer = method(parameters)

    def run() -> Results:
        # PyTorch's step keeps the gradients too; without them the next step would have nothing to do.
        optimizer.step(zero_grad=False)
        return [parameters[0].value, parameters[-1].value]

    return run


def their_steps(values: list[Array], gradients: list[Array], method: Callable[[list[Any]], Any]) -> Run:
    """Return a step of one of PyTorch's methods."""
    import torch

    parameters = [torch.tensor(value, requires_grad=True) for value in values]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient)
    optimizer = method(parameters)

    def run() -> Results:
        optimizer.step()
        return [parameters[0], parameters[-1]]

    return run


@adam_large.side("spago")
@adam_small.side("spago")
def _(values: list[Array], gradients: list[Array]) -> Run:
    from spago import optim

    return our_steps(values, gradients, lambda parameters: optim.Adam(parameters, learning_rate=1e-3))


@adam_large.side("spago", "no check for NaN")
def _(values: list[Array], gradients: list[Array]) -> Run:
    from spago import optim

    return our_steps(values, gradients, lambda parameters: optim.Adam(parameters, learning_rate=1e-3, on_nan="ignore"))


@adam_large.side("PyTorch")
@adam_small.side("PyTorch")
def _(values: list[Array], gradients: list[Array]) -> Run:
    import torch

    return their_steps(values, gradients, lambda parameters: torch.optim.Adam(parameters, lr=1e-3))


@adam_large.side("PyTorch", "fused")
@adam_small.side("PyTorch", "fused")
def _(values: list[Array], gradients: list[Array]) -> Run:
    import torch

    return their_steps(values, gradients, lambda parameters: torch.optim.Adam(parameters, lr=1e-3, fused=True))


@adam_large.side("PyTorch", "foreach")
@adam_small.side("PyTorch", "foreach")
def _(values: list[Array], gradients: list[Array]) -> Run:
    import torch

    return their_steps(values, gradients, lambda parameters: torch.optim.Adam(parameters, lr=1e-3, foreach=True))


@sgd_large.side("spago")
@sgd_small.side("spago")
def _(values: list[Array], gradients: list[Array]) -> Run:
    from spago import optim

    return our_steps(values, gradients, lambda parameters: optim.SGD(parameters, learning_rate=1e-3, momentum=MOMENTUM))


@sgd_large.side("spago", "no check for NaN")
def _(values: list[Array], gradients: list[Array]) -> Run:
    from spago import optim

    def method(parameters: list[Any]) -> Any:
        return optim.SGD(parameters, learning_rate=1e-3, momentum=MOMENTUM, on_nan="ignore")

    return our_steps(values, gradients, method)


@sgd_large.side("PyTorch")
@sgd_small.side("PyTorch")
def _(values: list[Array], gradients: list[Array]) -> Run:
    import torch

    return their_steps(values, gradients, lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=MOMENTUM))


@sgd_large.side("PyTorch", "fused")
@sgd_small.side("PyTorch", "fused")
def _(values: list[Array], gradients: list[Array]) -> Run:
    import torch

    return their_steps(
        values, gradients, lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=MOMENTUM, fused=True)
    )


@sgd_large.side("PyTorch", "foreach")
@sgd_small.side("PyTorch", "foreach")
def _(values: list[Array], gradients: list[Array]) -> Run:
    import torch

    return their_steps(
        values, gradients, lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=MOMENTUM, foreach=True)
    )


@workload(
    "{V}×{D} embeddings, {rows} rows looked up, forward, backward, and a sparse Adam step",
    cases=[dict(V=1_000_000, D=100, rows=1000)],
    goals={"PyTorch": 1},
)
def sparse_adam(V: int, D: int, rows: int) -> Inputs:
    """A large table of which little is used: time goes with the rows, not with the table."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((V, D), np.float32), rng.integers(0, V, rows), rng.standard_normal((rows, D), np.float32)


@sparse_adam.side("spago")
def _(table: Array, words: Any, gradient: Array) -> Run:
    from spago import nn, optim

    embedding = nn.Embedding(*table.shape, sparse=True)
    embedding.weight.value[...] = table
    # The epsilon of the reference is that of PyTorch's SparseAdam.
    optimizer = optim.Adam(embedding, learning_rate=1e-3, as_reference=True)

    def run() -> Results:
        embedding(words).backward(gradient)
        optimizer.step()
        return [embedding.weight.value[words]]

    return run


@sparse_adam.side("PyTorch")
def _(table: Array, words: Any, gradient: Array) -> Run:
    import torch

    embedding = torch.nn.Embedding.from_pretrained(torch.tensor(table), freeze=False, sparse=True)
    optimizer = torch.optim.SparseAdam(list(embedding.parameters()), lr=1e-3)
    rows, upstream = torch.tensor(words), torch.tensor(gradient)

    def run() -> Results:
        optimizer.zero_grad()
        embedding(rows).backward(upstream)
        optimizer.step()
        return [embedding.weight[rows]]

    return run
