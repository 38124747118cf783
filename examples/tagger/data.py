"""From sentences to the arrays that the network reads: vocabulary, mini-batches, and the baseline to beat.

A word enters the network twice: whole, in lower case, through an embedding of its own, and character by character.
Both are computed once for each distinct word of a batch and then dealt out to the places where the word stands.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from examples.tagger.treebank import Sentence
from spago.mat import FormatError
from spago.mat.rand import LockedRand

UNKNOWN = "<unk>"  # the key of the embedding that stands for every word training did not see
BATCH_SIZE = 32
WORD_DROPOUT = 0.5
POOL = 16  # batches whose sentences are sorted by length together

Indices = npt.NDArray[np.intp]

_TURKISH_CAPITALS = str.maketrans({"I": "ı", "İ": "i"})


def lower(word: str) -> str:
    """Return a Turkish word in lower case: I becomes ı, and İ becomes i.

    >>> lower("ILIK İÇİN")
    'ılık için'
    """
    return word.translate(_TURKISH_CAPITALS).lower()


@dataclass(frozen=True)
class Vocabulary:
    """The words, characters and tags of the training sentences.

    Attributes:
        words: How often each word occurs, in lower case.
        characters: The characters that occur more than once.
        tags: The tags; the place of a tag is its id.
    """

    words: dict[str, int]
    characters: tuple[str, ...]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, sentences: Iterable[Sentence]) -> "Vocabulary":
        """Collect the words, characters and tags of the sentences."""
        words, characters, tags = Counter[str](), Counter[str](), set[str]()
        for sentence in sentences:
            words.update(map(lower, sentence.words))
            characters.update(chain.from_iterable(sentence.words))
            tags.update(sentence.tags)
        repeated = (character for character, count in characters.items() if count > 1)
        return cls(dict(words), tuple(sorted(repeated)), tuple(sorted(tags)))

    def key(self, word: str) -> str:
        """Return the key of a word's embedding: the word in lower case, or UNKNOWN."""
        key = lower(word)
        return key if key in self.words else UNKNOWN

    @cached_property
    def character_ids(self) -> dict[str, int]:
        """The id of each character, from 1; 0 is for every other."""
        return {character: i for i, character in enumerate(self.characters, start=1)}

    @cached_property
    def tag_ids(self) -> dict[str, int]:
        """The id of each tag, from 0."""
        return {tag: i for i, tag in enumerate(self.tags)}

    def save(self, path: Path) -> None:
        """Write the vocabulary to a JSON file."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return cls(dict(fields["words"]), tuple(fields["characters"]), tuple(fields["tags"]))
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path}: expected a vocabulary in JSON, got {error!r}; train the tagger again"
            raise FormatError(message) from error


@dataclass(frozen=True, slots=True)
class Batch:
    """Sentences as arrays: B sentences of up to T words, with W distinct words of up to L characters between them.

    Attributes:
        keys: The key of the embedding of each distinct word, W of them; words that are unknown or differ only in
            capitals share a key.
        characters: Character ids of the distinct words, shape (W, L), padded with 0; the longest word comes first.
        character_lengths: Number of characters of each distinct word, shape (W,), descending.
        word_index: Which distinct word stands where, shape (B, T), padded with 0.
        lengths: Number of words of each sentence, shape (B,).
    """

    keys: list[str]
    characters: Indices
    character_lengths: Indices
    word_index: Indices
    lengths: Indices


def make_batch(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Batch:
    """Return sentences, each given as its words, as one batch."""
    if not sentences or not all(sentences):
        raise ValueError("make_batch: expected sentences of at least one word, got an empty one; leave it out")
    distinct = sorted(dict.fromkeys(chain.from_iterable(sentences)), key=len, reverse=True)
    place = {word: i for i, word in enumerate(distinct)}
    characters, character_lengths = _pad([[vocabulary.character_ids.get(c, 0) for c in word] for word in distinct])
    word_index, lengths = _pad([[place[word] for word in words] for words in sentences])
    return Batch([vocabulary.key(word) for word in distinct], characters, character_lengths, word_index, lengths)


def _pad(rows: Sequence[Sequence[int]]) -> tuple[Indices, Indices]:
    """Return rows of different lengths as one array padded with 0, and their lengths."""
    lengths = np.array([len(row) for row in rows], dtype=np.intp)
    padded = np.zeros((len(rows), lengths.max()), dtype=np.intp)
    padded[np.arange(lengths.max()) < lengths[:, np.newaxis]] = list(chain.from_iterable(rows))
    return padded, lengths


def batches(sentences: Sequence[Sentence], vocabulary: Vocabulary, size: int = BATCH_SIZE) -> Iterator[Batch]:
    """Yield the sentences in the order given, to be tagged, `size` in a batch; the last batch may be smaller."""
    for start in range(0, len(sentences), size):
        yield make_batch([sentence.words for sentence in sentences[start : start + size]], vocabulary)


def training_batches(
    sentences: Sequence[Sentence],
    vocabulary: Vocabulary,
    rng: LockedRand,
    *,
    size: int = BATCH_SIZE,
    word_dropout: float = WORD_DROPOUT,
) -> Iterator[tuple[Batch, Indices]]:
    """Yield each sentence once, in random order: a batch and its tag ids, shape (B, T), padded with 0.

    Sentences of about the same length share a batch: pools of POOL batches are sorted by length, which leaves little
    padding, and still every epoch has other batches.
    """
    order = rng.perm(len(sentences))
    groups: list[list[Sentence]] = []
    for start in range(0, len(order), POOL * size):
        pool = sorted((sentences[i] for i in order[start : start + POOL * size]), key=len, reverse=True)
        groups += [pool[i : i + size] for i in range(0, len(pool), size)]
    for i in rng.perm(len(groups)):
        batch = make_batch([sentence.words for sentence in groups[i]], vocabulary)
        tags, _ = _pad([[vocabulary.tag_ids[tag] for tag in sentence.tags] for sentence in groups[i]])
        yield replace(batch, keys=drop_rare(batch.keys, vocabulary, word_dropout, rng)), tags


def drop_rare(keys: Sequence[str], vocabulary: Vocabulary, probability: float, rng: LockedRand) -> list[str]:
    """Return the keys, those of words that training saw once replaced by UNKNOWN with the given probability.

    So the network learns what to do with a word it does not know: read its characters, and its neighbours.
    """
    counts = vocabulary.words
    dropped = rng.float64(len(keys)) < probability
    return [UNKNOWN if drop and counts.get(key) == 1 else key for key, drop in zip(keys, dropped, strict=True)]


class MostFrequentTag:
    """The baseline: a word gets the tag it had most often in training, an unknown word the most frequent tag of all."""

    def __init__(self, sentences: Iterable[Sentence]) -> None:
        counts = defaultdict[str, Counter[str]](Counter)
        for sentence in sentences:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                counts[lower(word)][tag] += 1
        self._tags = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
        total = sum(counts.values(), Counter[str]())
        self._default = total.most_common(1)[0][0]

    def tag(self, words: Iterable[str]) -> list[str]:
        """Return the tag of each word."""
        return [self._tags.get(lower(word), self._default) for word in words]


def accuracy(sentences: Sequence[Sentence], tagged: Iterable[Sequence[str]]) -> float:
    """Return the share of words that got their tag."""
    pairs = zip(sentences, tagged, strict=True)
    correct = sum(t == p for sentence, tags in pairs for t, p in zip(sentence.tags, tags, strict=True))
    return correct / sum(map(len, sentences))
