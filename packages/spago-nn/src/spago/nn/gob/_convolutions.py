"""Convolutions of Go Spago: a matrix for each pair of channels, and a bias for each of these."""

from __future__ import annotations

from typing import Any

import numpy as np

from spago import ag
from spago.mat import Array
from spago.nn._containers import Sequential
from spago.nn._conv1d import Conv1d
from spago.nn._conv2d import Conv2d
from spago.nn._module import Module
from spago.nn._param import Param
from spago.nn.gob._activations import activation, number_of
from spago.nn.gob._codec import remember, remembered
from spago.nn.gob._parts import Fields, fill, split


def read_convolution(s: Fields) -> Module:
    """A `Conv2d`, followed by the activation where there is one; a `Conv1d` for a kernel over one row.

    Go adds the bias of a pair of channels once for each input channel: ours is their sum. The optimizer's state of
    biases is therefore left behind, and so is that of kernels where some channels are masked.
    """
    config = s["Config"]
    if config is None:
        s.refuse("a Config", "none")
    flat = "XStride" not in config.type.by_name
    ins, outs = config["InputChannels"], config["OutputChannels"]
    deep, mask = config["DepthWise"], [bool(x) for x in config["Mask"]]
    per_output = 1 if deep else ins
    kernels, biases = s["K"], s["B"]
    if ins < 1 or outs < 1 or not len(kernels) == len(biases) == outs * per_output or (deep and ins != outs):
        s.refuse("a kernel and a bias for each pair of channels", f"{len(kernels)} for {ins} and {outs} channels")
    if mask and len(mask) != ins:
        s.refuse(f"a mask of {ins} channels", f"{len(mask)}")
    first = s.matrix("K.0")
    size, stride = (config["KernelSizeX"], config["KernelSizeY"]), (1 if flat else config["XStride"], config["YStride"])
    if first.shape != size:
        s.refuse(f"kernels of shape {size}", f"{first.shape}")
    one_row = flat and size[0] == 1
    layer = (Conv1d if one_row else Conv2d)(
        ins,
        outs,
        size[1:] if one_row else size,
        stride[1:] if one_row else stride,
        groups=ins if deep else 1,
        mask=mask if mask and not deep else None,
        rng=s.rng,
        dtype=first.dtype,
    )
    assert layer.bias is not None
    read = np.array(mask if mask and not deep else [True] * per_output)
    layer.weight.value = _together(s, "K", layer.weight.shape)
    each = _together(s, "B", (outs, per_output))
    layer.bias.value = np.ascontiguousarray(each[:, read].sum(axis=1))
    if read.all():
        fill(layer.weight, s, [f"K.{k}" for k in range(len(kernels))])
    function = activation(Fields(config, s.place))
    if flat:
        remember(layer, Flat=True)
    return layer if number_of(function) == 0 else Sequential(layer, function)


def is_flat(layer: Conv1d | Conv2d) -> bool:
    """Whether a layer is Go's convolution1d, rather than convolution2d."""
    return isinstance(layer, Conv1d) or bool(remembered(layer).get("Flat") and layer.windows.stride[0] == 1)


def _together(s: Fields, name: str, shape: tuple[int, ...]) -> Array:
    values = [s.matrix(f"{name}.{k}") for k in range(len(s[name]))]
    if len({(value.shape, value.dtype) for value in values}) > 1 or sum(map(np.size, values)) != np.prod(shape):
        s.refuse(f"matrices that fill {shape} for {name}", "others")
    together: Array = np.concatenate(values).reshape(shape)
    return together


def write_convolution(layer: Conv1d | Conv2d, function: Any = ag.identity) -> dict[str, Any]:
    """The fields of Go's struct; all input channels that are read get the same share of the bias.

    Args:
        layer: The convolution.
        function: The activation that follows.

    Raises:
        ValueError: The layer has what Go Spago has not.
    """
    windows, deep = layer.windows, layer.groups > 1
    if (
        any((*windows.before, *windows.after))
        or set(windows.dilation) != {1}
        or layer.bias is None
        or (deep and not layer.groups == layer.in_channels == layer.out_channels)
    ):
        raise ValueError(
            "gob: expected a convolution with bias, without padding and dilation, and of one group or of one for each "
            f"channel, as Go Spago has it, got {layer}"
        )
    ins = 1 if deep else layer.in_channels
    mask: list[int] = [] if layer.mask is None else np.asarray(layer.mask, np.int64).reshape(-1).tolist()
    share = np.array(mask or [1] * ins, layer.bias.dtype)
    of_pairs: Array = (layer.bias.value[:, None] * (share / share.sum())).reshape(-1)
    shares = Param(of_pairs, name="bias", dtype=layer.bias.dtype)
    shares.requires_grad = layer.bias.requires_grad
    count = layer.out_channels * ins
    kernels = split(layer.weight, [f"K.{k}" for k in range(count)])
    biases = split(shares, [f"B.{k}" for k in range(count)])
    size, stride = ((1, *sizes)[-2:] for sizes in (windows.size, windows.stride))
    return {
        "Config": {
            "KernelSizeX": size[0],
            "KernelSizeY": size[1],
            **({} if is_flat(layer) else {"XStride": stride[0]}),
            "YStride": stride[1],
            "Activation": number_of(function),
            "InputChannels": layer.in_channels,
            "OutputChannels": layer.out_channels,
            "Mask": mask,
            "DepthWise": deep,
        },
        "K": list(kernels.values()),
        "B": list(biases.values()),
    }
