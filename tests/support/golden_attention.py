"""Adapters of attention: the functions, layers of one head and of several, and what they remember."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from golden import Case, Result, adapter, right_values
from spago import ag, nn
from spago.ag import Node
from spago.mat import Array
from spago.mat.rand import LockedRand

PARTS = ("query", "key", "value")


@adapter("operator", "scaled_dot_product_attention")
def _scaled_dot_product(case: Case) -> Result:
    nodes = _leaves(case)
    q, k, v, scale = nodes
    # The scale has a gradient in the reference; here it is a number, so the queries take it.
    outputs = nn.scaled_dot_product_attention(
        q * scale, k, v, causal=case.config["use_causal_mask"], scale=1.0, return_weights=True
    )
    return _result(case, outputs, nodes, {})


@adapter("operator", "linear_attention")
def _linear(case: Case) -> Result:
    nodes = _leaves(case)
    assert case.config["mapping_function"] == "positive_elu"
    return _result(case, [nn.linear_attention(*nodes, eps=case.config["eps"])], nodes, {})


# One head


def _one_head(case: Case) -> nn.SelfAttention:
    c = case.config
    assert c["query_size"] == c["key_size"]
    sizes = (c["input_size"], c["key_size"], c["value_size"])
    layer = nn.SelfAttention(*sizes, scale=c["scale_factor"], rng=_rng(case), dtype=case.dtype or "float64")
    if case.params and "seed" not in c:
        layer.load_state_dict({_one_head_name(name): array for name, array in case.params.items()})
    return layer


def _one_head_name(name: str) -> str:
    part, kind = name.split(".")
    return f"{part}.{'weight' if kind == 'w' else 'bias'}"


def _one_head_result(case: Case, layer: nn.Module, outputs: Sequence[Node], inputs: Sequence[Any]) -> Result:
    parameters = dict(layer.named_parameters())
    return _result(case, outputs, inputs, {name: parameters[_one_head_name(name)] for name in case.params})


@adapter("model", "self_attention", "attention_qkv", "cross_attention")
def _self_attention(case: Case) -> Result:
    layer, nodes = _one_head(case), _leaves(case)
    cache = nn.KeyValueCache(grows=not case.config["is_cross_attention"])
    ys, weights = layer(*nodes, causal=case.config["use_causal_mask"], cache=cache, return_weights=True)
    return _one_head_result(case, layer, [ys, weights, *cache.filled()], nodes)


@adapter("model", "self_attention_cached")
def _self_attention_cached(case: Case) -> Result:
    layer, cache = _one_head(case), nn.KeyValueCache()
    outputs: list[Node] = []
    for xs in _leaves(case):
        outputs += layer(xs, causal=case.config["use_causal_mask"], cache=cache, return_weights=True)
    return Result([x.value for x in (*outputs, *cache.filled())])


@right_values("model", "self_attention_cached")
def _self_attention_cached_right(case: Case) -> dict[str, Any]:
    """All at once, so that no query can mistake its place."""
    layer, cache = _one_head(case), nn.KeyValueCache()
    first = len(case.inputs[0])
    ys, weights = layer(np.concatenate(case.inputs), causal=True, cache=cache, return_weights=True)
    parts = [ys[:first], weights[:first, :first], ys[first:], weights[first:], *cache.filled()]
    return {"outputs": [part.value for part in parts]}


@adapter("model", "cross_attention_cached")
def _cross_attention_cached(case: Case) -> Result:
    layer, nodes = _one_head(case), _leaves(case)
    cache = nn.KeyValueCache(grows=False)
    cache.extend(nodes[1], nodes[2])
    return _one_head_result(case, layer, layer(nodes[0], cache=cache, return_weights=True), nodes)


# Several heads


def _heads(case: Case) -> nn.MultiheadAttention:
    size, heads = case.config["size"], case.config["num_of_heads"]
    layer = nn.MultiheadAttention(size, heads, rng=_rng(case), dtype=case.dtype or "float64")
    if case.params and "seed" not in case.config:
        for name, array in case.params.items():
            _place(name, layer, {p: node.value for p, node in layer.named_parameters()})[...] = array
    return layer


def _place(name: str, layer: nn.MultiheadAttention, arrays: dict[str, Array]) -> Array:
    """The part of our parameters, or of what belongs to them, that one of the reference is."""
    *path, kind = name.split(".")
    kind = "weight" if kind == "w" else "bias"
    if path == ["output_merge"]:
        return arrays[f"out_proj.{kind}"]
    size = layer.embed_dim // layer.num_heads
    start = PARTS.index(path[2]) * layer.embed_dim + int(path[1]) * size
    return arrays[f"in_proj_{kind}"][start : start + size]


def _heads_result(case: Case, layer: nn.MultiheadAttention, outputs: Sequence[Node], inputs: Sequence[Node]) -> Result:
    result = _result(case, outputs, inputs, {})
    grads = {name: parameter.grad for name, parameter in layer.named_parameters()}
    return Result(result.outputs, result.input_grads, {name: _place(name, layer, grads) for name in case.params})


@adapter("model", "multi_head_self_attention", "multi_head_attention_qkv", "multi_head_cross_attention")
def _multi_head(case: Case) -> Result:
    layer, nodes, cache = _heads(case), _leaves(case), nn.KeyValueCache()
    ys, weights = layer(*nodes, causal=case.config["use_causal_mask"], cache=cache, return_weights=True)
    return _heads_result(case, layer, [ys, *ag.unstack(weights), *_heads_of(cache, layer)], nodes)


@adapter("model", "multi_head_self_attention_cached")
def _multi_head_cached(case: Case) -> Result:
    layer, cache = _heads(case), nn.KeyValueCache()
    xs = case.inputs[0]
    ys = [layer(x[None], causal=True, cache=cache) for x in xs]
    return Result([ag.concat(ys, axis=0).value, *(x.value for x in _heads_of(cache, layer))])


def _heads_of(cache: nn.KeyValueCache, layer: nn.MultiheadAttention) -> list[Node]:
    """The keys and values of the first head, those of the second, and so on."""
    keys, values = (ag.split(x, layer.num_heads, axis=-1) for x in cache.filled())
    return [part for pair in zip(keys, values, strict=True) for part in pair]


# Initial weights


@adapter("initializer", "self_attention_init")
def _self_attention_init(case: Case) -> Result:
    state = _one_head(case).state_dict()
    return Result(params={name: state[_one_head_name(name)] for name in case.params})


@adapter("initializer", "multi_head_attention_init")
def _multi_head_init(case: Case) -> Result:
    layer = _heads(case)
    return Result(params={name: _place(name, layer, layer.state_dict()) for name in case.params})


# What all cases share


def _rng(case: Case) -> LockedRand:
    return LockedRand(case.config.get("seed", 1))


def _leaves(case: Case) -> list[Node]:
    return [ag.var(x, requires_grad=True) for x in case.inputs]


def _result(case: Case, outputs: Sequence[Node], inputs: Sequence[Node], params: dict[str, Any]) -> Result:
    """Go back from the outputs that have a gradient."""
    gradients = case.output_grads
    if gradients is None:
        return Result([y.value for y in outputs])
    roots = []
    for y, g in zip(outputs, gradients, strict=True):
        if g is not None:
            y.acc_grad(g.reshape(y.shape))
            roots.append(y)
    ag.backward_many(roots)
    return Result(
        [y.value for y in outputs], [x.grad for x in inputs], {name: param.grad for name, param in params.items()}
    )
