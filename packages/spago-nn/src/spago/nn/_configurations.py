"""What layers were made with, where they do not keep it in attributes of the same names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from spago.nn._layer_norm import LayerNorm
from spago.nn._linear import Linear

Configuration = dict[str, Any]


def _same(module: Any, *names: str) -> Configuration:
    return {name: getattr(module, name) for name in names}


def _activation(module: Any) -> Configuration:
    beta = {} if module.beta is None else {"beta": 1.0}
    return {"name": module.function.__name__, **module.settings, **beta}


def _convolution(module: Any) -> Configuration:
    windows = module.windows
    mask = None if module.mask is None else module.mask.reshape(-1).tolist()
    return {
        **_same(module, "in_channels", "out_channels", "padding", "groups", "padding_mode"),
        "kernel_size": windows.size,
        "stride": windows.stride,
        "dilation": windows.dilation,
        "bias": module.bias is not None,
        "mask": mask,
    }


def _gmlp(module: Any) -> Configuration:
    block = module.layers[0]
    return {
        **_same(module, "num_features", "seq_len"),
        "depth": len(module.layers),
        "ff_mult": block.linear_in.out_features // module.num_features,
        "activation": block.activation,
        "gate_activation": block.sgu.activation,
        "eps": block.norm.eps,
    }


def _mixer(module: Any) -> Configuration:
    return {
        **_same(module, "num_features", "seq_len"),
        "token_hidden": module.token_mixer[0].out_features,
        "channel_hidden": module.channel_mixer[0].out_features,
        "token_activation": module.token_mixer[1],
        "channel_activation": module.channel_mixer[1],
        "eps": module.token_norm.eps,
    }


def _multihead_attention(module: Any) -> Configuration:
    settings = _same(module, "embed_dim", "num_heads", "dropout", "kdim", "vdim", "rotary")
    return {**settings, "bias": module.in_proj_bias is not None}


def _norm(module: Any) -> Configuration:
    taken = set(inspect.signature(module.__init__).parameters) - {"affine", "bias", "dtype"}
    settings = {name: getattr(module, name) for name in taken} | {"affine": module.weight is not None}
    return settings | ({"bias": module.bias is not None} if isinstance(module, LayerNorm) else {})


def _self_attention(module: Any) -> Configuration:
    sizes = {"key_size": module.query.out_features, "value_size": module.value.out_features}
    return {**_same(module, "input_size", "scale"), **sizes}


def _srnn(module: Any) -> Configuration:
    return {
        **_same(module, "input_size", "hidden_size", "output_size"),
        "hyper_size": module.transform[0].out_features,
        "num_layers": sum(isinstance(part, Linear) for part in module.transform) - 1,
        "multi_head": module.gate is not None,
    }


def _tpr(module: Any) -> Configuration:
    (symbol_size, symbols), (role_size, roles) = module.symbol_vectors.shape, module.role_vectors.shape
    sizes = {"symbols": symbols, "symbol_size": symbol_size, "roles": roles, "role_size": role_size}
    return {"input_size": module.input_size, **sizes}


def _transformer(module: Any) -> Configuration:
    return {
        **_same(module, "activation", "norm_first"),
        **_same(module.self_attn, "embed_dim", "num_heads"),
        "feedforward_dim": module.linear1.out_features,
        "dropout": module.dropout.p,
        "eps": module.norm1.eps,
        "bias": module.linear1.bias is not None,
    }


CONFIGURATIONS: dict[str, Callable[[Any], Configuration]] = {
    "Activation": _activation,
    "BatchNorm": _norm,
    "BiSRNN": _srnn,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "GMLP": _gmlp,
    "LayerNorm": _norm,
    "MixerBlock": _mixer,
    "MultiheadAttention": _multihead_attention,
    "SRNN": _srnn,
    "SelfAttention": _self_attention,
    "TPR": _tpr,
    "TransformerDecoderLayer": _transformer,
    "TransformerEncoderLayer": _transformer,
}
"""By class."""
