"""Layers beside PyTorch's, after loading its parameters: values and gradients in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spago import ag, nn  # noqa: E402

B, T, S, E, HEADS, F = 3, 5, 4, 8, 2, 12
LENGTHS = [5, 2, 4]

Pair = tuple[nn.Module, Any]


def randomized(module: Any) -> Any:
    """A module of PyTorch in float64 with random parameters and buffers, biases and all."""
    torch.manual_seed(3)
    module = module.double()
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.uniform_(0.2, 0.8) if tensor.ndim == 1 else tensor.normal_(0, 0.4)
    return module


def loaded(ours: nn.Module, theirs: Any) -> Pair:
    theirs = randomized(theirs)
    nn.from_torch(ours, theirs.state_dict())
    return ours, theirs


def check(pair: Pair, inputs: list[Any], call: Callable[..., Any] | None = None, **settings: Any) -> None:
    """Compare values, and gradients of inputs and parameters, for random output gradients.

    Args:
        pair: Ours and theirs.
        inputs: Arrays.
        call: How to call theirs, where it is not as ours.
        settings: Of ours.
    """
    ours, theirs = pair
    nodes = [ag.var(x, requires_grad=True) for x in inputs]
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    y, expected = ours(*nodes, **settings), (call or theirs)(*tensors)
    np.testing.assert_allclose(y.value, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    g = np.random.default_rng(5).normal(size=y.shape)
    y.backward(g)
    expected.backward(torch.tensor(g))
    for node, tensor in zip(nodes, tensors, strict=True):
        np.testing.assert_allclose(node.grad, tensor.grad.numpy(), rtol=1e-10, atol=1e-10)
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.grad, gradients[name].grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=name)


def array(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias: bool) -> None:
    check(loaded(nn.Linear(E, F, bias=bias, dtype=np.float64), torch.nn.Linear(E, F, bias=bias)), [array(B, T, E)])


@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm(bias: bool) -> None:
    pair = loaded(nn.LayerNorm(E, bias=bias, dtype=np.float64), torch.nn.LayerNorm(E, bias=bias))
    check(pair, [array(B, T, E)])


@pytest.mark.parametrize("eps", [None, 1e-3])
def test_rms_norm(eps: float | None) -> None:
    check(loaded(nn.RMSNorm(E, eps=eps, dtype=np.float64), torch.nn.RMSNorm(E, eps=eps)), [array(B, T, E)])


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(training: bool) -> None:
    ours, theirs = loaded(nn.BatchNorm(E, dtype=np.float64), torch.nn.BatchNorm1d(E))
    ours.train(training)
    theirs.train(training)
    check((ours, theirs), [array(7, E)])
    for name, buffer in ours.named_buffers():
        np.testing.assert_allclose(buffer.value, dict(theirs.named_buffers())[name].numpy(), rtol=1e-12)


def test_batch_norm_over_sequences_has_features_first_in_pytorch() -> None:
    ours, theirs = loaded(nn.BatchNorm(E, dtype=np.float64), torch.nn.BatchNorm1d(E))
    check((ours, theirs), [array(B, T, E)], lambda x: theirs(x.mT).mT)


def test_embedding() -> None:
    ours, theirs = loaded(nn.Embedding(9, E, padding_idx=0, dtype=np.float64), torch.nn.Embedding(9, E, padding_idx=0))
    indices = np.array([[1, 0, 3], [3, 8, 0]])
    check((ours, theirs), [], lambda: theirs(torch.tensor(indices)), indices=indices)


def test_parameters_in_bfloat16_are_read() -> None:
    theirs = torch.nn.Linear(E, F).bfloat16()
    ours = nn.Linear(E, F)
    nn.from_torch(ours, theirs.state_dict())
    np.testing.assert_array_equal(ours.weight.value, theirs.weight.detach().float().numpy())


def test_a_whole_model_is_loaded_by_name() -> None:
    ours = nn.Sequential(nn.Linear(E, F, dtype=np.float64), ag.relu, nn.BatchNorm(F, dtype=np.float64))
    theirs = torch.nn.Sequential(torch.nn.Linear(E, F), torch.nn.ReLU(), torch.nn.BatchNorm1d(F))
    check(loaded(ours, theirs), [array(6, E)])


# Attention


def attention(bias: bool = True) -> Pair:
    theirs = torch.nn.MultiheadAttention(E, HEADS, bias=bias, batch_first=True)
    return loaded(nn.MultiheadAttention(E, HEADS, bias=bias, dtype=np.float64), theirs)


def padding(lengths: list[int], steps: int) -> Any:
    """PyTorch's mask: True where there is padding."""
    return torch.arange(steps) >= torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(B, T, E), (T, E)])
def test_self_attention(bias: bool, shape: tuple[int, ...]) -> None:
    ours, theirs = attention(bias)
    check((ours, theirs), [array(*shape)], lambda x: theirs(x, x, x, need_weights=False)[0])


def test_self_attention_of_a_padded_batch() -> None:
    ours, theirs = attention()
    mask = padding(LENGTHS, T)
    check((ours, theirs), [array(B, T, E)], lambda x: theirs(x, x, x, key_padding_mask=mask)[0], lengths=LENGTHS)


def test_causal_self_attention() -> None:
    ours, theirs = attention()
    later = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
    check((ours, theirs), [array(B, T, E)], lambda x: theirs(x, x, x, attn_mask=later)[0], causal=True)


def test_an_additive_mask() -> None:
    ours, theirs = attention()
    mask = array(T, T)
    check((ours, theirs), [array(B, T, E)], lambda x: theirs(x, x, x, attn_mask=torch.tensor(mask))[0], mask=mask)


def test_cross_attention() -> None:
    pair = attention()
    check(pair, [array(B, T, E), array(B, S, E, seed=2)], lambda x, z: pair[1](x, z, z)[0])
    pair = attention()
    check(pair, [array(B, T, E), array(B, S, E, seed=2), array(B, S, E, seed=3)], lambda q, k, v: pair[1](q, k, v)[0])


@pytest.mark.parametrize("bias", [True, False])
def test_attention_to_keys_and_values_of_other_sizes(bias: bool) -> None:
    theirs = torch.nn.MultiheadAttention(E, HEADS, bias=bias, kdim=3, vdim=6, batch_first=True)
    pair = loaded(nn.MultiheadAttention(E, HEADS, bias=bias, kdim=3, vdim=6, dtype=np.float64), theirs)
    check(pair, [array(B, T, E), array(B, S, 3, seed=2), array(B, S, 6, seed=3)], lambda q, k, v: pair[1](q, k, v)[0])


def test_attention_weights() -> None:
    ours, theirs = attention()
    x = array(B, T, E)
    _, weights = ours(x, return_weights=True)
    _, expected = theirs(*(torch.tensor(x),) * 3, average_attn_weights=False)
    np.testing.assert_allclose(weights.value, expected.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("shape", [(T, E), (B, T, E), (B, HEADS, T, E), (2, B, HEADS, T, E)])
def test_scaled_dot_product_attention(causal: bool, shape: tuple[int, ...]) -> None:
    arrays = [array(*shape, seed=seed) for seed in range(3)]
    nodes = [ag.var(x, requires_grad=True) for x in arrays]
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    y = nn.scaled_dot_product_attention(*nodes, causal=causal)
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal)
    np.testing.assert_allclose(y.value, expected.detach().numpy(), rtol=1e-10)
    g = array(*shape, seed=4)
    y.backward(g)
    expected.backward(torch.tensor(g))
    for node, tensor in zip(nodes, tensors, strict=True):
        np.testing.assert_allclose(node.grad, tensor.grad.numpy(), rtol=1e-10, atol=1e-12)


# Transformer layers

ACTIVATIONS = {"relu": ag.relu, "gelu": ag.gelu}


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_encoder_layer(norm_first: bool, activation: str, bias: bool) -> None:
    settings: Any = {"dropout": 0.0, "norm_first": norm_first, "bias": bias}
    theirs = torch.nn.TransformerEncoderLayer(E, HEADS, F, activation=activation, batch_first=True, **settings)
    ours = nn.TransformerEncoderLayer(E, HEADS, F, activation=ACTIVATIONS[activation], dtype=np.float64, **settings)
    pair = loaded(ours, theirs)
    check(pair, [array(B, T, E)])
    theirs.zero_grad()
    ours.zero_grad()
    x, mask = array(B, T, E), padding(LENGTHS, T)
    y = ours(x, lengths=LENGTHS).value
    expected = theirs(torch.tensor(x, requires_grad=True), src_key_padding_mask=mask).detach().numpy()
    for i, length in enumerate(LENGTHS):
        np.testing.assert_allclose(y[i, :length], expected[i, :length], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_decoder_layer(norm_first: bool, activation: str) -> None:
    settings: Any = {"dropout": 0.0, "norm_first": norm_first}
    theirs = torch.nn.TransformerDecoderLayer(E, HEADS, F, activation=activation, batch_first=True, **settings)
    ours = nn.TransformerDecoderLayer(E, HEADS, F, activation=ACTIVATIONS[activation], dtype=np.float64, **settings)
    later = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
    lengths = [4, 1, 3]
    check(
        loaded(ours, theirs),
        [array(B, T, E), array(B, S, E, seed=2)],
        lambda x, z: theirs(x, z, tgt_mask=later, memory_key_padding_mask=padding(lengths, S)),
        causal=True,
        memory_lengths=lengths,
    )


# Stacks


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("final_norm", [True, False])
def test_encoder(norm_first: bool, final_norm: bool) -> None:
    settings: Any = {"dropout": 0.0, "norm_first": norm_first}
    layer = torch.nn.TransformerEncoderLayer(E, HEADS, F, activation="gelu", batch_first=True, **settings)
    norm = torch.nn.LayerNorm(E) if final_norm else None
    theirs = torch.nn.TransformerEncoder(layer, 3, norm=norm, enable_nested_tensor=False)
    layers = [
        nn.TransformerEncoderLayer(E, HEADS, F, activation=ag.gelu, dtype=np.float64, **settings) for _ in range(3)
    ]
    ours = nn.TransformerEncoder(layers, norm=nn.LayerNorm(E, dtype=np.float64) if final_norm else None)
    later = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
    check(loaded(ours, theirs), [array(B, T, E)], lambda x: theirs(x, mask=later), causal=True)


@pytest.mark.parametrize("norm_first", [True, False])
def test_decoder(norm_first: bool) -> None:
    settings: Any = {"dropout": 0.0, "norm_first": norm_first}
    layer = torch.nn.TransformerDecoderLayer(E, HEADS, F, activation="gelu", batch_first=True, **settings)
    theirs = torch.nn.TransformerDecoder(layer, 2, norm=torch.nn.LayerNorm(E))
    layers = [
        nn.TransformerDecoderLayer(E, HEADS, F, activation=ag.gelu, dtype=np.float64, **settings) for _ in range(2)
    ]
    ours = nn.TransformerDecoder(layers, norm=nn.LayerNorm(E, dtype=np.float64))
    later = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
    lengths = [4, 1, 3]
    check(
        loaded(ours, theirs),
        [array(B, T, E), array(B, S, E, seed=2)],
        lambda x, z: theirs(x, z, tgt_mask=later, memory_key_padding_mask=padding(lengths, S)),
        causal=True,
        memory_lengths=lengths,
    )


def test_a_whole_transformer_is_loaded_by_name() -> None:
    theirs = torch.nn.Transformer(E, HEADS, 2, 2, F, dropout=0.0, batch_first=True)

    class Transformer(nn.Module):
        def __init__(self) -> None:
            settings: Any = {"dropout": 0.0, "dtype": np.float64}
            encoder = [nn.TransformerEncoderLayer(E, HEADS, F, **settings) for _ in range(2)]
            decoder = [nn.TransformerDecoderLayer(E, HEADS, F, **settings) for _ in range(2)]
            self.encoder = nn.TransformerEncoder(encoder, norm=nn.LayerNorm(E, dtype=np.float64))
            self.decoder = nn.TransformerDecoder(decoder, norm=nn.LayerNorm(E, dtype=np.float64))

        def forward(self, source: ag.Node, target: ag.Node) -> Any:
            return self.decoder(target, self.encoder(source))

    check(loaded(Transformer(), theirs), [array(B, S, E), array(B, T, E, seed=2)])
