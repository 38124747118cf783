"""How long does the smallest training step take? examples/regression.py: a line through points, one graph a point."""

from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import losses, nn
from spago.mat import Array

LEARNING_RATE, MOMENTUM = 0.001, 0.9


@workload(
    "line through points: linear layer, squared error and backward for one point",
    goals={"PyTorch": 3},
    tolerance=1e-12,
)
def one_point() -> Inputs:
    """x, y, weight and bias."""
    return np.array([0.6]), np.array([2.8]), np.array([[-0.38]]), np.array([0.1])


@one_point.side("spago")
def _(x: Array, y: Array, weight: Array, bias: Array) -> Run:
    model = _our_line(weight, bias)

    def run() -> Results:
        model.zero_grad()
        loss = losses.mse(model(x), y, scale=0.5)
        loss.backward()
        return loss.value, model.weight.grad, model.bias.grad

    return run


@one_point.side("NumPy")
def _(x: Array, y: Array, weight: Array, bias: Array) -> Run:
    def run() -> Results:
        error = weight @ x + bias - y
        loss = (error * error * 0.5).mean()
        return loss, np.multiply.outer(error, x), error

    return run


@one_point.side("PyTorch")
def _(x: Array, y: Array, weight: Array, bias: Array) -> Run:
    import torch

    model = _their_line(weight, bias)
    point, target = torch.tensor(x), torch.tensor(y)

    def run() -> Results:
        model.zero_grad()
        loss = 0.5 * torch.nn.functional.mse_loss(model(point), target)
        loss.backward()
        return loss, model.weight.grad, model.bias.grad

    return run


@one_point.side("autograd")
def _(x: Array, y: Array, weight: Array, bias: Array) -> Run:
    from autograd import make_vjp
    from autograd import numpy as anp

    def loss_of(parameters: tuple[Array, Array]) -> Array:
        error = anp.dot(parameters[0], x) + parameters[1] - y
        return anp.mean(error * error * 0.5)

    pullback = make_vjp(loss_of)

    def run() -> Results:
        back, loss = pullback((weight, bias))
        return loss, *back(1.0)

    return run


@one_point.side("MyGrad")
def _(x: Array, y: Array, weight: Array, bias: Array) -> Run:
    import mygrad

    w, b = mygrad.tensor(weight), mygrad.tensor(bias)

    def run() -> Results:
        error = mygrad.matmul(w, x) + b - y
        loss = (error * error * 0.5).mean()
        loss.backward()
        return loss.data, w.grad, b.grad

    return run


@workload(
    "line through {points} points: one epoch, a graph for each point, one SGD step (Nesterov)",
    cases=[dict(points=1000)],
    goals={"PyTorch": 3},
    per=("points", "point"),
    tolerance=1e-9,
)
def one_epoch(points: int) -> Inputs:
    """Points, weight and bias."""
    xs = np.arange(points).reshape(-1, 1) / points
    return xs, 3 * xs + 1, np.array([[-0.38]]), np.array([0.0])


@one_epoch.side("spago")
def _(xs: Array, ys: Array, weight: Array, bias: Array) -> Run:
    from spago import optim

    model = _our_line(weight, bias)
    optimizer = optim.SGD(model.parameters(), learning_rate=LEARNING_RATE, momentum=MOMENTUM, nesterov=True)

    def run() -> Results:
        for x, y in zip(xs, ys, strict=True):
            losses.mse(model(x), y, scale=0.5).backward()
        optimizer.step()
        optimizer.zero_grad()
        return model.weight.value, model.bias.value

    return run


@one_epoch.side("PyTorch")
def _(xs: Array, ys: Array, weight: Array, bias: Array) -> Run:
    import torch

    model = _their_line(weight, bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True)
    points, targets = torch.tensor(xs), torch.tensor(ys)

    def run() -> Results:
        for x, y in zip(points, targets, strict=True):
            loss = 0.5 * torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return model.weight, model.bias

    return run


def _our_line(weight: Array, bias: Array) -> Any:
    model = nn.Linear(1, 1, dtype=np.float64)
    model.load_state_dict({"weight": weight, "bias": bias})
    return model


def _their_line(weight: Array, bias: Array) -> Any:
    import torch

    model = torch.nn.Linear(1, 1, dtype=torch.float64)
    model.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return model
