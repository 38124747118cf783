"""Unknown words from the n-grams of known ones."""

from __future__ import annotations

import numpy as np
import pytest

from spago.embeddings import MemoryRepository, Model, Repository, Subwords, ngram_buckets


def fnv(data: bytes) -> int:
    value = 2166136261
    for byte in np.frombuffer(data, np.int8).astype(np.int64).tolist():
        value = (value ^ (byte & 0xFFFFFFFF)) * 16777619 % 2**32
    return value


def test_the_hash_is_fnv_1a() -> None:
    # Two values of the authors' table, for text without marks: `<>` around nothing has them only as a whole.
    assert fnv(b"a") == 0xE40C292C
    assert fnv(b"foobar") == 0xBF9CF968


@pytest.mark.parametrize("word", ["ev", "evler", "şeker", "日本語", "", "a"])
@pytest.mark.parametrize(("min_n", "max_n"), [(3, 6), (1, 2), (2, 2)])
def test_the_ngrams_are_those_of_the_marked_word(word: str, min_n: int, max_n: int) -> None:
    marked = f"<{word}>"
    grams = [marked[i : i + n] for i in range(len(marked)) for n in range(min_n, max_n + 1) if i + n <= len(marked)]
    expected = [fnv(gram.encode()) % 1000 for gram in grams if gram not in "<>" or len(gram) > 1]
    assert ngram_buckets(word, 1000, min_n, max_n) == expected


def test_each_ngram_is_the_average_of_its_words(repository: Repository) -> None:
    words = Model(repository.store("words"), 3)
    names = ["evler", "evlerin", "atlar", "kedi", "ş"]
    values = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    words.set_many([*names, b"\xff"], np.concatenate([values, np.ones((1, 3))]))
    for max_bytes in (1, 24 * 50, 1 << 20):
        store = repository.store(f"ngrams {max_bytes}")
        subwords = Subwords(store, 3, buckets=60, min_n=2, max_n=4)
        subwords.learn(words, max_bytes)
        vectors = Model(store)
        for number in range(60):
            having = [v for n, v in zip(names, values, strict=True) for b in ngram_buckets(n, 60, 2, 4) if b == number]
            found = vectors.get(number)
            if having:
                assert found is not None
                np.testing.assert_allclose(found, np.mean(having, axis=0), rtol=1e-5, atol=1e-6)
            else:
                assert found is None


def test_an_unknown_word_gets_the_average_of_its_ngrams() -> None:
    repository = MemoryRepository()
    ngrams = Model(repository.store("ngrams"), 2)
    subwords = Subwords(repository.store("ngrams"), 2, buckets=10_000)
    numbers = ngram_buckets("ev", 10_000)
    assert len(numbers) == 3
    assert subwords("ev") is None
    ngrams.set_many(numbers[:2], [[1, 2], [3, 4]])
    model = Model(repository.store("words"), 2, unknown=subwords)
    model.set("at", [9, 9])
    assert model.get_many(["ev", "at"]).tolist() == [[2, 3], [9, 9]]
    assert subwords(5) is None


def test_settings_stay_with_the_store() -> None:
    store = MemoryRepository().store("ngrams")
    words = Model(MemoryRepository().store("words"), 2)
    words.set("ev", [1, 2])
    Subwords(store, 2, buckets=50).learn(words)
    assert Subwords(store, buckets=50)("ev") is not None
    with pytest.raises(
        ValueError, match=r"Subwords: expected {'buckets': 50, .*}, as store 'ngrams' was made with, got"
    ):
        Subwords(store, buckets=60)
    with pytest.raises(ValueError, match="expected 1 ≤ min_n ≤ max_n and at least one bucket, got 4, 3 and 5"):
        Subwords(store, buckets=5, min_n=4, max_n=3)
