"""A layer of a Transformer's encoder, and the sentence encoder of the examples, beside PyTorch's layers.

PyTorch's layer, in inference, is one fused function. Both sides start from the same random weights.
"""

from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from examples.sentence_embeddings.model import SentenceEncoder
from spago import ag, nn
from spago.mat import Array
from spago.mat.rand import LockedRand

E, HEADS, F = 384, 12, 1536
LAYER_CASES = [dict(B=B, T=T) for B, T in ((1, 16), (1, 128), (8, 128), (32, 64))]
ENCODER_CASES = [dict(B=B, T=T) for B, T in ((1, 128), (32, 64))]
GOALS = {"PyTorch": 0.9}
CONFIG: dict[str, Any] = {
    "vocab_size": 30_522,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_size": E,
    "num_hidden_layers": 6,
    "num_attention_heads": HEADS,
    "intermediate_size": F,
    "layer_norm_eps": 1e-12,
}
"""That of all-MiniLM-L6-v2."""


def our_layer() -> nn.TransformerEncoderLayer:
    """Return a layer with the weights that both sides have."""
    return nn.TransformerEncoderLayer(E, HEADS, F, dropout=0.0, activation=ag.gelu, eps=1e-12, rng=LockedRand(1))


def their_layer(ours: nn.TransformerEncoderLayer) -> Any:
    """Return PyTorch's layer with the same weights."""
    import torch

    layer: Any = torch.nn.TransformerEncoderLayer(
        E, HEADS, F, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    )
    layer.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})
    return layer


def layer_inputs(T: int, B: int) -> Inputs:
    """Return sequences and the gradient that arrives."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((B, T, E), np.float32), rng.standard_normal((B, T, E), np.float32)


@workload("Transformer encoder layer, {B} × {T} steps, E 384, forward", cases=LAYER_CASES, goals=GOALS)
def forward(T: int, B: int) -> Inputs:
    """Inference."""
    return layer_inputs(T, B)


@workload(
    "Transformer encoder layer, {B} × {T} steps, E 384, forward and backward",
    cases=LAYER_CASES,
    goals=GOALS,
    tolerance=1e-4,
)
def training(T: int, B: int) -> Inputs:
    """The gradients of input and parameters."""
    return layer_inputs(T, B)


@forward.side("spago")
def _(xs: Array, g: Array) -> Run:
    del g
    layer = our_layer().eval()

    @ag.no_grad()
    def run() -> Results:
        return (layer(xs).value,)

    return run


@forward.side("PyTorch")
def _(xs: Array, g: Array) -> Run:
    import torch

    del g
    layer, x = their_layer(our_layer()).eval(), torch.tensor(xs)

    @torch.inference_mode()
    def run() -> Results:
        return (layer(x),)

    return run


@training.side("spago")
def _(xs: Array, g: Array) -> Run:
    layer, x = our_layer(), ag.var(xs, requires_grad=True)

    def run() -> Results:
        layer.zero_grad()
        x.zero_grad()
        ys = layer(x)
        ys.backward(g)
        return ys.value, x.grad, *(parameter.grad for parameter in layer.parameters())

    return run


@training.side("PyTorch")
def _(xs: Array, g: Array) -> Run:
    import torch

    ours = our_layer()
    layer = their_layer(ours)
    x, arriving = torch.tensor(xs, requires_grad=True), torch.tensor(g)
    parameters = dict(layer.named_parameters())
    in_our_order = [parameters[name] for name, _ in ours.named_parameters()]

    def run() -> Results:
        layer.zero_grad()
        x.grad = None
        ys = layer(x)
        ys.backward(arriving)
        return ys, x.grad, *(parameter.grad for parameter in in_our_order)

    return run


@workload("sentence encoder MiniLM, {B} × {T} tokens", cases=ENCODER_CASES, goals=GOALS)
def encoder(T: int, B: int) -> Inputs:
    """Return the model with random weights, tokens, and as many real ones in each sentence."""
    model = SentenceEncoder(CONFIG)
    rng = np.random.default_rng(1)
    for name, parameter in model.named_parameters():
        if "bias" in name or "norm" in name:
            continue
        parameter.value[...] = rng.normal(0, 0.05, parameter.value.shape)
    return model.eval(), rng.integers(0, CONFIG["vocab_size"], (B, T)), np.full(B, T)


@encoder.side("spago")
def _(model: SentenceEncoder, tokens: Any, lengths: Any) -> Run:
    @ag.no_grad()
    def run() -> Results:
        return (model(tokens, lengths).value,)

    return run


@encoder.side("PyTorch")
def _(model: SentenceEncoder, tokens: Any, lengths: Any) -> Run:
    import torch

    def tensor(array: Array) -> Any:
        return torch.tensor(array)

    words, positions, types = (tensor(x.weight.value) for x in (model.words, model.positions, model.types))
    norm = torch.nn.LayerNorm(E, eps=CONFIG["layer_norm_eps"])
    layers = torch.nn.ModuleList(their_layer(layer) for layer in model.encoder.layers).eval()
    ids, share = tensor(tokens), tensor(1 / lengths.astype(np.float32))[:, None]
    padding = torch.arange(tokens.shape[1]) >= tensor(lengths)[:, None]

    @torch.inference_mode()
    def run() -> Results:
        x = norm(torch.nn.functional.embedding(ids, words) + positions[: ids.shape[1]] + types[0])
        for layer in layers:
            x = layer(x, src_key_padding_mask=padding)
        real = ~padding[..., None]
        return (torch.nn.functional.normalize((x * real).sum(dim=1) * share),)

    return run
