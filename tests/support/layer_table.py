"""All layers that run over sequences: how to make one of each, small, and what of it is seen from outside."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spago import ag, nn
from spago.ag import Node
from spago.mat import Array
from spago.mat.rand import LockedRand

B, T, D, H = 4, 6, 3, 5
LENGTHS = [2, 6, 1, 4]


@dataclass(frozen=True)
class Row:
    """One layer with one choice of settings.

    Attributes:
        name: What the tests call it.
        make: Makes the layer, for inputs of D features.
        makes_bad: Makes it with a size of 0.
    """

    name: str
    make: Callable[..., Any]
    make_bad: Callable[[], Any] | None = None

    def __str__(self) -> str:
        return self.name

    def layer(self, dtype: Any = np.float64) -> Any:
        """The layer with random parameters, biases and all, the same each time."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        layer: Any = self.make(rng=LockedRand(1), dtype=dtype)
        for parameter in layer.parameters():
            parameter.value[...] = rng.normal(scale=0.5, size=parameter.value.shape)
        return layer


RECURRENT = [
    Row("SRN", lambda **s: nn.SRN(D, H, **s), lambda: nn.SRN(D, 0)),
    Row("LSTM", lambda **s: nn.LSTM(D, H, **s), lambda: nn.LSTM(D, 0)),
    Row("LSTM-refined", lambda **s: nn.LSTM(D, D, refined_gates=True, **s)),
    Row("GRU", lambda **s: nn.GRU(D, H, **s), lambda: nn.GRU(D, 0)),
    Row("GRU-after", lambda **s: nn.GRU(D, H, reset_after=True, **s)),
    Row("CFN", lambda **s: nn.CFN(D, H, **s), lambda: nn.CFN(0, H)),
    Row("RAN", lambda **s: nn.RAN(D, H, **s), lambda: nn.RAN(D, -1)),
    Row("DeltaRNN", lambda **s: nn.DeltaRNN(D, H, **s), lambda: nn.DeltaRNN(D, 0)),
    Row("IndRNN", lambda **s: nn.IndRNN(D, H, **s), lambda: nn.IndRNN(D, 0)),
    Row("IndRNN-tanh", lambda **s: nn.IndRNN(D, H, activation=ag.tanh, **s)),
    Row("HORN", lambda **s: nn.HORN(D, H, 3, **s), lambda: nn.HORN(D, H, 0)),
    Row("HORN-1", lambda **s: nn.HORN(D, H, 1, **s)),
    Row("LTM", lambda **s: nn.LTM(D, **s), lambda: nn.LTM(0)),
    Row("MIST", lambda **s: nn.MIST(D, H, 3, **s), lambda: nn.MIST(D, H, 0)),
    Row("MIST-1", lambda **s: nn.MIST(D, H, 1, **s)),
    Row("RLA", lambda **s: nn.RLA(D, **s), lambda: nn.RLA(0)),
    Row(
        "SRNN",
        lambda **s: nn.SRNN(D, H, 2, hyper_size=4, **s),
        lambda: nn.SRNN(D, H, 2, hyper_size=0),
    ),
    Row("SRNN-heads", lambda **s: nn.SRNN(D, H, 2, hyper_size=4, num_layers=2, multi_head=True, **s)),
    Row(
        "TPR",
        lambda **s: nn.TPR(D, symbols=4, symbol_size=2, roles=3, role_size=3, **s),
        lambda: nn.TPR(D, symbols=0, symbol_size=2, roles=3, role_size=3),
    ),
]
"""Layers with single steps."""

SEQUENCE = [
    *RECURRENT,
    Row("BiLSTM", lambda **s: nn.BiLSTM(D, H, **s)),
    Row("BiGRU", lambda **s: nn.BiGRU(D, H, merge="avg", **s)),
    Row("BiGRU-after", lambda **s: nn.BiGRU(D, H, reset_after=True, merge="sum", **s)),
    Row("BiRAN", lambda **s: nn.BiRAN(D, H, merge="prod", **s)),
    Row("BiCFN", lambda **s: nn.BiCFN(D, H, **s)),
    Row("BiLTM", lambda **s: nn.BiLTM(D, **s)),
    Row("BiMIST", lambda **s: nn.BiMIST(D, H, 2, merge="avg", **s)),
    Row(
        "BiSRNN",
        lambda **s: nn.BiSRNN(D, H, 2, hyper_size=4, **s),
        lambda: nn.BiSRNN(D, H, 2, hyper_size=4, num_layers=0),
    ),
    Row("BiSRNN-heads", lambda **s: nn.BiSRNN(D, H, 2, hyper_size=4, num_layers=2, multi_head=True, **s)),
    Row("BiRNN-mixed", lambda **s: nn.BiRNN(nn.GRU(D, H, **s), nn.LSTM(D, H, **s))),
    Row("BiBiLSTM", lambda **s: nn.BiBiLSTM(D, 2, merge="sum", **s)),
    Row("Stacked", lambda **s: nn.Stacked([nn.BiGRU(D, H, **s), nn.SRN(2 * H, 2, **s)])),
    Row("BiRNN-stacked", lambda **s: nn.BiRNN(*(nn.Stacked([nn.SRN(D, H, **s), nn.GRU(H, 2, **s)]) for _ in range(2)))),
    Row(
        "SentenceStateLSTM",
        lambda **s: nn.SentenceStateLSTM(D, 2, updates=3, **s),
        lambda: nn.SentenceStateLSTM(D, H, updates=0),
    ),
]
"""Layers that run over sequences."""


def public_recurrent_layers() -> set[type[nn.Module]]:
    """All layers with single steps that spago.nn offers."""
    classes = {value for name, value in vars(nn).items() if name in nn.__all__ and inspect.isclass(value)}
    return {kind for kind in classes if issubclass(kind, nn.Recurrent) and kind is not nn.Recurrent}


def batch(*shape: int, seed: int = 2) -> Array:
    """Random inputs."""
    return np.random.default_rng(seed).normal(size=shape)


def parts(result: Any) -> Iterator[Node]:
    """All nodes of a result, from the first to the last: outputs, and the parts of states of any nesting."""
    if isinstance(result, Node):
        yield result
    else:
        for element in result:
            yield from parts(element)


def random_state(layer: Any, *lead: int, seed: int = 3, dtype: Any = np.float64) -> Any:
    """A state of a layer as no layer leaves it, of nodes that require a gradient."""
    rng = np.random.default_rng(seed)
    return layer.state_type(
        *(
            # Above 0, as the denominator of RLA is.
            ag.var(rng.uniform(0.1, 1, size=lead + shape).astype(dtype), requires_grad=True)
            for shape in layer.state_shapes()
        )
    )


def go_back(nodes: list[Node], weights: list[Array]) -> None:
    """Go back from nodes with given output gradients."""
    for node, weight in zip(nodes, weights, strict=True):
        node.acc_grad(weight.astype(node.dtype))
    ag.backward_many(nodes)


def output_gradients(nodes: list[Node]) -> list[Array]:
    """Random gradients for nodes."""
    rng = np.random.default_rng(4)
    return [rng.normal(size=node.shape) for node in nodes]


def gradients_of(layer: nn.Module) -> list[Array]:
    """The gradients of all parameters; they are forgotten."""
    gradients = [np.zeros_like(p.value) if p.grad is None else np.array(p.grad) for p in layer.parameters()]
    layer.zero_grad()
    return gradients
