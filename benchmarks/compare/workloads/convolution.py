"""Convolutions as they stand in small networks, beside PyTorch's: forward in inference, and forward and backward."""

from functools import partial
from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag, nn
from spago.mat import Array

SIZES = "{B} × {C} × {N} to {O} channels, kernel {K}"
CASES_1D = [dict(B=32, C=50, N=20, O=50, K=3), dict(B=8, C=128, N=128, O=128, K=5)]
CASES_2D = [dict(B=32, C=1, N=28, O=16, K=5), dict(B=32, C=16, N=14, O=32, K=3), dict(B=8, C=64, N=32, O=64, K=3)]


def inputs(B: int, C: int, N: int, O: int, K: int, *, axes: int) -> Inputs:
    """Return the number of axes, examples, weight and bias, and the gradient that arrives."""
    rng = np.random.default_rng(1)
    weight = rng.uniform(-1, 1, (O, C, *[K] * axes)).astype(np.float32) / np.float32((C * K**axes) ** 0.5)
    x, g = rng.standard_normal((B, C, *[N] * axes), np.float32), rng.standard_normal((B, O, *[N] * axes), np.float32)
    return axes, x, [weight, rng.standard_normal(O, np.float32)], g


def our_layer(axes: int, parameters: list[Array]) -> Any:
    """Return our layer with these parameters; there are as many places as elements."""
    out, channels, k = parameters[0].shape[:3]
    layer = (nn.Conv1d if axes == 1 else nn.Conv2d)(channels, out, k, padding="same")
    for parameter, value in zip(layer.parameters(), parameters, strict=True):
        parameter.value[...] = value
    return layer


def their_layer(axes: int, parameters: list[Array]) -> Any:
    """Return PyTorch's layer with these parameters."""
    import torch

    out, channels, k = parameters[0].shape[:3]
    layer = getattr(torch.nn, f"Conv{axes}d")(channels, out, k, padding="same")
    layer.weight.data, layer.bias.data = (torch.tensor(value) for value in parameters)
    return layer


def ours_forward(axes: int, x: Array, parameters: list[Array], g: Array) -> Run:
    """Inference with our layer."""
    del g
    layer = our_layer(axes, parameters)

    @ag.no_grad()
    def run() -> Results:
        return (layer(x).value,)

    return run


def ours(axes: int, x: Array, parameters: list[Array], g: Array) -> Run:
    """Outputs and gradients of our layer."""
    layer, node = our_layer(axes, parameters), ag.var(x, requires_grad=True)

    def run() -> Results:
        layer.zero_grad()
        node.zero_grad()
        y = layer(node)
        y.backward(g)
        return y.value, node.grad, layer.weight.grad, layer.bias.grad

    return run


def theirs_forward(axes: int, x: Array, parameters: list[Array], g: Array) -> Run:
    """Inference with PyTorch's layer."""
    import torch

    del g
    layer, tensor = their_layer(axes, parameters), torch.tensor(x)

    @torch.inference_mode()
    def run() -> Results:
        return (layer(tensor),)

    return run


def theirs(axes: int, x: Array, parameters: list[Array], g: Array) -> Run:
    """Outputs and gradients of PyTorch's layer."""
    import torch

    layer, tensor, arriving = their_layer(axes, parameters), torch.tensor(x, requires_grad=True), torch.tensor(g)

    def run() -> Results:
        layer.zero_grad()
        tensor.grad = None
        y = layer(tensor)
        y.backward(arriving)
        return y, tensor.grad, layer.weight.grad, layer.bias.grad

    return run


for axes, cases in ((1, CASES_1D), (2, CASES_2D)):
    title = f"Conv{axes}d, {SIZES}"
    forward = workload(f"{title}, forward", cases=cases)(partial(inputs, axes=axes))
    forward.side("spago")(ours_forward)
    forward.side("PyTorch")(theirs_forward)
    both = workload(f"{title}, forward and backward", cases=cases, tolerance=1e-4)(partial(inputs, axes=axes))
    both.side("spago")(ours)
    both.side("PyTorch")(theirs)
