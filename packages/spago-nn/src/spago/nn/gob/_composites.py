"""Layers that consist of others: shuffling recurrent networks, gating units, and mixers.

What they consist of has a fixed form, which is checked as they are read; so is the activation between, which is a
function here, and a model in Go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spago import ag
from spago.nn._gmlp import GMLP, GMLPBlock
from spago.nn._layer_norm import LayerNorm
from spago.nn._linear import Linear
from spago.nn._mixer_block import MixerBlock
from spago.nn._module import Module
from spago.nn._sgu import SGU
from spago.nn._srnn import SRNN, BiSRNN
from spago.nn.gob._activations import activation, number_of
from spago.nn.gob._codec import Layer, Parts, Settings, constant, number_at, part_of, remember, remembered
from spago.nn.gob._parts import Fields
from spago.nn.gob._reader import REGISTERED
from spago.nn.gob._values import Param, Struct

_INIT_EPS = 1e-3  # that of the reference's gMLP


def _inner(kind: str, **fields: Any) -> Struct:
    """A layer in an interface, its parameters yet to be added."""
    return Struct(REGISTERED[f"*{kind}"], fields, f"*{kind}")


def _named(ours: str, theirs: str) -> dict[str, list[str]]:
    """Weight and bias of a layer."""
    return {f"{ours}.weight": [f"{theirs}.W"], f"{ours}.bias": [f"{theirs}.B"]}


def _normalization(norm: LayerNorm) -> Settings:
    if norm.weight is None:
        raise ValueError("gob: expected LayerNorm with weight and bias, as Go Spago has it")
    return {"Eps": constant(norm.eps, norm.weight.dtype)}


def _config(s: Fields, path: str = "Config") -> Fields:
    config = s[path]
    if not isinstance(config, Struct):
        s.refuse(f"a {path}", "none")
    return Fields(config, s.place)


def _check_layers(s: Fields, path: str, kinds: Sequence[str]) -> None:
    """Refuse a list of layers that are not of these kinds."""
    layers: list[Any] = s[path] or []
    found = [layer.go_name if isinstance(layer, Struct) else "something else" for layer in layers]
    if found != [f"*{kind}" for kind in kinds]:
        s.refuse(f"{len(kinds)} layers {', '.join(kinds)} for {path}", ", ".join(found[:20]))


# Shuffling recurrent networks


def _transform(layers: int, *, normalized: bool) -> list[str]:
    """The kinds of layers of f."""
    one = ["linear.Model", *(["layernorm.Model"] if normalized else []), "activation.Model"]
    return [*one * layers, "linear.Model"]


def _shuffling(cls: type[SRNN] | type[BiSRNN]) -> Layer:
    normalized = cls is SRNN

    def make(s: Fields, dtype: Any) -> Module:
        config = _config(s)
        count = config["NumLayers"]
        # Before kinds are listed: there may be said to be any number.
        if not 0 < count <= len(s["FC"]):
            s.refuse(f"as many layers as FC has, {len(s['FC'])}", f"{count}")
        kinds = _transform(count, normalized=normalized)
        _check_layers(s, "FC", kinds)
        layer = cls(
            config["InputSize"],
            config["HiddenSize"],
            config["OutputSize"],
            hyper_size=config["HyperSize"],
            num_layers=count,
            multi_head=config["MultiHead"],
            rng=s.rng,
            dtype=dtype or s.matrix("FC3.W").dtype,
        )
        for k, kind in enumerate(kinds):
            if kind == "activation.Model" and activation(Fields(s[f"FC.{k}"], s.place)) is not ag.relu:
                s.refuse("ReLU between the layers of FC", f"activation {s[f'FC.{k}.Activation']}")
            if kind == "layernorm.Model":
                part_of(layer, f"transform.{k}").eps = number_at(s, f"FC.{k}.Eps")
        if isinstance(layer, BiSRNN):
            layer.norm.eps = number_at(s, "LayerNorm.Eps")
        return layer

    def parts(layer: Any) -> Parts:
        result = _named("output", "FC3") | (_named("gate", "FC2") if layer.gate is not None else {})
        for k, part in enumerate(layer.transform):
            if isinstance(part, Linear | LayerNorm):
                result |= _named(f"transform.{k}", f"FC.{k}")
        return result | ({} if normalized else _named("norm", "LayerNorm"))

    def settings(layer: Any) -> Settings:
        linears = [part for part in layer.transform if isinstance(part, Linear)]
        fc = [
            _inner("linear.Model")
            if isinstance(part, Linear)
            else _inner("layernorm.Model", **_normalization(part))
            if isinstance(part, LayerNorm)
            else _inner("activation.Model", Activation=number_of(part))
            for part in layer.transform
        ]
        config = {
            "InputSize": layer.input_size,
            "HiddenSize": layer.hidden_size,
            "NumLayers": len(linears) - 1,
            "HyperSize": linears[0].out_features,
            "OutputSize": layer.output_size,
            "MultiHead": layer.gate is not None,
        }
        result: Settings = {"Config": config, "FC": fc}
        if layer.gate is None:  # Go has it all the same
            zeros = np.zeros((layer.hidden_size, layer.input_size + 1), layer.output.weight.dtype)
            result["FC2"] = {"W": Param(zeros[:, 1:], "W", "weights"), "B": Param(zeros[:, :1], "B", "biases")}
        return result | ({} if normalized else {"LayerNorm": _normalization(layer.norm)})

    return Layer(make, parts, settings)


# Gating units, and gMLP, which consists of them


def _sgu_make(s: Fields, dtype: Any) -> SGU:
    config = _config(s)
    layer = SGU(
        config["Dim"], config["DimSeq"], init_eps=config["InitEps"], rng=s.rng, dtype=dtype or s.matrix("Proj.W").dtype
    )
    _set_gate(layer, s)
    remember(layer, InitEps=config["InitEps"])
    return layer


def _set_gate(layer: SGU, s: Fields, prefix: str = "") -> None:
    """Give a gating unit what is no parameter."""
    layer.norm.eps = number_at(s, f"{prefix}Norm.Eps")
    act = s[f"{prefix}Act"]
    function = ag.identity if act is None else activation(Fields(act, s.place))
    layer.activation = None if function is ag.identity else function


def _sgu_parts(ours: str = "", theirs: str = "") -> dict[str, list[str]]:
    return _named(f"{ours}norm", f"{theirs}Norm") | _named(f"{ours}proj", f"{theirs}Proj")


def _sgu_settings(layer: SGU) -> Settings:
    number = 0 if layer.activation is None else number_of(layer.activation)
    config = {
        "Dim": layer.num_features,
        "DimSeq": layer.seq_len,
        "InitEps": remembered(layer).get("InitEps", _INIT_EPS),
        "Activation": number,
    }
    result: Settings = {
        "Config": config,
        "Norm": _normalization(layer.norm),
        "Proj": {"Config": {"InputChannels": layer.seq_len, "OutputChannels": layer.seq_len}},
    }
    return result | ({"Act": {"Activation": number}} if number else {})


_BLOCK = ("linear.Model", "activation.Model", "sgu.Model", "linear.Model")


def _block_make(s: Fields, dtype: Any) -> GMLPBlock:
    _check_layers(s, "PreNorm.Block.Layers", _BLOCK)
    block = GMLPBlock(
        s.columns("PreNorm.Block.Layers.0.W"),
        s.rows("PreNorm.Block.Layers.2.Proj.W"),
        s.rows("PreNorm.Block.Layers.0.W"),
        activation=ag.identity,
        gate_activation=None,
        eps=1e-12,
        rng=s.rng,
        dtype=s.matrix("PreNorm.Block.Layers.0.W").dtype,
    )
    _set_block(block, s)
    return block


def _set_block(block: GMLPBlock, s: Fields, prefix: str = "") -> None:
    """Give a block what is no parameter."""
    inner = f"{prefix}PreNorm.Block.Layers"
    _check_layers(s, inner, _BLOCK)
    block.activation = activation(Fields(s[f"{inner}.1"], s.place))
    block.norm.eps = number_at(s, f"{prefix}PreNorm.Norm.Eps")
    _set_gate(block.sgu, s, f"{inner}.2.")
    remember(block.sgu, InitEps=_config(s, f"{inner}.2.Config")["InitEps"])


def _block_parts(ours: str = "", theirs: str = "") -> dict[str, list[str]]:
    inner = f"{theirs}PreNorm.Block.Layers"
    return (
        _named(f"{ours}norm", f"{theirs}PreNorm.Norm")
        | _named(f"{ours}linear_in", f"{inner}.0")
        | _sgu_parts(f"{ours}sgu.", f"{inner}.2.")
        | _named(f"{ours}linear_out", f"{inner}.3")
    )


def _block_settings(block: GMLPBlock) -> Settings:
    layers = [
        _inner("linear.Model"),
        _inner("activation.Model", Activation=number_of(block.activation)),
        _inner("sgu.Model", **_sgu_settings(block.sgu)),
        _inner("linear.Model"),
    ]
    return {"PreNorm": {"Block": {"Layers": layers}, "Norm": _normalization(block.norm)}}


def _gmlp_make(s: Fields, dtype: Any) -> GMLP:
    config = _config(s)
    depth = config["Depth"]
    if depth != len(s["Layers"]):
        s.refuse(f"{len(s['Layers'])} layers, as there are", f"a Depth of {depth}")
    _check_layers(s, "Layers", ["gmlp.Residual"] * depth)
    layer = GMLP(
        config["Dim"],
        config["SeqLen"],
        depth,
        ff_mult=config["FFMult"],
        rng=s.rng,
        dtype=s.matrix("Layers.0.PreNorm.Norm.W").dtype,
    )
    for k, block in enumerate(layer.layers):
        _set_block(block, s, f"Layers.{k}.")
    return layer


def _gmlp_parts(layer: GMLP) -> Parts:
    blocks = (_block_parts(f"layers.{k}.", f"Layers.{k}.") for k in range(len(layer.layers)))
    return {ours: theirs for block in blocks for ours, theirs in block.items()}


def _gmlp_settings(layer: GMLP) -> Settings:
    first = layer.layers[0]
    config = {
        "Dim": layer.num_features,
        "Depth": len(layer.layers),
        "SeqLen": layer.seq_len,
        "FFMult": first.linear_in.out_features // layer.num_features,
        "Activation": 0 if first.sgu.activation is None else number_of(first.sgu.activation),
    }
    return {"Config": config, "Layers": [_inner("gmlp.Residual", **_block_settings(block)) for block in layer.layers]}


# MLP-Mixer

_MIXER = ("linear.Model", "activation.Model", "linear.Model")
_HALVES = (("token", "Token"), ("channel", "Channel"))


def _mixer_make(s: Fields, dtype: Any) -> MixerBlock:
    config = _config(s)
    functions: list[Callable[..., Any]] = []
    for _, half in _HALVES:
        _check_layers(s, f"{half}MixerFF.Layers", _MIXER)
        functions.append(activation(Fields(s[f"{half}MixerFF.Layers.1"], s.place)))
    layer = MixerBlock(
        config["InputSize"],
        config["Channels"],
        token_hidden=config["HiddenSizeTokenMixer"],
        channel_hidden=config["HiddenSizeChannelMixer"],
        token_activation=functions[0],
        channel_activation=functions[1],
        rng=s.rng,
        dtype=s.matrix("TokenLayerNorm.W").dtype,
    )
    for ours, theirs in _HALVES:
        part_of(layer, f"{ours}_norm").eps = number_at(s, f"{theirs}LayerNorm.Eps")
    return layer


def _mixer_parts(layer: MixerBlock) -> Parts:
    result: dict[str, list[str]] = {}
    for ours, theirs in _HALVES:
        result |= _named(f"{ours}_norm", f"{theirs}LayerNorm")
        for k in (0, 2):
            result |= _named(f"{ours}_mixer.{k}", f"{theirs}MixerFF.Layers.{k}")
    return result


def _mixer_settings(layer: MixerBlock) -> Settings:
    config: Settings = {"InputSize": layer.num_features, "Channels": layer.seq_len, "Eps": layer.token_norm.eps}
    result: Settings = {"Config": config}
    for ours, theirs in _HALVES:
        first, function, _ = part_of(layer, f"{ours}_mixer")
        number = number_of(function)
        config |= {f"HiddenSize{theirs}Mixer": first.out_features, f"ActFunction{theirs}Mixer": number}
        layers = [_inner("linear.Model"), _inner("activation.Model", Activation=number), _inner("linear.Model")]
        result[f"{theirs}MixerFF"] = {"Layers": layers}
        result[f"{theirs}LayerNorm"] = _normalization(part_of(layer, f"{ours}_norm"))
    return result


COMPOSITES: dict[str, tuple[type[Module] | None, Layer]] = {
    "srnn.Model": (SRNN, _shuffling(SRNN)),
    "srnn.BiModel": (BiSRNN, _shuffling(BiSRNN)),
    "sgu.Model": (SGU, Layer(_sgu_make, lambda layer: _sgu_parts(), _sgu_settings)),
    "gmlp.Residual": (GMLPBlock, Layer(_block_make, lambda layer: _block_parts(), _block_settings)),
    "gmlp.Model": (GMLP, Layer(_gmlp_make, _gmlp_parts, _gmlp_settings)),
    "mlpmixer.MixerBlock": (MixerBlock, Layer(_mixer_make, _mixer_parts, _mixer_settings)),
}
