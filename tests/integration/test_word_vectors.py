"""The examples about word vectors do what they say, on less than they are made for."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from examples.vectors.__main__ import show
from examples.word2vec import __main__ as word2vec
from spago.embeddings import LevelDBRepository, MemoryRepository, Model, check

ANIMALS, TOOLS = ["cat", "dog", "horse", "cow"], ["hammer", "saw", "axe", "file"]
AROUND = {"cat": ["eats", "sleeps", "runs", "drinks"], "hammer": ["steel", "wood", "handle", "workshop"]}


def sentences(count: int) -> list[list[str]]:
    """Return sentences in which animals have other words around them than tools."""
    draw = random.Random(3)
    made = []
    for _ in range(count):
        kind, around = draw.choice([(ANIMALS, AROUND["cat"]), (TOOLS, AROUND["hammer"])])
        made.append([draw.choice([draw.choice(kind), draw.choice(around)]) for _ in range(8)])
    return made


def test_words_with_the_same_neighbours_get_similar_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word2vec, "BATCH", 256)
    monkeypatch.setattr(word2vec, "SUBSAMPLE", 1.0)
    with LevelDBRepository(tmp_path / "store") as repository:
        words = word2vec.train(repository, sentences(400), epochs=3, seed=1)
        assert {near.word for near in words.most_similar("cat", topn=7)} == {*ANIMALS, *AROUND["cat"]} - {"cat"}
        assert words.doesnt_match(["dog", "cow", "saw", "horse"]) == "saw"
        assert check(repository.store("words")).ok
    with LevelDBRepository(tmp_path / "store", read_only=True) as repository:
        assert len(Model(repository.store("words"))) == 16


def test_the_tour_of_vectors_prints_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    model = Model(MemoryRepository().store("glove"), 8)
    names = ["king", "queen", "man", "woman", "paris", "france", "italy", "rome", "cat", "dog"]
    names += ["breakfast", "lunch", "cereal", "dinner"]
    values = np.random.default_rng(1).normal(size=(len(names), 8))
    values[1] = values[0] - values[2] + values[3]
    model.set_many(names, values)
    show(model, ["cat"])
    output = capsys.readouterr().out
    assert output.startswith("14 words x 8\n\nking - man + woman:   queen")
    assert "does not match" in output
