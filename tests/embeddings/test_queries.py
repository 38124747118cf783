"""Which words are near: the same answers as with the whole matrix in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spago.embeddings import LevelDBRepository, MemoryRepository, Model, UnknownWordError
from spago.embeddings import _index as index_module
from spago.mat import Array, FormatError, ShapeError

COUNT, SIZE = 500, 12


@pytest.fixture(params=["memory", "leveldb", "index"])
def model(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    monkeypatch.setattr(index_module, "_BLOCK_BYTES", 37 * SIZE * 4)
    repository = MemoryRepository() if request.param == "memory" else LevelDBRepository(tmp_path / "words")
    with repository:
        made = Model(repository.store("words"), SIZE)
        made.set_many(names(), vectors())
        if request.param == "index":
            monkeypatch.setattr(index_module, "_MIN_BYTES", 0)
            made.most_similar(vectors()[0])
            assert list(tmp_path.glob("words/VECTORS-*"))
        yield made


def names() -> list[str]:
    return [f"w{i}" for i in range(COUNT)]


def vectors() -> Array:
    values: Array = np.random.default_rng(8).normal(size=(COUNT, SIZE)).astype(np.float32)
    values[7] = 0
    values[11] = values[10]
    return values


def units() -> Array:
    wide = vectors().astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths, lengths, 1)


def by_hand(query: Array, asked: list[int], topn: int) -> list[tuple[str, float]]:
    scores = units() @ (query / np.linalg.norm(query))
    order = sorted((i for i in range(COUNT) if i not in asked), key=lambda i: (-scores[i], f"w{i}".encode()))
    return [(f"w{i}", scores[i]) for i in order[:topn]]


@pytest.mark.parametrize(("positive", "negative"), [([3], []), ([1, 2], [5]), ([], [4]), ([20, 20], [21, 22])])
@pytest.mark.parametrize("topn", [1, 10, 600])
def test_the_nearest_are_those_of_the_whole_matrix(
    model: Model, positive: list[int], negative: list[int], topn: int
) -> None:
    query = units()[positive].sum(axis=0) - units()[negative].sum(axis=0)
    expected = by_hand(query, positive + negative, topn)
    found = model.most_similar([f"w{i}" for i in positive], [f"w{i}" for i in negative], topn)
    np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], atol=1e-6)
    assert len(found) == min(topn, COUNT - len({*positive, *negative}))
    assert [word for word, _ in found[:10]] == [word for word, _ in expected[:10]]


def test_one_word_and_vectors_may_be_asked_about(model: Model) -> None:
    assert model.most_similar("w10")[0].word == "w11"
    assert [near.word for near in model.most_similar(vectors()[10], topn=2)] == ["w10", "w11"]
    with pytest.raises(ShapeError, match=r"expected vectors of shape \(12,\), got \(3,\)"):
        model.most_similar(np.ones(3))


def test_of_equals_the_first_in_byte_order_is_kept(model: Model) -> None:
    model.set_many([f"x{i}" for i in range(100)], np.tile(vectors()[3], (100, 1)))
    assert [near.word for near in model.most_similar("w3", topn=3)] == ["x0", "x1", "x10"]


def test_the_search_can_be_confined(model: Model) -> None:
    found = model.most_similar("w10", among=["w1", "w2", "w10", "none"])
    assert {near.word for near in found} == {"w1", "w2"}


def test_keys_that_are_no_text_come_as_bytes(model: Model) -> None:
    model.set(b"\xff", vectors()[3])
    assert model.most_similar("w3", topn=1)[0].word == b"\xff"


def test_similarity_is_the_cosine(model: Model) -> None:
    assert model.similarity("w1", "w2") == pytest.approx(float(units()[1] @ units()[2]), abs=1e-12)
    assert model.similarity("w1", -2 * vectors()[1]) == pytest.approx(-1)
    assert model.similarity("w1", "w7") == 0


def test_what_does_not_match_is_far_from_the_mean(model: Model) -> None:
    model.set_many(["a", "b", "c", "d"], np.eye(4, SIZE) * 0.1 + [[1] * SIZE, [1] * SIZE, [-1] * SIZE, [1] * SIZE])
    assert model.doesnt_match(["a", "b", "c", "d"]) == "c"
    with pytest.raises(ValueError, match="expected words, got none"):
        model.doesnt_match([])


def test_unknown_words_are_named(model: Model) -> None:
    with pytest.raises(UnknownWordError, match=r"got 1 of 3 that are not there, such as 'x'; leave them out"):
        model.most_similar(["w1", "x"], ["x"])
    with pytest.raises(ValueError, match="most_similar: expected words or vectors to look for, got none"):
        model.most_similar()


QUESTIONS = """: capitals
A B C D
A B C none
C D A B
: others
A C B D
A B C A
"""


def test_analogies_are_those_of_most_similar(model: Model, tmp_path: Path) -> None:
    base, step = vectors()[1], 0.2 * vectors()[2]
    model.set_many(
        ["a", "b", "c", "d"], [base, base + step, base + 0.2 * vectors()[3], base + step + 0.2 * vectors()[3]]
    )
    file = tmp_path / "questions.txt"
    file.write_text(QUESTIONS)
    scores = model.analogies(file, lowercase=True)
    assert list(scores) == ["capitals", "others", "total"]
    assert scores["capitals"] == (2, 2, 1)
    assert scores["others"] == (1, 2, 0)
    assert scores["total"] == (3, 4, 1)
    assert scores["total"].accuracy == 0.75
    for a, b, c in (("a", "b", "c"), ("c", "d", "a")):
        assert model.most_similar([b, c], [a], 1)[0].word in {"b", "d"}
    assert model.analogies(["A B C D"])["questions"] == (0, 0, 1)


def test_many_analogies_agree_with_most_similar_one_by_one(model: Model) -> None:
    rng = np.random.default_rng(3)
    questions = [rng.choice(COUNT, 3, replace=False).tolist() for _ in range(40)]
    answers = [model.most_similar([f"w{b}", f"w{c}"], [f"w{a}"], 1)[0].word for a, b, c in questions]
    lines = [f"w{a} w{b} w{c} {answer!s}" for (a, b, c), answer in zip(questions, answers, strict=True)]
    assert model.analogies(lines)["total"] == (40, 40, 0)


def test_a_malformed_question_is_named(model: Model) -> None:
    with pytest.raises(FormatError, match="questions:2: expected four words, or a title after a colon, got 'a b c'"):
        model.analogies(["a b c d", "a b c"])
