"""The network, and the folder that a trained one is kept in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from examples.tagger.data import UNKNOWN, Batch, Indices, Vocabulary, make_batch
from examples.tagger.settings import Settings
from spago import ag, embeddings, nn
from spago.mat.rand import LockedRand

NETWORK, VOCABULARY, WORDS = "network.safetensors", "vocabulary.json", "words"


class Tagger(nn.Module):
    """A tagger that reads words as wholes and as spellings.

        w = embedding of the word, from the store
        s = last states of a BiLSTM over the embeddings of its characters
        x = dropout([w; s])                for each word of the sentence
        y = dropout(BiLSTM(x))             over the sentence
        scores = linear(y)                 of each tag, for each word; a CRF weighs whole sequences of tags by them

    Source:
        G. Lample, M. Ballesteros, S. Subramanian, K. Kawakami, C. Dyer (2016), "Neural architectures for named entity
        recognition", arXiv:1603.01360, sections 2 and 4.
    """

    def __init__(
        self, vocabulary: Vocabulary, words: embeddings.Model, settings: Settings, rng: LockedRand | None = None
    ) -> None:
        rng = rng or LockedRand(settings.seed)
        spelling_size = 2 * settings.character_hidden_size
        self.vocabulary = vocabulary
        self.words = words
        self.character_embedding = nn.Embedding(1 + len(vocabulary.characters), settings.character_size, rng=rng)
        self.character_lstm = nn.BiLSTM(settings.character_size, settings.character_hidden_size, rng=rng)
        self.word_lstm = nn.BiLSTM(settings.word_size + spelling_size, settings.word_hidden_size, rng=rng)
        self.linear = nn.Linear(2 * settings.word_hidden_size, len(vocabulary.tags), rng=rng)
        self.crf = nn.CRF(len(vocabulary.tags))
        self.dropout = nn.Dropout(settings.dropout, rng=rng)

    def forward(self, batch: Batch) -> ag.Node:
        """Return the score of each tag, shape (B, T, K)."""
        _, spelling = self.character_lstm(self.character_embedding(batch.characters), lengths=batch.character_lengths)
        words = self.words.embed_many(batch.keys)
        distinct = ag.concat([words, spelling.forward.h, spelling.backward.h])
        y, _ = self.word_lstm(self.dropout(distinct[batch.word_index]), lengths=batch.lengths)
        scores: ag.Node = self.linear(self.dropout(y))
        return scores

    def loss(self, batch: Batch, tags: Indices) -> ag.Node:
        """Return the negative log-likelihood of the tags of each sentence, averaged over the sentences."""
        return self.crf.negative_log_likelihood(self(batch), tags, batch.lengths)

    def tag(self, batch: Batch) -> list[list[str]]:
        """Return the best tags of each sentence."""
        with ag.no_grad():
            paths = self.crf.decode(self(batch), batch.lengths)
        return [[self.vocabulary.tags[i] for i in path] for path in paths]

    def tag_sentence(self, words: Sequence[str]) -> list[str]:
        """Return the tags of one sentence."""
        return self.tag(make_batch([words], self.vocabulary))[0]


@contextmanager
def new_tagger(folder: Path, vocabulary: Vocabulary, settings: Settings) -> Iterator[Tagger]:
    """Make an untrained tagger whose word vectors are in a new store in folder; close the store at the end."""
    rng = LockedRand(settings.seed)
    keys = [UNKNOWN, *vocabulary.words]
    vectors = rng.normal((len(keys), settings.word_size), std=settings.word_embedding_std, dtype=np.float32)
    with embeddings.LevelDBRepository(folder / WORDS) as repository:
        words = embeddings.Model(repository.store("words"), settings.word_size)
        words.set_many(keys, vectors)
        yield Tagger(vocabulary, words, settings, rng)


def save(tagger: Tagger, folder: Path, settings: Settings) -> None:
    """Write network and vocabulary beside the store of the words."""
    tagger.vocabulary.save(folder / VOCABULARY)
    nn.save(tagger, folder / NETWORK, metadata={name: str(value) for name, value in asdict(settings).items()})


@contextmanager
def open_tagger(folder: Path) -> Iterator[Tagger]:
    """Open what training has written, to tag with it; close the store at the end.

    Raises:
        FileNotFoundError: The folder or one of its parts is missing.
        StoreLockedError: The store is open in another process.
        FormatError: A file is damaged.
    """
    for part in (VOCABULARY, NETWORK, WORDS):
        if not (folder / part).exists():
            raise FileNotFoundError(
                f"{folder}: expected a trained tagger with a part {part}, found none; train one with: hatch run demo"
            )
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    settings = Settings.of(nn.load_metadata(folder / NETWORK))
    with embeddings.LevelDBRepository(folder / WORDS, read_only=True) as repository:
        words = embeddings.Model(repository.store("words"), settings.word_size, unknown="train", unknown_key=UNKNOWN)
        tagger = Tagger(vocabulary, words, settings)
        nn.load(tagger, folder / NETWORK)
        tagger.eval()
        yield tagger
