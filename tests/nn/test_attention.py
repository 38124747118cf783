"""Attention: its equations, masks of all kinds, caches, and what it says of bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spago import ag, mat, nn
from spago.mat import Array, ShapeError
from spago.mat.rand import LockedRand

B, H, N, M, D, V = 2, 2, 3, 4, 6, 5

attend: Any = nn.scaled_dot_product_attention


def array(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def qkv(*lead: int) -> tuple[Array, Array, Array]:
    return array(*lead, N, D), array(*lead, M, D, seed=2), array(*lead, M, V, seed=3)


def by_hand(q: Array, k: Array, v: Array, added: Any = 0.0) -> tuple[Array, Array]:
    """The equation in plain NumPy."""
    weights = mat.softmax(np.einsum("...nd,...md->...nm", q, k) / math.sqrt(q.shape[-1]) + added)
    return np.asarray(weights @ v), weights


def parameters(layer: nn.Module) -> list[nn.Param]:
    return [p for p in layer.parameters() if isinstance(p, nn.Param)]


def randomized(layer: Any, seed: int = 7) -> Any:
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(scale=0.5, size=parameter.value.shape)
    return layer


# The function


@pytest.mark.parametrize("lead", [(), (B,), (B, H), (2, B, H), (0,)])
def test_attention_is_its_equation(lead: tuple[int, ...]) -> None:
    arrays = qkv(*lead)
    y, weights = attend(*arrays, return_weights=True)
    for node, expected in zip((y, weights), by_hand(*arrays), strict=True):
        np.testing.assert_allclose(node.value, expected, rtol=1e-12)
    np.testing.assert_array_equal(attend(*arrays).value, y.value)
    with ag.no_grad():
        np.testing.assert_allclose(attend(*arrays).value, y.value, rtol=1e-14)


@pytest.mark.parametrize("lead", [(), (B,), (2, B, H)])
@pytest.mark.parametrize("settings", [{}, {"causal": True}, {"return_weights": True}, {"scale": 0.3}], ids=str)
def test_gradients_are_central_differences(lead: tuple[int, ...], settings: dict[str, Any]) -> None:
    ag.gradcheck(lambda *nodes: attend(*nodes, **settings), qkv(*lead))


@pytest.mark.parametrize("shape", [(N, M), (B, H, N, M), (H, 1, M), (1,)])
def test_a_mask_of_floats_is_added_and_has_a_gradient(shape: tuple[int, ...]) -> None:
    arrays, mask = qkv(B, H), array(*shape, seed=4)
    y = attend(*arrays, mask)
    np.testing.assert_allclose(y.value, by_hand(*arrays, mask)[0], rtol=1e-12)
    ag.gradcheck(lambda m, *nodes: attend(*nodes, m), [mask, *arrays])


@pytest.mark.parametrize("shape", [(M,), (N, M), (B, 1, N, M), (B, H, 1, M)])
def test_a_mask_of_booleans_says_what_may_be_seen(shape: tuple[int, ...]) -> None:
    arrays, mask = qkv(B, H), np.random.default_rng(5).random(shape) < 0.6
    y, weights = attend(*arrays, mask, return_weights=True)
    np.testing.assert_allclose(y.value, by_hand(*arrays, np.where(mask, 0, -np.inf))[0], rtol=1e-12)
    assert not weights.value[~np.broadcast_to(mask, weights.shape)].any()


def test_a_query_that_sees_nothing_gives_0_and_has_no_gradient() -> None:
    mask = np.array([[True] * M, [False] * M, [True] * M])
    nodes = [ag.var(x, requires_grad=True) for x in qkv()]
    y, weights = attend(*nodes, mask, return_weights=True)
    (ag.sum(y) + ag.sum(weights * weights)).backward()
    assert not y.value[1].any()
    assert not weights.value[1].any()
    assert not nodes[0].grad[1].any()
    assert all(np.isfinite(node.grad).all() for node in nodes)


def test_causal_queries_see_the_keys_up_to_their_own() -> None:
    _, weights = attend(*qkv(), causal=True, return_weights=True)
    # The last of 3 queries stands at the last of 4 keys.
    np.testing.assert_array_equal(weights.value > 0, np.tri(N, M, M - N, dtype=bool))


def test_large_scores_do_not_overflow() -> None:
    q, k, v = (x.astype(np.float32) for x in qkv())
    y = attend(1e4 * q, 1e4 * k, v)
    np.testing.assert_allclose(y.value, v[np.argmax(q @ k.T, axis=-1)], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("hidden", [-np.inf, -1e9, -40.0])
def test_scores_of_any_size_and_masks_of_any_depth_are_right(size: float, hidden: float) -> None:
    # Small scores are not shifted by their maximum, large ones are; a row that is hidden from all keeps its order.
    q, k, v = qkv(B)
    mask = np.where(np.arange(M) < 2, 0.0, hidden)
    for added in (mask, np.where(np.arange(N)[:, None] == 1, min(hidden, -1e9), mask)):
        finite = np.maximum(added, -1e9)
        y = attend(size * q, k, v, added).value
        expected = by_hand(size * q, k, v, finite if hidden > -np.inf else added)[0]
        np.testing.assert_allclose(y, expected, rtol=1e-7, atol=1e-300)


def test_no_keys_give_0() -> None:
    y = attend(array(N, D), array(0, D), array(0, V))
    assert y.value.tolist() == np.zeros((N, V)).tolist()


@pytest.mark.parametrize(("n", "m"), [(700, 700), (1, 300_000), (300, 3)])
def test_what_is_done_in_pieces_is_right(n: int, m: int) -> None:
    q, k, v = array(3, n, 2), array(3, m, 2, seed=2), array(3, m, 1, seed=3)
    with ag.no_grad():
        y = attend(q, k, v)
    np.testing.assert_allclose(y.value, by_hand(q, k, v)[0], rtol=1e-9, atol=1e-12)


def test_gradients_of_many_pieces_are_those_of_each() -> None:
    arrays = [array(40, 3, 60, 2, seed=seed) for seed in range(3)]
    together = [ag.var(x, requires_grad=True) for x in arrays]
    attend(*together, causal=True).backward()
    for i in range(40):
        alone = [ag.var(x[i, 1], requires_grad=True) for x in arrays]
        attend(*alone, causal=True).backward()
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a.grad[i, 1], b.grad, rtol=1e-10, atol=1e-13)


def test_dropout_of_weights_keeps_the_expectation_and_the_gradient() -> None:
    q, k = np.zeros((2000, 4)), np.zeros((4, 4))
    y, weights = attend(q, k, np.eye(4), dropout=0.25, rng=LockedRand(1), return_weights=True)
    np.testing.assert_allclose(np.unique(y.value), [0, 1 / 3])
    np.testing.assert_allclose(y.value.mean(axis=0), 0.25, atol=0.01)
    np.testing.assert_allclose(weights.value, 0.25)

    def dropped(*nodes: ag.Node) -> Any:
        return attend(*nodes, dropout=0.4, rng=LockedRand(3), return_weights=True)

    ag.gradcheck(dropped, qkv(B))


def test_float32_stays() -> None:
    nodes = [ag.var(x.astype(np.float32), requires_grad=True) for x in qkv(B)]
    y = attend(*nodes, np.array([True] * M), causal=True)
    y.backward()
    assert {y.dtype, *(node.grad.dtype for node in nodes)} == {np.dtype(np.float32)}


def test_the_function_names_what_does_not_fit() -> None:
    q, k, v = qkv(B)
    name = "scaled_dot_product_attention"
    with pytest.raises(ShapeError, match=rf"{name}: .* of one size D, got \(2, 3, 6\) and \(2, 4, 5\)"):
        attend(q, k[..., :5], v)
    with pytest.raises(ShapeError, match=rf"{name}: expected as many values as keys, got k .* and v \(2, 3, 5\)"):
        attend(q, k, v[:, :3])
    with pytest.raises(ShapeError, match=rf"{name}: expected q \(..., N, D\), .* got \(3, 6\), \(2, 4, 6\)"):
        attend(q[0], k, v)
    with pytest.raises(
        ShapeError, match=rf"{name}: expected a mask that broadcasts to scores \(2, 3, 4\), got \(3, 3\)"
    ):
        attend(q, k, v, np.ones((3, 3)))
    with pytest.raises(TypeError, match=rf"{name}: expected a mask of booleans .* got int64; convert"):
        attend(q, k, v, np.ones((3, 4), np.int64))
    with pytest.raises(ValueError, match="dropout: expected a probability from 0 to 1, got -1"):
        attend(q, k, v, dropout=-1)


# Linear attention


@pytest.mark.parametrize("lead", [(), (B,), (B, H)])
def test_linear_attention_is_its_equation(lead: tuple[int, ...]) -> None:
    q, k, v = qkv(*lead)
    phi_q, phi_k = (np.where(x > 0, x + 1, np.exp(x)) for x in (q, k))
    weights = np.einsum("...nd,...md->...nm", phi_q, phi_k)
    np.testing.assert_allclose(
        nn.linear_attention(q, k, v).value, weights @ v / weights.sum(axis=-1, keepdims=True), rtol=1e-12
    )


def test_causal_linear_attention_is_that_of_each_beginning() -> None:
    q, k, v = array(B, M, D), array(B, M, D, seed=2), array(B, M, V, seed=3)
    y = nn.linear_attention(q, k, v, causal=True).value
    for t in range(M):
        alone = nn.linear_attention(q[:, t : t + 1], k[:, : t + 1], v[:, : t + 1]).value
        np.testing.assert_allclose(y[:, t], alone[:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [{}, {"causal": True}, {"eps": 0.1}, {"feature_map": ag.exp}],
    ids=["plain", "causal", "eps", "feature_map"],
)
def test_the_gradients_of_linear_attention_are_central_differences(settings: dict[str, Any]) -> None:
    q, k, v = array(B, M, D), array(B, M, D, seed=2), array(B, M, V, seed=3)
    ag.gradcheck(lambda *nodes: nn.linear_attention(*nodes, **settings), [q, k, v])


def test_linear_attention_leaves_out_what_is_masked() -> None:
    q, k, v = qkv(B)
    mask = np.array([[True, True, False, False], [True] * M])
    k[0, 2:], v[0, 2:] = 1e3, np.nan
    y = nn.linear_attention(q, k, v, key_mask=mask).value
    np.testing.assert_allclose(y[0], nn.linear_attention(q[0], k[0, :2], v[0, :2]).value, rtol=1e-12)


def test_linear_attention_names_what_does_not_fit() -> None:
    q, k, v = qkv(B)
    with pytest.raises(ShapeError, match="linear_attention: expected as many queries as keys, causal, got 3 and 4"):
        nn.linear_attention(q, k, v, causal=True)
    with pytest.raises(TypeError, match="linear_attention: expected key_mask of booleans, got float64"):
        nn.linear_attention(q, k, v, key_mask=np.ones((B, M)))
    with pytest.raises(ShapeError, match=r"linear_attention: expected key_mask of shape \(2, 4\), got \(2, 3\)"):
        nn.linear_attention(q, k, v, key_mask=np.ones((B, N), bool))


# Layers

E = 6

LAYERS: dict[str, Callable[..., Any]] = {
    "MultiheadAttention": lambda dtype=np.float64: nn.MultiheadAttention(E, 2, dtype=dtype),
    "MultiheadAttention-unbiased": lambda dtype=np.float64: nn.MultiheadAttention(E, 3, bias=False, dtype=dtype),
    "MultiheadAttention-rotary": lambda dtype=np.float64: nn.MultiheadAttention(
        E, 1, rotary=nn.RotaryPositions(4), dtype=dtype
    ),
    "SelfAttention": lambda dtype=np.float64: nn.SelfAttention(E, 4, 5, dtype=dtype),
}

every_layer = pytest.mark.parametrize("name", LAYERS)


@every_layer
@pytest.mark.parametrize("settings", [{}, {"causal": True}, {"lengths": [4, 2]}, {"return_weights": True}], ids=str)
def test_gradients_of_a_layer_are_central_differences(name: str, settings: dict[str, Any]) -> None:
    layer = randomized(LAYERS[name]())
    ag.gradcheck(lambda x: layer(x, **settings), [array(B, 4, E)], parameters=parameters(layer))


@every_layer
def test_gradients_of_attention_to_another_sequence_are_central_differences(name: str) -> None:
    layer = randomized(LAYERS[name]())
    x, z, w = array(B, N, E), array(B, M, E, seed=2), array(B, M, E, seed=3)
    ag.gradcheck(layer, [x, z], parameters=parameters(layer))
    ag.gradcheck(layer, [x, z, w], parameters=parameters(layer))


@every_layer
@pytest.mark.parametrize("causal", [True, False])
def test_a_batch_is_as_one_at_a_time(name: str, causal: bool) -> None:
    layer, xs = randomized(LAYERS[name]()), array(B, 4, E)
    together = layer(xs, causal=causal).value
    for x, y in zip(xs, together, strict=True):
        np.testing.assert_allclose(layer(x, causal=causal).value, y, rtol=1e-12)


@every_layer
@pytest.mark.parametrize("causal", [True, False])
def test_padding_makes_no_difference(name: str, causal: bool) -> None:
    layer, xs, lengths = randomized(LAYERS[name]()), array(3, 5, E), [5, 1, 3]
    padded = xs.copy()
    for x, length in zip(padded, lengths, strict=True):
        x[length:] = 1e3
    mask = np.arange(5) < np.array(lengths)[:, None]
    by_lengths = layer(padded, lengths=lengths, causal=causal).value
    np.testing.assert_array_equal(layer(padded, key_mask=mask, causal=causal).value, by_lengths)
    for x, y, length in zip(xs, by_lengths, lengths, strict=True):
        np.testing.assert_allclose(layer(x[:length], causal=causal).value, y[:length], rtol=1e-12)


@every_layer
def test_full_lengths_are_no_lengths(name: str) -> None:
    layer, xs, mask = randomized(LAYERS[name]()), array(B, 4, E), np.tri(4, dtype=bool)
    np.testing.assert_array_equal(layer(xs, lengths=[4, 4]).value, layer(xs).value)
    np.testing.assert_array_equal(layer(xs, lengths=[4, 4], mask=mask).value, layer(xs, mask=mask).value)
    np.testing.assert_array_equal(layer(xs, lengths=np.ones((B, 4), bool)).value, layer(xs).value)


@every_layer
@given(steps=st.lists(st.integers(1, 3), min_size=1, max_size=4), batched=st.booleans())
def test_decoding_with_a_cache_is_decoding_at_once(name: str, steps: list[int], batched: bool) -> None:
    layer = randomized(LAYERS[name]())
    xs = array(*([B] if batched else []), sum(steps), E)
    cache, parts, start = nn.KeyValueCache(), [], 0
    for n in steps:
        parts.append(layer(xs[..., start : start + n, :], causal=True, cache=cache).value)
        start += n
        assert len(cache) == start
    np.testing.assert_allclose(np.concatenate(parts, axis=-2), layer(xs, causal=True).value, rtol=1e-10, atol=1e-12)


@every_layer
def test_gradients_flow_through_a_cache(name: str) -> None:
    layer = randomized(LAYERS[name]())

    def in_steps(x: ag.Node) -> ag.Node:
        cache = nn.KeyValueCache()
        return ag.concat([layer(x[:, t : t + 2], causal=True, cache=cache) for t in (0, 2)], axis=1)

    ag.gradcheck(in_steps, [array(B, 4, E)], parameters=parameters(layer))


@every_layer
def test_a_cache_that_does_not_grow_keeps_the_first_sequence(name: str) -> None:
    layer, cache = randomized(LAYERS[name]()), nn.KeyValueCache(grows=False)
    x, z = array(B, N, E), array(B, M, E, seed=2)
    expected = layer(x, z).value
    for _ in range(2):
        np.testing.assert_allclose(layer(x, z, cache=cache).value, expected, rtol=1e-12)
    np.testing.assert_allclose(layer(x, cache=cache).value, expected, rtol=1e-12)
    assert len(cache) == M


@every_layer
def test_weights_of_a_layer_are_returned(name: str) -> None:
    layer = randomized(LAYERS[name]())
    y, weights = layer(array(B, N, E), array(B, M, E, seed=2), return_weights=True)
    np.testing.assert_allclose(y.value, layer(array(B, N, E), array(B, M, E, seed=2)).value, rtol=1e-14)
    np.testing.assert_allclose(weights.value.sum(axis=-1), 1, rtol=1e-12)
    assert weights.shape[-2:] == (N, M)


@pytest.mark.parametrize("mask", [np.tri(4, dtype=bool), np.where(np.tri(4), 0.0, -np.inf)], ids=["bool", "float"])
def test_masks_have_one_two_or_all_axes(mask: npt.NDArray[Any]) -> None:
    layer, x = randomized(LAYERS["MultiheadAttention"]()), array(B, 4, E)
    expected = layer(x, causal=True).value
    for shape in ((4, 4), (1, 4, 4), (B, 4, 4), (B, 1, 4, 4), (B, 2, 4, 4)):
        np.testing.assert_allclose(layer(x, mask=np.broadcast_to(mask, shape)).value, expected, rtol=1e-12)
    both = layer(x, mask=mask, lengths=[4, 2]).value
    np.testing.assert_allclose(both[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(both[1, :2], expected[1, :2], rtol=1e-12)
    np.testing.assert_allclose(both[1, 2:], layer(x[1, 2:], x[1, :2]).value, rtol=1e-12)


def test_heads_are_attention_of_parts_of_the_features() -> None:
    layer, x = randomized(LAYERS["MultiheadAttention"]()), array(N, E)
    weight, bias = layer.in_proj_weight.value, layer.in_proj_bias.value
    q, k, v = np.split(x @ weight.T + bias, 3, axis=-1)
    heads = [by_hand(q[:, h], k[:, h], v[:, h])[0] for h in (slice(0, 3), slice(3, 6))]
    expected = layer.out_proj(np.concatenate(heads, axis=-1)).value
    np.testing.assert_allclose(layer(x).value, expected, rtol=1e-12)


# Keys and values of other sizes


def other_sizes(**settings: Any) -> Any:
    return randomized(nn.MultiheadAttention(E, 2, kdim=3, vdim=5, dtype=np.float64, **settings))


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"rotary": nn.RotaryPositions(2)}], ids=str)
def test_keys_and_values_have_sizes_of_their_own(settings: dict[str, Any]) -> None:
    layer, packed = other_sizes(**settings), nn.MultiheadAttention(E, 2, dtype=np.float64, **settings).eval()
    x, z, w = array(B, N, E), array(B, M, 3, seed=2), array(B, M, 5, seed=3)
    # The same with all of size 6: the weights of what there is not are 0.
    weights = [layer.q_proj_weight.value, layer.k_proj_weight.value, layer.v_proj_weight.value]
    filled = np.concatenate([np.pad(weight, [(0, 0), (0, E - weight.shape[1])]) for weight in weights])
    rest = {name: value for name, value in layer.state_dict().items() if not name.endswith("proj_weight")}
    packed.load_state_dict({"in_proj_weight": filled, **rest})
    wide = [np.pad(array, [(0, 0), (0, 0), (0, E - array.shape[2])]) for array in (z, w)]
    expected = packed(x, *wide, lengths=[4, 2]).value
    np.testing.assert_allclose(layer(x, z, w, lengths=[4, 2]).value, expected, rtol=1e-11)
    cache = nn.KeyValueCache(grows=False)
    np.testing.assert_allclose(layer(x, z, w, lengths=[4, 2], cache=cache).value, expected, rtol=1e-11)
    np.testing.assert_allclose(layer(x, lengths=[4, 2], cache=cache).value, expected, rtol=1e-11)
    ag.gradcheck(layer, [x, z, w], parameters=parameters(layer))


def test_one_of_the_sizes_may_differ() -> None:
    x, z = array(B, N, E), array(B, M, 3)
    layer = nn.MultiheadAttention(E, 2, kdim=3, vdim=3, dtype=np.float64)
    np.testing.assert_array_equal(layer(x, z).value, layer(x, z, z).value)
    layer = nn.MultiheadAttention(E, 2, vdim=3, dtype=np.float64)
    assert layer(x, array(B, M, E), z).shape == x.shape
    names = ["q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    assert list(layer.state_dict()) == names
    assert repr(layer).startswith("MultiheadAttention(6, 2, kdim=6, vdim=3): 150 parameters: q_proj_weight (6, 6)")


def test_sizes_of_keys_and_values_that_do_not_fit_are_named() -> None:
    layer, x, z, w = other_sizes(), array(B, N, E), array(B, M, 3), array(B, M, 5)
    with pytest.raises(
        ShapeError, match=r"MultiheadAttention: expected key of shape \(T, 3\) or .* for kdim, got \(2, 3, 6\)"
    ):
        layer(x)
    with pytest.raises(
        ShapeError, match=r"MultiheadAttention: expected value of shape \(T, 5\) or .* for vdim, got \(2, 4, 3\)"
    ):
        layer(x, z)
    with pytest.raises(
        ShapeError, match=r"key and value of as many steps, .*, got \(2, 3, 6\), \(2, 4, 3\) and \(2, 3, 5\)"
    ):
        layer(x, z, w[:, 1:])
    with pytest.raises(ShapeError, match="MultiheadAttention: expected sizes of at least 1, got kdim 0 and vdim None"):
        nn.MultiheadAttention(E, 2, kdim=0)


def test_weights_are_dropped_in_training_only() -> None:
    layer, x = nn.MultiheadAttention(E, 2, dropout=0.5, dtype=np.float64), array(N, E)
    assert not np.array_equal(layer(x).value, layer(x).value)
    layer.eval()
    np.testing.assert_array_equal(layer(x).value, layer(x).value)


def test_parameters_have_pytorch_s_names() -> None:
    names = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    assert list(nn.MultiheadAttention(E, 2).state_dict()) == names
    assert list(nn.MultiheadAttention(E, 2, bias=False).state_dict()) == names[::2]


def test_what_leaves_no_graph_keeps_no_weights() -> None:
    layer, x = LAYERS["MultiheadAttention"](), array(B, 4, E)
    with ag.no_grad():
        y = layer(x)
    assert not y.requires_grad
    np.testing.assert_allclose(y.value, layer(x).value, rtol=1e-13)


def test_layers_name_what_does_not_fit() -> None:
    layer, x = LAYERS["MultiheadAttention"](), array(B, 4, E)
    with pytest.raises(
        ShapeError, match="MultiheadAttention: expected num_heads that divides embed_dim, got 4 heads for 6"
    ):
        nn.MultiheadAttention(6, 4)
    with pytest.raises(ValueError, match="MultiheadAttention: expected a probability dropout from 0 to 1, got 2"):
        nn.MultiheadAttention(6, 2, dropout=2)
    with pytest.raises(
        ShapeError,
        match=r"MultiheadAttention: expected query of shape \(T, 6\) or \(B, T, 6\) for embed_dim, got \(2, 4, 5\)",
    ):
        layer(x[..., :5])
    with pytest.raises(ShapeError, match=r"MultiheadAttention: expected key of shape \(T, 6\)"):
        layer(x, x[..., :5])
    with pytest.raises(ShapeError, match=r"expected query .*, got \(2, 4, 6\), \(1, 4, 6\) and \(1, 4, 6\)"):
        layer(x, x[:1])
    with pytest.raises(ShapeError, match=r"expected a mask that broadcasts to scores \(2, 2, 4, 4\), got \(4, 3\)"):
        layer(x, mask=np.ones((4, 3), bool))
    with pytest.raises(TypeError, match="MultiheadAttention: expected a mask of booleans .*, got int64"):
        layer(x, mask=np.ones((4, 4), np.int64))
    with pytest.raises(TypeError, match="MultiheadAttention: expected key_mask of booleans, got float64; True stands"):
        layer(x, key_mask=np.ones((B, 4)))
    with pytest.raises(ShapeError, match=r"expected key_mask of shape \(2, 4\), got \(4,\)"):
        layer(x, key_mask=np.ones(4, bool))
    with pytest.raises(ShapeError, match="lengths: expected values from 1 to 4, got 1 to 5"):
        layer(x, lengths=[5, 1])
    with pytest.raises(ShapeError, match="padded batch"):
        layer(x[0], lengths=[4])
    with pytest.raises(ValueError, match="MultiheadAttention: expected lengths or key_mask, got both"):
        layer(x, lengths=[4, 4], key_mask=np.ones((B, 4), bool))
    with pytest.raises(ShapeError, match="SelfAttention: expected sizes of at least 1, got 0, 1 and 1"):
        nn.SelfAttention(0, 1, 1)
    with pytest.raises(ShapeError, match="MultiheadAttention: expected rotary for 3 features at most"):
        nn.MultiheadAttention(6, 2, rotary=nn.RotaryPositions(4))


def test_a_cache_of_another_batch_is_refused() -> None:
    layer, cache = LAYERS["MultiheadAttention"](), nn.KeyValueCache()
    layer(array(B, 4, E), cache=cache)
    with pytest.raises(ShapeError, match=r"KeyValueCache: expected shape \(2, \*, 6\) as before, got \(3, 4, 6\)"):
        layer(array(3, 4, E), cache=cache)
    fixed = nn.KeyValueCache(grows=False)
    layer(array(B, 4, E), array(B, 4, E), cache=fixed)
    with pytest.raises(ShapeError, match=r"got \(3, 4, 6\), \(2, 4, 6\)"):
        layer(array(3, 4, E), cache=fixed)
    assert repr(fixed) == "<KeyValueCache keys (2, 4, 6), fixed>"
    assert repr(nn.KeyValueCache()) == "<KeyValueCache empty>"
