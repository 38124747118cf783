"""The sentence-state LSTM, beside its equations word by word."""

from __future__ import annotations

import numpy as np
import pytest

from layer_table import batch
from spago import ag, nn
from spago.mat import Array

T, D, H = 4, 3, 2


def a_layer(updates: int) -> nn.SentenceStateLSTM:
    rng = np.random.default_rng(1)
    layer = nn.SentenceStateLSTM(D, H, updates=updates, dtype=np.float64)
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    return layer


def sigmoid(x: Array) -> Array:
    y: Array = 1 / (1 + np.exp(-x))
    return y


def word_by_word(layer: nn.SentenceStateLSTM, xs: Array) -> tuple[Array, Array, Array]:
    """The equations of the class, a word and a gate at a time: h of the words, g and c of the sentence."""
    w, u, v, b = (
        p.value.reshape(7, H, *p.shape[1:])
        for p in (layer.weight_context, layer.weight_input, layer.weight_sentence, layer.bias)
    )
    a, e, b_g = (
        p.value.reshape(3, H, *p.shape[1:])
        for p in (layer.sentence_weight_sentence, layer.sentence_weight_words, layer.sentence_bias)
    )
    start, end, initial = layer.start.value, layer.end.value, layer.initial.value
    h, c, g, c_g = [initial] * len(xs), [initial] * len(xs), initial, initial
    for _ in range(layer.updates):
        h_new, c_new = [], []
        for t, x in enumerate(xs):
            h_around, c_around = ([start, *s, end][t : t + 3] for s in (h, c))
            i, l, r, f, s, o, z = (w[k] @ np.concatenate(h_around) + u[k] @ x + v[k] @ g + b[k] for k in range(7))
            i, l, r, f, s, o = (sigmoid(gate) for gate in (i, l, r, f, s, o))
            c_new.append(l * c_around[0] + f * c_around[1] + r * c_around[2] + s * g + i * np.tanh(z))
            h_new.append(o * np.tanh(c_new[-1]))
        f_g = sigmoid(a[0] @ g + e[0] @ np.mean(h, axis=0) + b_g[0])
        o_g = sigmoid(a[2] @ g + e[2] @ np.mean(h, axis=0) + b_g[2])
        c_g = f_g * c_g + sum(sigmoid(a[1] @ g + e[1] @ h[t] + b_g[1]) * c[t] for t in range(len(xs)))
        g = o_g * np.tanh(c_g)
        h, c = h_new, c_new
    return np.array(h), g, c_g


@pytest.mark.parametrize("updates", [1, 2, 5])
@pytest.mark.parametrize("steps", [1, 2, T])
def test_it_is_the_equations(updates: int, steps: int) -> None:
    layer, xs = a_layer(updates), batch(steps, D)
    ys, sentence = layer(xs)
    h, g, c_g = word_by_word(layer, xs)
    np.testing.assert_allclose(ys.value, h, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(sentence.g.value, g, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(sentence.c.value, c_g, rtol=1e-11, atol=1e-13)


def test_the_candidate_reads_the_sentence_through_its_own_weights() -> None:
    layer = a_layer(2)
    ag.sum(layer(batch(T, D))[0]).backward()
    assert layer.weight_sentence.grad is not None
    assert layer.weight_sentence.grad[-H:].any()


def test_it_shows_its_sizes() -> None:
    assert repr(nn.SentenceStateLSTM(D, H, updates=3)).startswith("SentenceStateLSTM(3, 2, updates=3):")
