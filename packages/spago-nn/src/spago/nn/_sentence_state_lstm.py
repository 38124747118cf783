"""The sentence-state LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand
from spago.mat.rand import LockedRand
from spago.nn._initial_weights import stacked_xavier_uniform
from spago.nn._module import Module
from spago.nn._param import Param
from spago.nn._recurrent import as_sequences, check_batch_of_lengths, check_sizes


class SentenceState(NamedTuple):
    """What a sentence-state LSTM knows about the sentence as a whole.

    Attributes:
        g: The hidden state of the sentence, shape (H,) or (B, H).
        c: Its cell state, of the same shape.
    """

    g: Node
    c: Node


class SentenceStateLSTM(Module):
    """The sentence-state LSTM: all words exchange what they know with their neighbours and with the sentence.

    One update, from the states before it, of all words t at once:

        ξ = [h⁻_(t-1), h⁻_t, h⁻_(t+1)]
        i, l, r, f, s, o = σ(W·ξ + U·x_t + V·g⁻ + b), each with its own weights
        u = tanh(W_u·ξ + U_u·x_t + V_u·g⁻ + b_u)
        c_t = l ⊙ c⁻_(t-1) + f ⊙ c⁻_t + r ⊙ c⁻_(t+1) + s ⊙ g⁻ + i ⊙ u
        h_t = o ⊙ tanh(c_t)

    and of the sentence:

        h̄ = mean of all h⁻_t
        f_g, o_g = σ(A·g⁻ + E·h̄ + b'), each with its own weights
        f_t = σ(A_t·g⁻ + E_t·h⁻_t + b'_t)
        c_g = f_g ⊙ c⁻_g + Σ_t f_t ⊙ c⁻_t
        g = o_g ⊙ tanh(c_g)

    Before the first word and after the last one stand learned states; all states begin with a learned one, too. As in
    the reference, and unlike in the paper, gates are not normalized to sum to 1, and words read g⁻, not c⁻_g. The
    reference's u reads g⁻ through U_u, and its c_g is built on g⁻ in place of c⁻_g: mistakes that are not made here.

    Shapes:
        xs: (T, D) or (B, T, D)
        ys: (T, H) or (B, T, H), the h of the words
        weight_context: (7H, 3H), the W of i, l, r, f, s, o, u one below the other, Xavier-uniform at first
        weight_input: (7H, D), the U, likewise
        weight_sentence: (7H, H), the V, likewise
        bias: (7H,), 0 at first
        sentence_weight_sentence: (3H, H), the A of f_g, f_t, o_g, Xavier-uniform at first
        sentence_weight_words: (3H, H), the E, likewise
        sentence_bias: (3H,), 0 at first
        start, end, initial: (H,), 0 at first

    Source:
        Y. Zhang, Q. Liu, L. Song (2018), "Sentence-state LSTM for text representation", arXiv:1805.02474, section 3.

    Args:
        input_size: D.
        hidden_size: H.
        updates: How often words and sentence exchange what they know. The reference counts the initial states, too:
            its steps are one more.
        rng: Where the initial weights are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> ys, sentence = nn.SentenceStateLSTM(3, 5, updates=4)(np.ones((2, 7, 3), np.float32), lengths=[7, 4])
        >>> ys.shape, sentence.g.shape
        ((2, 7, 5), (2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        updates: int,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_sizes("SentenceStateLSTM", input_size, hidden_size, updates)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.updates = updates

        def weight(gates: int, size: int, name: str) -> Param:
            return Param(stacked_xavier_uniform(gates, hidden_size, size, rng=rng, dtype=dtype), name=name)

        def vector(gates: int, name: str) -> Param:
            return Param(np.zeros(gates * hidden_size, dtype), name=name)

        self.weight_context = weight(7, 3 * hidden_size, "weight_context")
        self.weight_input = weight(7, input_size, "weight_input")
        self.weight_sentence = weight(7, hidden_size, "weight_sentence")
        self.bias = vector(7, "bias")
        self.sentence_weight_sentence = weight(3, hidden_size, "sentence_weight_sentence")
        self.sentence_weight_words = weight(3, hidden_size, "sentence_weight_words")
        self.sentence_bias = vector(3, "sentence_bias")
        self.start, self.end, self.initial = (vector(1, name) for name in ("start", "end", "initial"))

    def forward(
        self, xs: Operand | Sequence[Operand], lengths: npt.ArrayLike | None = None
    ) -> tuple[Node, SentenceState]:
        """Return the states of the words and of the sentence after all updates.

        What stands in the padding does not matter, whatever it is.

        Args:
            xs: Shape (T, D), or a padded batch (B, T, D); or a list of T nodes (D,).
            lengths: The number of words of each sentence, shape (B,), or a mask of booleans (B, T), True for words;
                all T of them by default.

        Returns:
            The h of the words, shape (T, H) or (B, T, H), 0 where there is padding; and the state of the sentence.

        Raises:
            ShapeError: When sizes do not agree, or a length is below 1 or above T.
        """
        xs = as_sequences(xs, self.input_size, "SentenceStateLSTM")
        words = _Words(xs, None if lengths is None else check_batch_of_lengths(lengths, xs, "SentenceStateLSTM"))
        by_input = ag.linear(words.only(xs), self.weight_input, self.bias)
        h = c = ag.broadcast_to(self.initial, (*xs.shape[:-1], self.hidden_size))
        sentence = SentenceState(*[ag.broadcast_to(self.initial, (*xs.shape[:-2], self.hidden_size))] * 2)
        for _ in range(self.updates):
            (h, c), sentence = (
                self._update_words(words, by_input, h, c, sentence),
                self._update_sentence(words, h, c, sentence),
            )
        return words.only(h), sentence

    def _update_words(
        self, words: _Words, by_input: Node, h: Node, c: Node, sentence: SentenceState
    ) -> tuple[Node, Node]:
        h_left, h_right = words.neighbours(h, self.start, self.end)
        c_left, c_right = words.neighbours(c, self.start, self.end)
        context = ag.concat([h_left, h, h_right])
        by_sentence = ag.linear(sentence.g, self.weight_sentence)[..., None, :]
        a = ag.linear(context, self.weight_context) + by_input + by_sentence
        n = 6 * self.hidden_size
        i, l, r, f, s, o = ag.split(ag.sigmoid(a[..., :n]), 6)
        u = ag.tanh(a[..., n:])
        c = l * c_left + f * c + r * c_right + s * sentence.g[..., None, :] + i * u
        return o * ag.tanh(c), c

    def _update_sentence(self, words: _Words, h: Node, c: Node, sentence: SentenceState) -> SentenceState:
        n = self.hidden_size
        mean = ag.sum(words.only(h), axis=-2) / words.counts
        a = ag.linear(sentence.g, self.sentence_weight_sentence, self.sentence_bias)
        e_f, e_t, e_o = (self.sentence_weight_words[k * n : (k + 1) * n] for k in range(3))
        a_f, a_t, a_o = ag.split(a, 3)
        f_g, o_g = ag.sigmoid(a_f + ag.linear(mean, e_f)), ag.sigmoid(a_o + ag.linear(mean, e_o))
        f_t = ag.sigmoid(a_t[..., None, :] + ag.linear(h, e_t))
        c_g = f_g * sentence.c + ag.sum(words.only(f_t * c), axis=-2)
        return SentenceState(o_g * ag.tanh(c_g), c_g)

    def extra_repr(self) -> str:
        """The sizes and the number of updates."""
        return f"{self.input_size}, {self.hidden_size}, updates={self.updates}"


class _Words:
    """Which places of a padded batch are words, and which of them is the last.

    Attributes:
        counts: The number of words of each sentence, in a shape that divides (..., H).
    """

    def __init__(self, xs: Node, lengths: npt.NDArray[np.int64] | None) -> None:
        steps = xs.shape[-2]
        places = np.arange(steps)[:, None]
        ends = np.array(steps) if lengths is None else lengths[:, None, None]
        self.counts = ends.reshape(-1, 1).astype(xs.dtype) if lengths is not None else float(steps)
        self._is_word = None if lengths is None else places < ends
        self._is_last = places == ends - 1

    def only(self, values: Node) -> Node:
        """Values (..., T, H) of words, 0 where there is padding."""
        return values if self._is_word is None else ag.where(self._is_word, values, 0.0)

    def neighbours(self, values: Node, start: Node, end: Node) -> tuple[Node, Node]:
        """What values (..., T, H) each word's left and right neighbours have."""
        border = ag.broadcast_to(start, (*values.shape[:-2], 1, values.shape[-1]))
        left = ag.concat([border, values[..., :-1, :]], axis=-2)
        right = ag.where(self._is_last, end, ag.roll(values, -1, axis=-2))
        return left, right
