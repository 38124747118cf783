"""LSTM and GRU over whole sequences, beside PyTorch's layers and beside loops of its cells.

Forward is inference, without a graph; forward and backward gives the gradients of input and parameters.
"""

from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, Workload, workload
from spago import ag, nn
from spago.mat import Array

T = 50
CASES = [dict(T=T, D=D, B=B) for D in (50, 100, 256) for B in (1, 8, 32)]
GOALS = {"PyTorch": 0.5, "PyTorch, loop of cells": 3}
GATES = {"LSTM": 4, "GRU": 3}


def inputs(T: int, D: int, B: int, *, kind: str, directions: int) -> Inputs:
    """Return the kind, sequences, the parameters of each direction, and the gradient that arrives.

    The parameters are the two weights and PyTorch's two biases. The second is 0, save for the last gate of a GRU:
    elsewhere only the sum of the two matters, and ours is one.
    """
    rng = np.random.default_rng(1)
    rows = GATES[kind] * D
    parameters = []
    for _ in range(directions):
        ih, hh, bias, second = (
            rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(D**0.5)
            for shape in ((rows, D), (rows, D), (rows,), (rows,))
        )
        second[: 2 * D if kind == "GRU" else rows] = 0
        parameters.append([ih, hh, bias, second])
    xs, g = rng.standard_normal((B, T, D), np.float32), rng.standard_normal((B, T, directions * D), np.float32)
    return kind, xs, parameters, g


def our_layer(kind: str, parameters: list[list[Array]]) -> Any:
    """Return our layer of one direction or two with these parameters."""
    D = parameters[0][0].shape[1]
    make = nn.LSTM if kind == "LSTM" else partial(nn.GRU, reset_after=True)
    layer = make(D, D) if len(parameters) == 1 else nn.BiRNN(make(D, D), make(D, D))
    values = chain.from_iterable(
        [*three, *([second[2 * D :]] if kind == "GRU" else [])] for *three, second in parameters
    )
    for parameter, value in zip(layer.parameters(), values, strict=True):
        parameter.value[...] = value
    return layer


def filled(module: Any, parameters: list[list[Array]], suffixes: tuple[str, ...] = ("_l0", "_l0_reverse")) -> Any:
    """Give a layer or a cell of PyTorch these parameters, and return it."""
    import torch

    for suffix, values in zip(suffixes, parameters, strict=False):
        for name, value in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), values, strict=True):
            getattr(module, name + suffix).data = torch.tensor(value)
        # That of an LSTM is not trained; that of a GRU has a gradient that ours has in part.
        getattr(module, "bias_hh" + suffix).requires_grad_(bool(values[3].any()))
    return module


def their_layer(kind: str, parameters: list[list[Array]]) -> Any:
    """Return PyTorch's layer with these parameters."""
    import torch

    D = parameters[0][0].shape[1]
    return filled(getattr(torch.nn, kind)(D, D, batch_first=True, bidirectional=len(parameters) == 2), parameters)


def their_cells(kind: str, parameters: list[list[Array]]) -> Any:
    """Return a cell of PyTorch for each direction."""
    import torch

    D = parameters[0][0].shape[1]
    cells = (filled(getattr(torch.nn, f"{kind}Cell")(D, D), [values], ("",)) for values in parameters)
    return torch.nn.ModuleList(cells)


def loop(cells: Any, xs: Any) -> Any:
    """Run each direction's cell step by step over xs."""
    import torch

    outputs = []
    for cell, backwards in zip(cells, (False, True), strict=False):
        state, hs = None, []
        for x in reversed(xs.unbind(1)) if backwards else xs.unbind(1):
            state = cell(x, state)
            hs.append(state if isinstance(state, torch.Tensor) else state[0])
        outputs.append(torch.stack(hs[::-1] if backwards else hs, dim=1))
    return torch.cat(outputs, dim=-1)


def ours_forward(kind: str, xs: Array, parameters: list[list[Array]], g: Array) -> Run:
    """Inference with our layer."""
    del g
    layer = our_layer(kind, parameters)

    @ag.no_grad()
    def run() -> Results:
        return (layer(xs)[0].value,)

    return run


def ours(kind: str, xs: Array, parameters: list[list[Array]], g: Array) -> Run:
    """Outputs and gradients of our layer."""
    layer, x = our_layer(kind, parameters), ag.var(xs, requires_grad=True)

    def run() -> Results:
        layer.zero_grad()
        x.zero_grad()
        ys, _ = layer(x)
        ys.backward(g)
        return ys.value, x.grad, *(parameter.grad for parameter in layer.parameters())

    return run


def theirs_forward(kind: str, xs: Array, parameters: list[list[Array]], g: Array, *, cells: bool) -> Run:
    """Inference with PyTorch's layer, or with its cells in a loop."""
    import torch

    del g
    x = torch.tensor(xs)
    module = their_cells(kind, parameters) if cells else their_layer(kind, parameters)

    @torch.inference_mode()
    def run() -> Results:
        return (loop(module, x) if cells else module(x)[0],)

    return run


def theirs(kind: str, xs: Array, parameters: list[list[Array]], g: Array, *, cells: bool) -> Run:
    """Outputs and gradients of PyTorch's layer, or of its cells in a loop."""
    import torch

    D = xs.shape[-1]
    x, arriving = torch.tensor(xs, requires_grad=True), torch.tensor(g)
    module = their_cells(kind, parameters) if cells else their_layer(kind, parameters)
    trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]

    def run() -> Results:
        module.zero_grad()
        x.grad = None
        ys = loop(module, x) if cells else module(x)[0]
        ys.backward(arriving)
        return ys, x.grad, *(p.grad[2 * D :] if "bias_hh" in name else p.grad for name, p in trained)

    return run


for title, kind, directions in (("LSTM", "LSTM", 1), ("GRU", "GRU", 1), ("BiLSTM", "LSTM", 2)):
    sizes = f"{title}, {{T}} steps, D = H = {{D}}, batch {{B}}"
    make_inputs = partial(inputs, kind=kind, directions=directions)
    forward: Workload = workload(f"{sizes}, forward", cases=CASES, goals=GOALS)(make_inputs)
    forward.side("spago")(ours_forward)
    forward.side("PyTorch")(partial(theirs_forward, cells=False))
    forward.side("PyTorch", "loop of cells")(partial(theirs_forward, cells=True))
    both: Workload = workload(f"{sizes}, forward and backward", cases=CASES, goals=GOALS, tolerance=1e-4)(make_inputs)
    both.side("spago")(ours)
    both.side("PyTorch")(partial(theirs, cells=False))
    both.side("PyTorch", "loop of cells")(partial(theirs, cells=True))
