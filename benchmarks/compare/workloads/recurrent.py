"""LSTM and BiLSTM over 50 steps, beside PyTorch's layer and beside a loop of its cells.

Forward is inference, without a graph; forward and backward gives the gradients of input and parameters.
"""

from itertools import chain
from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag, nn
from spago.mat import Array

T = 50
CASES = [dict(T=T, D=D, B=B) for D in (50, 100, 256) for B in (1, 8, 32)]
GOALS = {"PyTorch": 0.5, "PyTorch, loop of cells": 3}


def inputs(T: int, D: int, B: int, directions: int) -> Inputs:
    """Return sequences, the parameters of each direction, and the gradient that arrives."""
    rng = np.random.default_rng(1)
    parameters = [
        [
            rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(D**0.5)
            for shape in ((4 * D, D), (4 * D, D), (4 * D,))
        ]
        for _ in range(directions)
    ]
    xs, g = rng.standard_normal((B, T, D), np.float32), rng.standard_normal((B, T, directions * D), np.float32)
    return xs, parameters, g


def our_layer(parameters: list[list[Array]]) -> Any:
    """Return our layer of one direction or two with these parameters."""
    D = parameters[0][0].shape[1]
    layer = nn.LSTM(D, D) if len(parameters) == 1 else nn.BiLSTM(D, D)
    for parameter, value in zip(layer.parameters(), chain(*parameters), strict=True):
        parameter.value[...] = value
    return layer


def their_layer(parameters: list[list[Array]]) -> Any:
    """Return PyTorch's layer with these parameters; its second bias is 0 and not trained."""
    import torch

    D = parameters[0][0].shape[1]
    layer = torch.nn.LSTM(D, D, batch_first=True, bidirectional=len(parameters) == 2)
    for suffix, (ih, hh, bias) in zip(("_l0", "_l0_reverse"), parameters, strict=False):
        values = {"weight_ih": ih, "weight_hh": hh, "bias_ih": bias, "bias_hh": np.zeros_like(bias)}
        for name, value in values.items():
            getattr(layer, name + suffix).data = torch.tensor(value)
        getattr(layer, "bias_hh" + suffix).requires_grad_(False)
    return layer


def their_cells(parameters: list[list[Array]]) -> list[Any]:
    """Return a cell of PyTorch for each direction."""
    import torch

    cells = []
    for ih, hh, bias in parameters:
        cell = torch.nn.LSTMCell(ih.shape[1], hh.shape[1])
        cell.weight_ih.data, cell.weight_hh.data = torch.tensor(ih), torch.tensor(hh)
        cell.bias_ih.data, cell.bias_hh.data = torch.tensor(bias), torch.zeros(len(bias))
        cell.bias_hh.requires_grad_(False)
        cells.append(cell)
    return cells


def loop(cells: list[Any], xs: Any) -> Any:
    """Run each direction's cell step by step over xs."""
    import torch

    outputs = []
    for cell, backwards in zip(cells, (False, True), strict=False):
        state, hs = None, []
        for x in reversed(xs.unbind(1)) if backwards else xs.unbind(1):
            state = cell(x, state)
            hs.append(state[0])
        outputs.append(torch.stack(hs[::-1] if backwards else hs, dim=1))
    return torch.cat(outputs, dim=-1)


@workload("LSTM, {T} steps, D = H = {D}, batch {B}, forward", cases=CASES, goals=GOALS)
def lstm_forward(T: int, D: int, B: int) -> Inputs:
    """One direction."""
    return inputs(T, D, B, 1)


@workload("LSTM, {T} steps, D = H = {D}, batch {B}, forward and backward", cases=CASES, goals=GOALS, tolerance=1e-4)
def lstm(T: int, D: int, B: int) -> Inputs:
    """One direction."""
    return inputs(T, D, B, 1)


@workload("BiLSTM, {T} steps, D = H = {D}, batch {B}, forward", cases=CASES, goals=GOALS)
def bilstm_forward(T: int, D: int, B: int) -> Inputs:
    """Two directions."""
    return inputs(T, D, B, 2)


@workload("BiLSTM, {T} steps, D = H = {D}, batch {B}, forward and backward", cases=CASES, goals=GOALS, tolerance=1e-4)
def bilstm(T: int, D: int, B: int) -> Inputs:
    """Two directions."""
    return inputs(T, D, B, 2)


@lstm_forward.side("spago")
@bilstm_forward.side("spago")
def _(xs: Array, parameters: list[list[Array]], g: Array) -> Run:
    del g
    layer = our_layer(parameters)

    @ag.no_grad()
    def run() -> Results:
        return (layer(xs)[0].value,)

    return run


@lstm_forward.side("PyTorch")
@bilstm_forward.side("PyTorch")
def _(xs: Array, parameters: list[list[Array]], g: Array) -> Run:
    import torch

    del g
    layer, x = their_layer(parameters), torch.tensor(xs)

    @torch.inference_mode()
    def run() -> Results:
        return (layer(x)[0],)

    return run


@lstm_forward.side("PyTorch", "loop of cells")
@bilstm_forward.side("PyTorch", "loop of cells")
def _(xs: Array, parameters: list[list[Array]], g: Array) -> Run:
    import torch

    del g
    cells, x = their_cells(parameters), torch.tensor(xs)

    @torch.inference_mode()
    def run() -> Results:
        return (loop(cells, x),)

    return run


@lstm.side("spago")
@bilstm.side("spago")
def _(xs: Array, parameters: list[list[Array]], g: Array) -> Run:
    layer, x = our_layer(parameters), ag.var(xs, requires_grad=True)

    def run() -> Results:
        layer.zero_grad()
        x.zero_grad()
        ys, _ = layer(x)
        ys.backward(g)
        return ys.value, x.grad, *(parameter.grad for parameter in layer.parameters())

    return run


@lstm.side("PyTorch")
@bilstm.side("PyTorch")
def _(xs: Array, parameters: list[list[Array]], g: Array) -> Run:
    import torch

    layer = their_layer(parameters)
    x, arriving = torch.tensor(xs, requires_grad=True), torch.tensor(g)
    trained = [parameter for parameter in layer.parameters() if parameter.requires_grad]

    def run() -> Results:
        layer.zero_grad()
        x.grad = None
        ys, _ = layer(x)
        ys.backward(arriving)
        return ys, x.grad, *(parameter.grad for parameter in trained)

    return run


@lstm.side("PyTorch", "loop of cells")
@bilstm.side("PyTorch", "loop of cells")
def _(xs: Array, parameters: list[list[Array]], g: Array) -> Run:
    import torch

    cells = their_cells(parameters)
    x, arriving = torch.tensor(xs, requires_grad=True), torch.tensor(g)
    trained = [parameter for cell in cells for parameter in cell.parameters() if parameter.requires_grad]

    def run() -> Results:
        for parameter in trained:
            parameter.grad = None
        x.grad = None
        ys = loop(cells, x)
        ys.backward(arriving)
        return ys, x.grad, *(parameter.grad for parameter in trained)

    return run
