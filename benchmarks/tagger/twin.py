"""The tagger of examples/tagger once more, in PyTorch: the same network, and the same arithmetic in its updates."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from examples.tagger.data import UNKNOWN, Batch, Indices, Vocabulary
from examples.tagger.settings import Settings
from spago.mat import Array

Weights = Mapping[str, Array]
"""Arrays under the names that the parameters of our model have."""


class Twin(nn.Module):
    """The tagging network; the vectors of the words come from outside."""

    def __init__(self, vocabulary: Vocabulary, settings: Settings) -> None:
        super().__init__()
        features = settings.word_size + 2 * settings.character_hidden_size
        self.character_embedding = nn.Embedding(1 + len(vocabulary.characters), settings.character_size)
        self.character_lstm = BiLSTM(settings.character_size, settings.character_hidden_size)
        self.word_lstm = BiLSTM(features, settings.word_hidden_size)
        self.linear = nn.Linear(2 * settings.word_hidden_size, len(vocabulary.tags))
        self.crf = CRF(len(vocabulary.tags))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, batch: Batch, words: Tensor) -> Tensor:
        """Return the score of each tag, shape (B, T, K), given the vectors of the distinct words, shape (W, D)."""
        characters = self.character_embedding(torch.from_numpy(batch.characters))
        _, spelling = self.character_lstm(characters, batch.character_lengths)
        distinct = torch.cat([words, spelling], dim=-1)
        x = self.dropout(distinct[torch.from_numpy(batch.word_index)])
        y, _ = self.word_lstm(x, batch.lengths)
        return self.linear(self.dropout(y))

    def load_weights(self, weights: Weights) -> None:
        """Take over weights by name; each parameter must have its array, and each array its parameter."""
        given = {_torch_name(name): torch.tensor(value) for name, value in weights.items()}
        zeros = {name: value for name, value in self.state_dict().items() if "bias_hh" in name}
        self.load_state_dict(given | zeros)


def _torch_name(name: str) -> str:
    """Return PyTorch's name of a parameter: `x.backward_layer.bias` is `x.bias_ih_l0_reverse`, and so on."""
    for direction, suffix in (("forward_layer", "_l0"), ("backward_layer", "_l0_reverse")):
        layer, found, parameter = name.partition(f".{direction}.")
        if found:
            return f"{layer}.{'bias_ih' if parameter == 'bias' else parameter}{suffix}"
    return name


class BiLSTM(nn.LSTM):
    """A bidirectional LSTM with one bias, as ours has it: PyTorch's second is 0 and stays 0."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, batch_first=True, bidirectional=True)
        for bias in (self.bias_hh_l0, self.bias_hh_l0_reverse):
            nn.init.zeros_(bias).requires_grad_(False)

    def forward(self, x: Tensor, lengths: Indices) -> tuple[Tensor, Tensor]:
        """Return the outputs, shape (B, T, 2H), and the last states of both directions side by side, shape (B, 2H)."""
        packed = pack_padded_sequence(x, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False)
        y, (h, _) = super().forward(packed)
        return pad_packed_sequence(y, batch_first=True)[0], torch.cat([h[0], h[1]], dim=-1)


class CRF(nn.Module):
    """A linear-chain conditional random field; transitions[i, j] is the score of tag j after tag i."""

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.start_transitions = nn.Parameter(torch.zeros(num_tags))
        self.end_transitions = nn.Parameter(torch.zeros(num_tags))

    def loss(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the negative log-likelihood of the tags, summed over the words, the mean over the sentences."""
        return (self._log_partition(scores, lengths) - self._score(scores, tags, lengths)).mean()

    def _score(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        real = _mask(scores, lengths)
        emitted = (scores.gather(2, tags[..., None])[..., 0] * real).sum(1)
        moved = (self.transitions[tags[:, :-1], tags[:, 1:]] * real[:, 1:]).sum(1)
        last = tags.gather(1, lengths[:, None] - 1)[:, 0]
        return self.start_transitions[tags[:, 0]] + emitted + moved + self.end_transitions[last]

    def _log_partition(self, scores: Tensor, lengths: Tensor) -> Tensor:
        real = _mask(scores, lengths)
        alpha = self.start_transitions + scores[:, 0]
        for t in range(1, scores.shape[1]):
            after = torch.logsumexp(alpha[:, :, None] + self.transitions, dim=1) + scores[:, t]
            alpha = torch.where(real[:, t, None], after, alpha)
        return torch.logsumexp(alpha + self.end_transitions, dim=1)

    def decode(self, scores: Tensor, lengths: Tensor) -> list[list[int]]:
        """Return the best tags of each sentence, by Viterbi's algorithm."""
        real = _mask(scores, lengths)
        stay = torch.arange(scores.shape[2])
        delta = self.start_transitions + scores[:, 0]
        origins = []
        for t in range(1, scores.shape[1]):
            best, origin = (delta[:, :, None] + self.transitions).max(dim=1)
            delta = torch.where(real[:, t, None], best + scores[:, t], delta)
            origins.append(torch.where(real[:, t, None], origin, stay))
        path = [(delta + self.end_transitions).argmax(dim=1)]
        for origin in reversed(origins):
            path.append(origin.gather(1, path[-1][:, None])[:, 0])
        tags = torch.stack(path[::-1], dim=1)
        return [row[:n] for row, n in zip(tags.tolist(), lengths.tolist(), strict=True)]


def _mask(scores: Tensor, lengths: Tensor) -> Tensor:
    """Return where the scores are those of words, shape (B, T)."""
    return torch.arange(scores.shape[1]) < lengths[:, None]


class WordVectors:
    """The vectors of the words. A step touches the rows of one batch and no others, as in our store on disk."""

    def __init__(self, vectors: Tensor, vocabulary: Vocabulary) -> None:
        self._vectors = vectors
        self._m, self._v = torch.zeros_like(vectors), torch.zeros_like(vectors)
        self._places = {key: i for i, key in enumerate([UNKNOWN, *vocabulary.words])}

    def rows(self, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the numbers of the distinct rows that the keys name, and which of them each key names."""
        return torch.unique(torch.tensor([self._places[key] for key in keys]), return_inverse=True)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return a copy of the rows."""
        return self._vectors[rows]

    def step(self, rows: Tensor, g: Tensor, t: int, learning_rate: float) -> None:
        """Change the rows by Adam's rule, where t counts the steps of the training, not those of a row."""
        m = 0.9 * self._m[rows] + 0.1 * g
        v = 0.999 * self._v[rows] + 0.001 * g * g
        self._m[rows], self._v[rows] = m, v
        self._vectors[rows] -= learning_rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
