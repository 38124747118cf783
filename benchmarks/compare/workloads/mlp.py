"""One training step of a small network on images of digits: 784-256-10, a batch of 64, Adam."""

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag, losses, nn
from spago.mat import Array

Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@workload("MLP 784-256-10, batch {B}, one step with Adam", cases=[dict(B=64)], goals={"PyTorch": 1}, tolerance=1e-4)
def mlp(B: int) -> Inputs:
    """Images, classes, and the parameters by the names that both sides have for them."""
    rng = np.random.default_rng(1)
    images = rng.standard_normal((B, 784), np.float32)
    classes = rng.integers(0, 10, B)
    shapes = {"0.weight": (256, 784), "0.bias": (256,), "2.weight": (10, 256), "2.bias": (10,)}
    return images, classes, {name: rng.uniform(-0.05, 0.05, s).astype(np.float32) for name, s in shapes.items()}


@mlp.side("spago")
def _(images: Array, classes: Integers, parameters: dict[str, Array]) -> Run:
    from spago import optim

    first, second = nn.Linear(784, 256), nn.Linear(256, 10)
    trained = [*first.parameters(), *second.parameters()]
    for parameter, value in zip(trained, parameters.values(), strict=True):
        parameter.value[...] = value
    optimizer = optim.Adam(trained, learning_rate=1e-3)

    def run() -> Results:
        optimizer.zero_grad()
        loss = losses.cross_entropy(second(ag.relu(first(images))), classes)
        loss.backward()
        optimizer.step()
        return loss.value, first.weight.value, second.weight.value

    return run


@mlp.side("PyTorch")
def _(images: Array, classes: Integers, parameters: dict[str, Array]) -> Run:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    model.load_state_dict({name: torch.tensor(value) for name, value in parameters.items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, right = torch.tensor(images), torch.tensor(classes)

    def run() -> Results:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), right)
        loss.backward()
        optimizer.step()
        return loss, model[0].weight, model[2].weight

    return run
