"""Vectors for words that were never seen, from pieces of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from spago.embeddings._chunks import chunks
from spago.embeddings._keys import Word
from spago.embeddings._model import Model
from spago.embeddings._store import Store
from spago.mat import Array

_FNV_START, _FNV_PRIME, _32_BITS = 2166136261, 16777619, 0xFFFFFFFF


def ngram_buckets(word: str, buckets: int, min_n: int = 3, max_n: int = 6) -> list[int]:
    """Return the numbers of the character n-grams of `<word>`, from 0 to buckets - 1, as fastText numbers them.

    Args:
        word: Any text.
        buckets: How many numbers there are; n-grams that share one share a vector.
        min_n: The fewest characters.
        max_n: The most.

    Source:
        P. Bojanowski et al. (2017), "Enriching Word Vectors with Subword Information", section 3.2; the hash is FNV-1a
        with bytes taken as signed, as in the code of fastText.
    """
    characters = [character.encode() for character in f"<{word}>"]
    numbers: list[int] = []
    for start in range(len(characters)):
        value = _FNV_START
        for stop, character in enumerate(characters[start : start + max_n], start + 1):
            for byte in character:
                signed = byte | 0xFFFFFF00 if byte > 127 else byte
                value = ((value ^ signed) * _FNV_PRIME) & _32_BITS
            # The marks of beginning and end are no n-grams by themselves.
            if stop - start >= min_n and not (stop - start == 1 and (start == 0 or stop == len(characters))):
                numbers.append(value % buckets)
    return numbers


class Subwords:
    """What stands for unknown words: the average of the vectors of their character n-grams.

    It is an argument for `Model(unknown=...)`. The vectors of n-grams are in a store of their own, under the numbers of
    their buckets; `learn` makes them from the words of a model.

    Args:
        store: Where the vectors of n-grams are.
        size: D; may be left out for a store that has vectors.
        buckets: How many numbers n-grams have; kept with the store.
        min_n: The fewest characters of an n-gram.
        max_n: The most.

    Examples:
        >>> from spago import embeddings
        >>> repository = embeddings.MemoryRepository()
        >>> words = embeddings.Model(repository.store("words"), 2)
        >>> words.set_many(["evler", "atlar"], [[1, 0], [0, 1]])
        >>> subwords = Subwords(repository.store("ngrams"), 2)
        >>> subwords.learn(words)
        >>> model = embeddings.Model(repository.store("words"), unknown=subwords)
        >>> bool(model.similarity("evler", model.get_many(["evlerde"])[0]) > 0.9)
        True
    """

    def __init__(
        self, store: Store, size: int | None = None, *, buckets: int = 200_000, min_n: int = 3, max_n: int = 6
    ) -> None:
        if not 1 <= min_n <= max_n or buckets < 1:
            raise ValueError(
                f"Subwords: expected 1 ≤ min_n ≤ max_n and at least one bucket, got {min_n}, {max_n} and {buckets}"
            )
        settings: dict[str, Any] = {"buckets": buckets, "min_n": min_n, "max_n": max_n}
        known = {name: store.attributes[name] for name in settings if name in store.attributes}
        if len(store) and known != settings:
            raise ValueError(f"Subwords: expected {known}, as store {store.name!r} was made with, got {settings}")
        self.buckets, self.min_n, self.max_n = buckets, min_n, max_n
        self._model = Model(store, size, trainable=False)
        if known != settings and not store.read_only:
            store.set_attributes(store.attributes | settings)

    def __call__(self, word: Word) -> Array | None:
        """Return the average of the vectors of the n-grams of a word, shape (D,); None when none has a vector."""
        if not isinstance(word, str):
            return None
        numbers = ngram_buckets(word, self.buckets, self.min_n, self.max_n)
        found = [vector for vector in map(self._model.get, numbers) if vector is not None]
        return np.mean(found, axis=0) if found else None

    def learn(self, model: Model, max_bytes: int = 64 << 20) -> None:
        """Give each n-gram the average of the vectors of the words that have it.

        The words are read several times where the sums of all n-grams do not fit.

        Args:
            model: The words; those that are no text are left out.
            max_bytes: Bound for the sums.
        """
        step = max(max_bytes // (8 * model.size), 1)
        for first in range(0, self.buckets, step):
            count = min(step, self.buckets - first)
            sums, weights = np.zeros((count, model.size)), np.zeros(count)
            for keys, values in chunks(model.store):
                rows: list[int] = []
                places: list[int] = []
                for row, key in enumerate(keys):
                    numbers = self._numbers_of(key)
                    mine = [number - first for number in numbers if first <= number < first + count]
                    places += mine
                    rows += [row] * len(mine)
                np.add.at(sums, places, values[rows])
                np.add.at(weights, places, 1)
            used = np.flatnonzero(weights)
            for i in range(0, len(used), 1000):
                part = used[i : i + 1000]
                self._model.set_many((part + first).tolist(), sums[part] / weights[part, None])

    def _numbers_of(self, key: bytes) -> list[int]:
        try:
            return ngram_buckets(key.decode(), self.buckets, self.min_n, self.max_n)
        except UnicodeDecodeError:
            return []
