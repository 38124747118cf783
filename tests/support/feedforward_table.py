"""All feed-forward layers: how to make one of each, small, and what it is fed with."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spago import ag, nn
from spago.mat import Array
from spago.mat.rand import LockedRand


@dataclass(frozen=True)
class Row:
    """One layer with one choice of settings.

    Attributes:
        name: What the tests call it.
        make: Makes the layer from `rng` and `dtype`, which layers without parameters ignore.
        shape: That of its input, without batch.
        result: That of its output for this input.
        misfits: Inputs that it refuses, by shape, and what the message begins with.
    """

    name: str
    make: Callable[..., nn.Module]
    shape: tuple[int, ...]
    result: tuple[int, ...]
    misfits: tuple[tuple[tuple[int, ...], str], ...] = ()

    def __str__(self) -> str:
        return self.name

    def layer(self, dtype: Any = np.float64) -> Any:
        """The layer with random parameters, biases and all, the same each time."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        layer = self.make(rng=LockedRand(1), dtype=dtype)
        for parameter in layer.parameters():
            parameter.value[...] = rng.normal(scale=0.5, size=parameter.value.shape)
        return layer

    def inputs(self, *lead: int, seed: int = 2) -> Array:
        """Random inputs, with axes of batch in front."""
        return np.random.default_rng(seed).normal(size=(*lead, *self.shape))


FEED_FORWARD = [
    Row(
        "Linear",
        lambda **s: nn.Linear(3, 2, **s),
        (4, 3),
        (4, 2),
        (((4, 2), "Linear: expected x of shape (..., 3) for weight (2, 3), got (4, 2)"),),
    ),
    Row(
        "Highway",
        lambda **s: nn.Highway(3, **s),
        (4, 3),
        (4, 3),
        (
            ((2,), "Highway: expected x of shape (..., 3) for weight_t (3, 3), got (2,); features"),
            ((), "Highway: expected x of shape (..., 3) for weight_t (3, 3), got ()"),
        ),
    ),
    Row("Highway-gelu", lambda **s: nn.Highway(2, activation=ag.gelu, **s), (2,), (2,)),
    Row(
        "SquaredDistance",
        lambda **s: nn.SquaredDistance(3, 2, **s),
        (4, 3),
        (4,),
        (((4,), "SquaredDistance: expected x of shape (..., 3) for weight (2, 3), got (4,); features"),),
    ),
    Row("Activation-swish_b", lambda rng, dtype: nn.Activation("swish_b", dtype=dtype), (4, 3), (4, 3)),
    Row("Activation-selu", lambda rng, dtype: nn.Activation("SELU", alpha=0.5), (4, 3), (4, 3)),
    Row(
        "Activation-softmax",
        lambda rng, dtype: nn.Activation("softmax"),
        (4, 3),
        (4, 3),
        (((), "Softmax: expected an axis of an array of shape (), got -1"),),
    ),
    Row(
        "Flatten", lambda rng, dtype: nn.Flatten(-2), (2, 3), (6,), (((3,), "Flatten: expected x with axes -2 and -1"),)
    ),
    Row(
        "Conv1d",
        lambda **s: nn.Conv1d(3, 2, 2, **s),
        (3, 5),
        (2, 4),
        (
            ((2, 5), "Conv1d: expected x of shape (..., 3, N) for weight (2, 3, 2), got (2, 5); channels come before"),
            ((3,), "Conv1d: expected x of shape (..., 3, N) for weight (2, 3, 2), got (3,)"),
            ((3, 1), "Conv1d: expected x no smaller than its kernel, got (3, 1) with padding 0 and weight (2, 3, 2)"),
        ),
    ),
    Row(
        "Conv1d-all",
        lambda **s: nn.Conv1d(
            4, 6, 3, 2, 3, dilation=2, groups=2, bias=False, padding_mode="reflect", mask=[True, False, True, True], **s
        ),
        (4, 7),
        (6, 5),
    ),
    Row("Conv1d-same", lambda **s: nn.Conv1d(2, 3, 4, padding="same", padding_mode="replicate", **s), (2, 5), (3, 5)),
    Row("Conv1d-depth-wise", lambda **s: nn.Conv1d(3, 6, 2, groups=3, mask=[True, False, True], **s), (3, 5), (6, 4)),
    Row(
        "Conv2d",
        lambda **s: nn.Conv2d(3, 2, (2, 3), **s),
        (3, 4, 5),
        (2, 3, 3),
        (
            ((4, 5), "Conv2d: expected x of shape (..., 3, N, M) for weight (2, 3, 2, 3), got (4, 5)"),
            ((2, 4, 5), "Conv2d: expected x of shape (..., 3, N, M) for weight (2, 3, 2, 3), got (2, 4, 5)"),
        ),
    ),
    Row(
        "Conv2d-all",
        lambda **s: nn.Conv2d(
            4,
            2,
            2,
            (1, 2),
            (0, 1),
            dilation=(2, 1),
            groups=2,
            padding_mode="circular",
            mask=[True, False, False, True],
            **s,
        ),
        (4, 4, 3),
        (2, 2, 2),
    ),
    Row("Conv2d-depth-wise", lambda **s: nn.Conv2d(3, 3, 2, padding="same", groups=3, **s), (3, 3, 4), (3, 3, 4)),
    Row(
        "Conv1x1",
        lambda **s: nn.Conv1x1(3, 2, **s),
        (3, 4),
        (2, 4),
        (
            ((4, 3), "Conv1x1: expected x of shape (..., 3, N) for weight (2, 3), got (4, 3); channels come before"),
            ((3,), "Conv1x1: expected x of shape (..., 3, N) for weight (2, 3), got (3,)"),
        ),
    ),
    Row("Conv1x1-unbiased", lambda **s: nn.Conv1x1(3, 2, bias=False, **s), (3, 4), (2, 4)),
    Row("MaxPool1d", lambda rng, dtype: nn.MaxPool1d(2), (3, 5), (3, 2), (((3, 1), "MaxPool1d: expected x of shape"),)),
    Row("MaxPool1d-all", lambda rng, dtype: nn.MaxPool1d(3, 2, 1, dilation=2, ceil_mode=True), (3, 8), (3, 4)),
    Row("MaxPool2d", lambda rng, dtype: nn.MaxPool2d((2, 3), 1), (4, 5), (3, 3), (((4,), "MaxPool2d: expected x of"),)),
    Row("AvgPool1d", lambda rng, dtype: nn.AvgPool1d(2), (3, 5), (3, 2), (((3, 1), "AvgPool1d: expected x of shape"),)),
    Row(
        "AvgPool2d-all",
        lambda rng, dtype: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        (4, 6),
        (3, 4),
        (((4,), "AvgPool2d: expected x of"),),
    ),
    Row(
        "SGU",
        lambda **s: nn.SGU(4, 3, activation=ag.tanh, **s),
        (3, 4),
        (3, 2),
        (
            (
                (2, 4),
                "SGU: expected x of shape (..., 3, 4), seq_len steps of num_features features, for proj.weight (3, 3)",
            ),
            ((3, 2), "SGU: expected x of shape (..., 3, 4)"),
        ),
    ),
    Row(
        "GMLP",
        lambda **s: nn.GMLP(2, 3, depth=2, ff_mult=2, **s),
        (3, 2),
        (3, 2),
        (
            (
                (4, 2),
                "GMLP: expected x of shape (..., T, 2), at most seq_len 3 steps of num_features features, got (4, 2)",
            ),
            ((3, 3), "GMLP: expected x of shape (..., T, 2)"),
        ),
    ),
    Row("GMLP-shorter", lambda **s: nn.GMLP(3, 4, depth=1, ff_mult=2, gate_activation=ag.tanh, **s), (2, 3), (4, 3)),
    Row(
        "MixerBlock",
        lambda **s: nn.MixerBlock(3, 4, token_hidden=2, channel_hidden=5, **s),
        (4, 3),
        (4, 3),
        (
            ((3, 3), "MixerBlock: expected x of shape (..., 4, 3), seq_len steps of num_features features, got (3, 3)"),
            ((4, 2), "MixerBlock: expected x of shape (..., 4, 3)"),
        ),
    ),
]
