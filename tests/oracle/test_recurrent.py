"""Recurrent layers beside PyTorch's, after loading its parameters: values, states and gradients in float64."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from layer_table import parts  # noqa: E402
from spago import ag, nn  # noqa: E402

B, T, D, H = 4, 7, 3, 5
LENGTHS = [3, 7, 1, 4]

LAYERS: dict[str, tuple[Any, Any]] = {
    "LSTM": (nn.LSTM, torch.nn.LSTM),
    "GRU": (lambda *sizes, **s: nn.GRU(*sizes, reset_after=True, **s), torch.nn.GRU),
    "SRN": (nn.SRN, torch.nn.RNN),
}


def pair(name: str, num_layers: int, bidirectional: bool, *, bias: bool = True) -> tuple[Any, Any]:
    """The same layers here and there."""
    make, torch_make = LAYERS[name]
    theirs = torch_make(D, H, num_layers, bias=bias, batch_first=True, bidirectional=bidirectional, dtype=torch.float64)
    layers: list[Any] = []
    for k in range(num_layers):
        size = D if k == 0 else H * (1 + bidirectional)
        cells = [make(size, H, dtype=np.float64) for _ in range(1 + bidirectional)]
        layers.append(nn.BiRNN(*cells) if bidirectional else cells[0])
    ours = layers[0] if num_layers == 1 else nn.Stacked(layers)
    nn.from_torch(ours, theirs.state_dict())
    return ours, theirs


def states_of(ours: Any, nodes: list[list[ag.Node]]) -> Any:
    """Our nodes, one a layer and direction, in our form."""
    h, c = nodes[0], nodes[1] if len(nodes) == 2 else None
    if isinstance(ours, nn.Stacked):
        n = 2 if isinstance(ours.layers[0], nn.BiRNN) else 1
        return [
            states_of(layer, [of_kind[k * n : k * n + n] for of_kind in nodes]) for k, layer in enumerate(ours.layers)
        ]
    if isinstance(ours, nn.BiRNN):
        layers = (ours.forward_layer, ours.backward_layer)
        return nn.BiState(*(states_of(layer, [k[i : i + 1] for k in nodes]) for i, layer in enumerate(layers)))
    return ours.state_type(h[0], *([] if c is None else [c[0]]))


def leaf_parts(state: Any) -> Iterator[Any]:
    """Our nodes in the order of PyTorch's: all hidden states, then all cell states."""
    nodes = list(parts(state))
    kinds = 2 if isinstance(next(_tuples(state)), nn.LSTMState) else 1
    for kind in range(kinds):
        yield from nodes[kind::kinds]


def _tuples(state: Any) -> Iterator[Any]:
    if isinstance(state, nn.LSTMState | nn.HiddenState):
        yield state
    else:
        for part in state:
            yield from _tuples(part)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("with_state", [False, True])
def test_layers_are_those_of_pytorch(
    name: str, num_layers: int, bidirectional: bool, lengths: list[int] | None, with_state: bool
) -> None:
    rng = np.random.default_rng(1)
    ours, theirs = pair(name, num_layers, bidirectional)
    xs = rng.normal(size=(B, T, D))
    kinds = 2 if name == "LSTM" else 1
    states = rng.normal(size=(kinds, num_layers * (1 + bidirectional), B, H))

    their_xs = torch.tensor(xs, requires_grad=True)
    their_states = [torch.tensor(s, requires_grad=True) for s in states]
    before = None if not with_state else tuple(their_states) if kinds == 2 else their_states[0]
    given: Any = their_xs
    if lengths is not None:
        given = torch.nn.utils.rnn.pack_padded_sequence(their_xs, lengths, batch_first=True, enforce_sorted=False)
    ys, last = theirs(given, before)
    if lengths is not None:
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, batch_first=True, total_length=T)
    last = list(last) if kinds == 2 else [last]

    our_xs = ag.var(xs, requires_grad=True)
    nodes: list[list[ag.Node]] = [[ag.var(s, requires_grad=True) for s in of_kind] for of_kind in states]
    state = states_of(ours, nodes) if with_state else None
    our_ys, our_last = ours(our_xs, state, lengths)

    weights = [rng.normal(size=tuple(y.shape)) for y in (ys, *last)]
    sum((y * torch.tensor(w)).sum() for y, w in zip((ys, *last), weights, strict=True)).backward()
    our_parts = list(leaf_parts(our_last))
    flat = [w for of_kind in weights[1:] for w in of_kind]
    for node, weight in zip((our_ys, *our_parts), (weights[0], *flat), strict=True):
        node.acc_grad(weight)
    ag.backward_many([our_ys, *our_parts])

    def close(actual: Any, expected: Any) -> None:
        np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=1e-10, atol=1e-12)

    close(our_ys.value, ys)
    for node, part in zip(our_parts, (p for of_kind in last for p in of_kind), strict=True):
        close(node.value, part)
    close(our_xs.grad, their_xs.grad)
    if with_state:
        for of_kind, tensor in zip(nodes, their_states, strict=True):
            close(np.stack([n.grad for n in of_kind]), tensor.grad)
    # The gradients of parameters are translated as the parameters are; a bias that is a sum gets that of either.
    gradients = {key: p.grad.numpy().copy() for key, p in theirs.named_parameters()}
    for key in [key for key in gradients if key.startswith("bias_hh")]:
        gradients[key][: 2 * H if name == "GRU" else None] = 0
    twin, _ = pair(name, num_layers, bidirectional)
    nn.from_torch(twin, gradients)
    for parameter, gradient in zip(ours.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad, gradient.value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_without_bias_load_too(name: str) -> None:
    ours, theirs = pair(name, 2, True, bias=False)
    xs = np.random.default_rng(1).normal(size=(B, T, D))
    np.testing.assert_allclose(ours(xs)[0].value, theirs(torch.tensor(xs))[0].detach().numpy(), rtol=1e-10, atol=1e-12)


def test_parts_of_a_model_load_by_their_names() -> None:
    theirs = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(10, D),
            "encoder": torch.nn.LSTM(D, H, 2, batch_first=True, bidirectional=True),
            "out": torch.nn.Linear(2 * H, 3),
        }
    )

    class Ours(nn.Module):
        def __init__(self) -> None:
            self.embedding = nn.Embedding(10, D)
            self.encoder = nn.BiBiLSTM(D, H)
            self.out = nn.Linear(2 * H, 3)

    ours = Ours()
    nn.from_torch(ours, theirs.state_dict())
    ids = np.random.default_rng(2).integers(10, size=(B, T))
    expected = theirs["out"](theirs["encoder"](theirs["embedding"](torch.tensor(ids)))[0])
    ys, _ = ours.encoder(ours.embedding(ids))
    np.testing.assert_allclose(ours.out(ys).value, expected.detach().numpy(), atol=1e-6)
