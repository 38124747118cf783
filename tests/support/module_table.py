"""Every public layer of spago.nn: how to make one of each, small, and how to run it.

Those that run over sequences by steps, and the feed-forward ones, are in tables of their own; here are the others, and
all of them together.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import feedforward_table
import layer_table
from feedforward_table import FEED_FORWARD
from layer_table import LENGTHS, SEQUENCE, B, D, T, batch, parts
from spago import ag, nn
from spago.ag import Node
from spago.mat import Array
from spago.mat.rand import LockedRand

E, F = 4, 6


def call(layer: Any, *inputs: Any) -> Any:
    """Run a layer as most are run."""
    return layer(*inputs)


@dataclass(frozen=True)
class Row:
    """One layer with one choice of settings.

    Attributes:
        name: What the tests call it.
        make: Makes the layer from `rng` and `dtype`, which layers without parameters ignore.
        shapes: Those of its inputs, without batch.
        run: Gives its result for them, a node.
        smooth: Whether gradients are central differences: in AdaNorm a part of the formula counts as constant.
    """

    name: str
    make: Callable[..., nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    run: Callable[..., Any] = call
    smooth: bool = True

    def __str__(self) -> str:
        return self.name

    def layer(self, dtype: Any = np.float64) -> Any:
        """The layer with random parameters, biases and all, the same each time; dropout does nothing."""
        layer = self.make(rng=LockedRand(1), dtype=dtype)
        randomize(layer, self.name)
        return layer.eval()

    def inputs(self, *lead: int) -> list[Array]:
        """Random inputs, with axes of batch in front."""
        rng = np.random.default_rng(2)
        return [rng.normal(size=(*lead, *shape)) for shape in self.shapes]


def randomize(layer: nn.Module, name: str) -> None:
    """Give a layer random parameters and statistics, by its name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    members: list[Any] = [*layer.parameters(), *layer.buffers()]
    for member in members:
        member.value[...] = rng.uniform(0.2, 1, size=member.value.shape)


def _tagged(crf: Any, emissions: Any) -> Any:
    tags = np.broadcast_to([0, 2, 1, 1], np.shape(emissions)[:-1])
    return crf(emissions, tags, reduction="none")


def _encoder_layer(norm_first: bool = False, **settings: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(E, 2, F, activation=ag.gelu, norm_first=norm_first, **settings)


def _decoder_layer(norm_first: bool = False, **settings: Any) -> nn.TransformerDecoderLayer:
    return nn.TransformerDecoderLayer(E, 2, F, activation=ag.gelu, norm_first=norm_first, **settings)


OTHERS = [
    Row("LayerNorm", lambda rng, dtype: nn.LayerNorm(E, dtype=dtype), ((E,),)),
    Row("LayerNormSimple", lambda rng, dtype: nn.LayerNormSimple(), ((E,),)),
    Row("RMSNorm", lambda rng, dtype: nn.RMSNorm(E, dtype=dtype), ((E,),)),
    Row("ScaleNorm", lambda rng, dtype: nn.ScaleNorm(E, dtype=dtype), ((E,),)),
    Row("FixNorm", lambda rng, dtype: nn.FixNorm(), ((E,),)),
    Row("AdaNorm", lambda rng, dtype: nn.AdaNorm(0.7), ((E,),), smooth=False),
    Row("BatchNorm", lambda rng, dtype: nn.BatchNorm(E, dtype=dtype), ((E,),)),
    Row("Dropout", lambda rng, dtype: nn.Dropout(0.5, rng=rng), ((E,),), lambda layer, x: layer(ag.identity(x))),
    Row("Embedding", lambda **s: nn.Embedding(5, E, **s), (), lambda layer: layer([[1, 0], [2, 2]])),
    Row("CRF", lambda rng, dtype: nn.CRF(3, dtype=dtype), ((4, 3),), _tagged),
    Row("Sequential", lambda **s: nn.Sequential(nn.Linear(E, F, **s), ag.tanh, nn.Linear(F, 2, **s)), ((E,),)),
    Row("ModuleList", lambda **s: nn.ModuleList([nn.Linear(E, 2, **s)]), ((E,),), lambda layers, x: layers[0](x)),
    Row("SinusoidalPositions", lambda rng, dtype: nn.SinusoidalPositions(E), ((3, E),)),
    Row("LearnedPositions", lambda **s: nn.LearnedPositions(5, E, **s), ((3, E),)),
    Row("RotaryPositions", lambda rng, dtype: nn.RotaryPositions(E), ((3, E),)),
    Row("SelfAttention", lambda **s: nn.SelfAttention(E, 3, 2, **s), ((3, E), (2, E))),
    Row("MultiheadAttention", lambda **s: nn.MultiheadAttention(E, 2, **s), ((3, E),)),
    Row(
        "MultiheadAttention-sizes",
        lambda **s: nn.MultiheadAttention(E, 2, kdim=3, vdim=5, **s),
        ((3, E), (2, 3), (2, 5)),
    ),
    Row("TransformerEncoderLayer", _encoder_layer, ((3, E),)),
    Row("TransformerDecoderLayer", _decoder_layer, ((3, E), (2, E))),
    Row(
        "TransformerEncoder",
        lambda **s: nn.TransformerEncoder(
            [_encoder_layer(True, **s) for _ in range(2)], norm=nn.LayerNorm(E, dtype=s["dtype"])
        ),
        ((3, E),),
    ),
    Row(
        "TransformerDecoder",
        lambda **s: nn.TransformerDecoder([_decoder_layer(**s), _decoder_layer(**s)]),
        ((3, E), (2, E)),
    ),
]
"""Layers that are in neither of the other two tables."""


@dataclass(frozen=True)
class AnyRow:
    """One layer of any of the tables, as far as what holds for all of them needs it.

    Attributes:
        name: What the tests call it.
        make: Makes the layer from `rng` and `dtype`.
        layer: Makes it with random parameters.
        results: Runs it on inputs that are always the same, to all nodes of the result.
    """

    name: str
    make: Callable[..., nn.Module]
    layer: Callable[[], Any]
    results: Callable[[Any], list[Node]]

    def __str__(self) -> str:
        return self.name


def _feed_forward(row: feedforward_table.Row) -> AnyRow:
    return AnyRow(row.name, row.make, row.layer, lambda layer: [layer(row.inputs(2))])


def _sequence(row: layer_table.Row) -> AnyRow:
    return AnyRow(row.name, row.make, row.layer, lambda layer: list(parts(layer(batch(B, T, D), lengths=LENGTHS))))


def _other(row: Row) -> AnyRow:
    return AnyRow(row.name, row.make, row.layer, lambda layer: [row.run(layer, *row.inputs(2))])


EVERY = [*map(_feed_forward, FEED_FORWARD), *map(_sequence, SEQUENCE), *map(_other, OTHERS)]


def public_layers() -> set[type[nn.Module]]:
    """All layers that spago.nn offers: every class of modules but the two that others are made from."""
    classes = {value for name, value in vars(nn).items() if name in nn.__all__ and inspect.isclass(value)}
    return {kind for kind in classes if issubclass(kind, nn.Module)} - {nn.Module, nn.Recurrent}
