"""The layers of a Transformer, and positions."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from spago import ag, nn
from spago.mat import Array, ShapeError
from spago.mat.rand import LockedRand

B, T, S, E, F = 3, 4, 5, 6, 8
LENGTHS = [4, 1, 3]

every_norm = pytest.mark.parametrize("norm_first", [True, False])


def array(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def randomized(layer: Any) -> Any:
    rng = np.random.default_rng(7)
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(scale=0.5, size=parameter.value.shape)
    return layer.eval()


def encoder(norm_first: bool = False, **settings: Any) -> Any:
    return randomized(nn.TransformerEncoderLayer(E, 2, F, norm_first=norm_first, dtype=np.float64, **settings))


def decoder(norm_first: bool = False, **settings: Any) -> Any:
    return randomized(nn.TransformerDecoderLayer(E, 2, F, norm_first=norm_first, dtype=np.float64, **settings))


# Encoder and decoder


@every_norm
@pytest.mark.parametrize("settings", [{}, {"causal": True}, {"lengths": LENGTHS}], ids=str)
def test_gradients_of_an_encoder_layer_are_central_differences(norm_first: bool, settings: dict[str, Any]) -> None:
    layer = encoder(norm_first, activation=ag.gelu)
    ag.gradcheck(lambda x: layer(x, **settings), [array(B, T, E)], parameters=list(layer.parameters()), rtol=1e-4)


@every_norm
def test_gradients_of_a_decoder_layer_are_central_differences(norm_first: bool) -> None:
    layer = decoder(norm_first, activation=ag.gelu)
    inputs = [array(B, T, E), array(B, S, E, seed=2)]
    ag.gradcheck(
        lambda x, z: layer(x, z, causal=True, memory_lengths=[5, 2, 1]),
        inputs,
        parameters=list(layer.parameters()),
        rtol=1e-4,
    )


@every_norm
def test_a_batch_is_as_one_at_a_time_and_padding_makes_no_difference(norm_first: bool) -> None:
    layer, other, xs, memory = encoder(norm_first), decoder(norm_first), array(B, T, E), array(B, S, E, seed=2)
    ys = layer(xs, lengths=LENGTHS).value
    zs = other(xs, memory, lengths=LENGTHS, memory_lengths=[2, 5, 1]).value
    mask = np.arange(T) < np.array(LENGTHS)[:, None]
    np.testing.assert_array_equal(layer(xs, key_mask=mask).value, ys)
    for i, (n, m) in enumerate(zip(LENGTHS, [2, 5, 1], strict=True)):
        np.testing.assert_allclose(layer(xs[i, :n]).value, ys[i, :n], rtol=1e-11)
        np.testing.assert_allclose(other(xs[i, :n], memory[i, :m]).value, zs[i, :n], rtol=1e-11)


@every_norm
@pytest.mark.parametrize("steps", [[1, 1, 1, 1], [2, 2], [1, 3]], ids=str)
def test_decoding_with_a_cache_is_decoding_at_once(norm_first: bool, steps: list[int]) -> None:
    layer, other, xs, memory = encoder(norm_first), decoder(norm_first), array(B, T, E), array(B, S, E, seed=2)
    cache, own, start = nn.TransformerDecoderLayer.cache(), nn.KeyValueCache(), 0
    encoded, decoded = [], []
    for n in steps:
        part = xs[:, start : start + n]
        encoded.append(layer(part, causal=True, cache=own).value)
        decoded.append(other(part, memory, causal=True, cache=cache).value)
        start += n
    np.testing.assert_allclose(np.concatenate(encoded, axis=1), layer(xs, causal=True).value, rtol=1e-10)
    np.testing.assert_allclose(np.concatenate(decoded, axis=1), other(xs, memory, causal=True).value, rtol=1e-10)


@every_norm
def test_an_encoder_layer_is_its_equations(norm_first: bool) -> None:
    layer, x = encoder(norm_first), ag.var(array(B, T, E))

    def f(x: ag.Node) -> Any:
        return layer.linear2(ag.relu(layer.linear1(x)))

    if norm_first:
        y = x + layer.self_attn(layer.norm1(x))
        expected = y + f(layer.norm2(y))
    else:
        y = layer.norm1(x + layer.self_attn(x))
        expected = layer.norm2(y + f(y))
    np.testing.assert_allclose(layer(x).value, expected.value, rtol=1e-13)


@every_norm
@pytest.mark.parametrize("shape", [(1, E), (B, T, E), (40, E)])
def test_without_a_graph_results_are_the_same(
    norm_first: bool, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fewer at a time than fit the cache, so that there are several pieces.
    monkeypatch.setattr("spago.nn._transformer._PIECE", 40)
    layer, other = encoder(norm_first, activation=ag.gelu), decoder(norm_first, bias=False)
    xs = array(*shape)
    given = xs.copy()
    with ag.no_grad():
        y, z = layer(xs), other(xs, xs)
    np.testing.assert_allclose(y.value, layer(xs).value, rtol=1e-12)
    np.testing.assert_allclose(z.value, other(xs, xs).value, rtol=1e-12)
    np.testing.assert_array_equal(xs, given)


def test_dropout_is_of_training_only() -> None:
    layer, x = encoder(dropout=0.5), array(B, T, E)
    np.testing.assert_array_equal(layer(x).value, layer(x).value)
    layer.train()
    assert not np.array_equal(layer(x).value, layer(x).value)


def test_names_are_pytorch_s() -> None:
    names = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    rest = [f"{layer}.{kind}" for layer in ("linear1", "linear2", "norm1", "norm2") for kind in ("weight", "bias")]
    assert list(encoder().state_dict()) == [f"self_attn.{name}" for name in names] + rest
    assert {name.split(".")[0] for name in decoder().state_dict()} == {
        *("self_attn", "multihead_attn", "linear1", "linear2", "norm1", "norm2", "norm3")
    }


def test_a_layer_survives_pickling() -> None:
    layer, x = encoder(activation=ag.gelu), array(T, E)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(x).value, layer(x).value)


def test_float32_stays() -> None:
    layer = nn.TransformerEncoderLayer(E, 2, F)
    x = ag.var(array(B, T, E).astype(np.float32), requires_grad=True)
    y = layer(x, lengths=LENGTHS)
    y.backward()
    assert y.dtype == x.grad.dtype == np.float32


def test_layers_name_what_does_not_fit() -> None:
    with pytest.raises(
        ShapeError, match=r"TransformerEncoderLayer: expected xs of shape \(T, 6\) or .* for embed_dim, got \(3, 4, 5\)"
    ):
        encoder()(array(B, T, E - 1))
    with pytest.raises(ShapeError, match=r"TransformerDecoderLayer: expected memory of shape \(T, 6\)"):
        decoder()(array(B, T, E), array(B, S, E - 1))
    with pytest.raises(ShapeError, match="expected num_heads that divides embed_dim, got 4 heads for 6"):
        nn.TransformerEncoderLayer(6, 4)


# Stacks


def stacks(norm_first: bool) -> tuple[Any, Any]:
    """An encoder and a decoder of three layers each; with norm_first there is a norm at the end."""
    settings: Any = {"norm_first": norm_first, "activation": ag.gelu, "dtype": np.float64}
    norms = [nn.LayerNorm(E, dtype=np.float64) if norm_first else None for _ in range(2)]
    encoder = nn.TransformerEncoder((nn.TransformerEncoderLayer(E, 2, F, **settings) for _ in range(3)), norm=norms[0])
    decoder = nn.TransformerDecoder((nn.TransformerDecoderLayer(E, 2, F, **settings) for _ in range(3)), norm=norms[1])
    return randomized(encoder), randomized(decoder)


@every_norm
def test_a_stack_is_its_layers_one_by_one(norm_first: bool) -> None:
    encoder, decoder = stacks(norm_first)
    xs, memory, mask = array(B, T, E), array(B, S, E, seed=2), np.tri(T, dtype=bool)
    x: Any = xs
    y: Any = xs
    for layer, other in zip(encoder.layers, decoder.layers, strict=True):
        x = layer(x, lengths=LENGTHS, mask=mask)
        y = other(y, memory, causal=True, lengths=LENGTHS, memory_lengths=[2, 5, 1], memory_mask=np.tri(T, S, 1) > 0)
    if norm_first:
        x, y = encoder.norm(x), decoder.norm(y)
    np.testing.assert_array_equal(encoder(xs, lengths=LENGTHS, mask=mask).value, x.value)
    again = decoder(xs, memory, causal=True, lengths=LENGTHS, memory_lengths=[2, 5, 1], memory_mask=np.tri(T, S, 1) > 0)
    np.testing.assert_array_equal(again.value, y.value)


@every_norm
@pytest.mark.parametrize("steps", [[1, 1, 1, 1], [1, 3]], ids=str)
def test_decoding_through_a_stack_with_a_cache_is_decoding_at_once(norm_first: bool, steps: list[int]) -> None:
    encoder, decoder = stacks(norm_first)
    xs, memory, own, cache, start = array(B, T, E), array(B, S, E, seed=2), encoder.cache(), decoder.cache(), 0
    encoded, decoded = [], []
    for n in steps:
        part = xs[:, start : start + n]
        encoded.append(encoder(part, causal=True, cache=own).value)
        decoded.append(decoder(part, memory, causal=True, cache=cache).value)
        start += n
    np.testing.assert_allclose(np.concatenate(encoded, axis=1), encoder(xs, causal=True).value, rtol=1e-9)
    np.testing.assert_allclose(np.concatenate(decoded, axis=1), decoder(xs, memory, causal=True).value, rtol=1e-9)


def test_stacks_name_what_does_not_fit() -> None:
    encoder, decoder = stacks(False)
    xs, memory = array(B, T, E), array(B, S, E)
    with pytest.raises(ShapeError, match="TransformerEncoder: expected at least one layer, got none"):
        nn.TransformerEncoder([])
    with pytest.raises(ShapeError, match="TransformerDecoder: expected layers of one size, got 4, 6"):
        nn.TransformerDecoder([nn.TransformerDecoderLayer(4, 2), nn.TransformerDecoderLayer(6, 2)])
    with pytest.raises(
        ShapeError, match=r"TransformerEncoder: expected xs of shape \(T, 6\) .* for embed_dim, got \(3, 4, 5\)"
    ):
        encoder(xs[..., 1:])
    with pytest.raises(ShapeError, match=r"TransformerDecoderLayer: expected memory of shape \(T, 6\)"):
        decoder(xs, memory[..., 1:])
    with pytest.raises(ShapeError, match="TransformerDecoder: expected 3 caches, one a layer, got 2; make them by its"):
        decoder(xs, memory, cache=decoder.cache()[1:])


# Positions


@pytest.mark.parametrize("size", [6, 5, 1])
def test_sinusoidal_positions_are_their_equation(size: int) -> None:
    y = nn.SinusoidalPositions(size)(np.zeros((2, 9, size))).value
    for t in range(9):
        for i in range(size):
            wave = np.cos if i % 2 else np.sin
            np.testing.assert_allclose(y[:, t, i], wave(t / 10_000 ** (i // 2 * 2 / size)), rtol=1e-12)


def make_positions() -> list[nn.Module]:
    return [
        nn.SinusoidalPositions(E),
        nn.LearnedPositions(9, E, dtype=np.float64),
        nn.RotaryPositions(E),
        nn.RotaryPositions(E - 2, interleaved=True),
    ]


@pytest.mark.parametrize("layer", make_positions(), ids=repr)
def test_positions_may_start_anywhere(layer: nn.Module) -> None:
    x = array(B, 9, E)
    np.testing.assert_allclose(layer(x[:, 4:], 4).value, layer(x).value[:, 4:], rtol=1e-12)
    assert layer.to(np.float32)(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("layer", make_positions(), ids=repr)
def test_gradients_of_positions_are_central_differences(layer: nn.Module) -> None:
    ag.gradcheck(layer, [array(B, 5, E)], parameters=[p for p in layer.parameters() if isinstance(p, nn.Param)])


def test_learned_positions_are_rows_of_their_weight() -> None:
    layer = nn.LearnedPositions(9, E, rng=LockedRand(1))
    np.testing.assert_array_equal(layer(np.zeros((4, E), np.float32), 3).value, layer.weight.value[3:7])
    assert layer.weight.value.std() < 0.03


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_products_depend_on_distances_alone(interleaved: bool) -> None:
    rotary, q, k = nn.RotaryPositions(E, interleaved=interleaved), array(1, E), array(1, E, seed=2)
    products = [(rotary(q, t + 3).value * rotary(k, t).value).sum() for t in (0, 1, 50)]
    np.testing.assert_allclose(products, products[0], rtol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(rotary(q, 7).value), np.linalg.norm(q), rtol=1e-12)


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_positions_turn_pairs(interleaved: bool) -> None:
    x = array(3, 6)
    y = nn.RotaryPositions(4, interleaved=interleaved)(x).value
    np.testing.assert_array_equal(y[:, 4:], x[:, 4:])
    for i, (a, b) in enumerate([(0, 1), (2, 3)] if interleaved else [(0, 2), (1, 3)]):
        turned = (x[:, a] + 1j * x[:, b]) * np.exp(1j * np.arange(3) / 10_000 ** (2 * i / 4))
        np.testing.assert_allclose(y[:, a] + 1j * y[:, b], turned, rtol=1e-12)


def test_rotary_heads_are_turned_each_for_itself() -> None:
    x, rotary = array(B, T, 3 * E), nn.RotaryPositions(E)
    parts = [rotary(part, 2).value for part in np.split(x, 3, axis=-1)]
    np.testing.assert_allclose(rotary(x, 2, heads=3).value, np.concatenate(parts, axis=-1), rtol=1e-13)


def test_positions_name_what_does_not_fit() -> None:
    with pytest.raises(
        ShapeError, match=r"LearnedPositions: expected positions up to 9, num_positions, got 7 to 11; cut"
    ):
        nn.LearnedPositions(9, E)(np.zeros((4, E), np.float32), 7)
    with pytest.raises(ShapeError, match=r"SinusoidalPositions: expected x of shape \(..., T, 6\), got \(6,\)"):
        nn.SinusoidalPositions(E)(np.zeros(E))
    with pytest.raises(ShapeError, match="RotaryPositions: expected an even number of features, got 5"):
        nn.RotaryPositions(5)
    with pytest.raises(ShapeError, match=r"RotaryPositions: .* with F at least 6, num_features, got \(4, 10\)"):
        nn.RotaryPositions(E)(np.zeros((4, 10)), heads=2)
    with pytest.raises(ShapeError, match="SinusoidalPositions: expected at least 1 feature, got 0"):
        nn.SinusoidalPositions(0)
    with pytest.raises(ShapeError, match="LearnedPositions: expected sizes of at least 1, got 0 and 3"):
        nn.LearnedPositions(0, 3)
