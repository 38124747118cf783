"""The copy of the vectors that questions are answered from: never an old one, never a damaged one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from spago.embeddings import LevelDBRepository, Model, Neighbour, SQLiteRepository
from spago.embeddings import _index as index_module
from spago.mat import Array

COUNT, SIZE = 300, 7  # an odd number of floats: blocks are padded
QUERY: Array = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)


@pytest.fixture(params=[LevelDBRepository, SQLiteRepository])
def model(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    monkeypatch.setattr(index_module, "_BLOCK_BYTES", 37 * SIZE * 4)
    monkeypatch.setattr(index_module, "_MIN_BYTES", 1)
    with request.param(tmp_path / "words.db") as repository:
        made = Model(repository.store("words"), SIZE)
        made.set_many([f"w{i}" for i in range(COUNT)], vectors())
        yield made


def vectors() -> Array:
    values: Array = np.random.default_rng(8).normal(size=(COUNT, SIZE)).astype(np.float32)
    values[7] = 0
    return values


def index_of(model: Model) -> Path:
    store: Any = model.store
    path = store.index_path
    assert isinstance(path, Path)
    return path


def ask(model: Model) -> list[Neighbour]:
    return model.most_similar(QUERY, topn=COUNT + 1)


def forbid_reading_the_store(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    monkeypatch.setattr(type(model.store), "items", None)


def test_the_second_question_reads_no_records(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ask(model)
    assert index_of(model).is_file()
    forbid_reading_the_store(monkeypatch, model)
    assert ask(model) == first


def test_it_outlives_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_MIN_BYTES", 1)
    answers: list[list[Neighbour]] = []
    for _ in range(2):
        with LevelDBRepository(tmp_path / "words") as repository:
            model = Model(repository.store("words"), SIZE)
            if not answers:
                model.set_many([f"w{i}" for i in range(COUNT)], vectors())
            answers.append(ask(model))
            forbid_reading_the_store(monkeypatch, model)
    assert answers[0] == answers[1]


def test_a_small_store_has_none(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_MIN_BYTES", COUNT * SIZE * 4 + 1)
    ask(model)
    assert not index_of(model).exists()


@pytest.mark.parametrize("change", ["a vector", "a new word", "a word less", "attributes"])
def test_it_is_made_anew_when_the_store_has_changed(model: Model, change: str) -> None:
    ask(model)
    before = index_of(model).read_bytes()
    if change == "a vector":
        model.set("w20", QUERY)
    elif change == "a new word":
        model.set("new", QUERY)
    elif change == "a word less":
        model.delete(str(ask(model)[0].word))
    else:
        model.store.set_attributes(model.store.attributes | {"language": "tr"})
    expected = [near.word for near in ask(model)]
    assert index_of(model).read_bytes() != before
    assert [near.word for near in ask(model)] == expected
    if change in ("a vector", "a new word"):
        assert expected[0] == ("w20" if change == "a vector" else "new")
    assert len(expected) == len(model)


def test_a_store_of_the_same_name_that_was_dropped_and_made_again_has_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_MIN_BYTES", 1)
    with LevelDBRepository(tmp_path / "words") as repository:
        model = Model(repository.store("words"), 1)
        model.set("a", [1])
        model.most_similar(np.ones(1))
        repository.drop("words")
        assert not index_of(model).exists()
        model = Model(repository.store("words"), 1)
        model.set("b", [1])
        assert [near.word for near in model.most_similar(np.ones(1))] == ["b"]


def test_a_change_while_it_is_made_makes_it_useless(model: Model) -> None:
    def change(done: int, total: int) -> None:
        if done < total / 2:
            model.set("late", QUERY)

    model.most_similar(QUERY, progress=change)
    assert not list(index_of(model).parent.glob("*VECTORS*")) + list(index_of(model).parent.glob("*-vectors-*"))
    assert ask(model)[0].word == "late"


def test_damage_anywhere_changes_no_answer(model: Model) -> None:
    expected = ask(model)
    path = index_of(model)
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    for place in [*range(0, len(whole), 97), *rng.integers(0, len(whole), 50).tolist()]:
        for damaged in (
            whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :],
            whole[:place],
            whole[:place] + bytes(len(whole) - place),
        ):
            path.write_bytes(damaged)
            assert ask(model) == expected, place
    path.unlink(missing_ok=True)
    assert ask(model) == expected
    assert path.read_bytes() == whole


class FullDisk:
    """A file that takes some bytes and no more."""

    def __init__(self, file: IO[bytes], room: int) -> None:
        self._file = file
        self._room = room

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self._room -= sum(map(len, parts))
        if self._room < 0:
            raise OSError(28, "No space left on device")
        self._file.writelines(parts)

    def close(self) -> None:
        self._file.close()


@pytest.mark.parametrize("room", [0, 3000])
def test_a_full_disk_is_no_error(model: Model, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    path = index_of(model)
    really = Path.open

    def opened(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = really(self, mode, *arguments, **options)
        return FullDisk(file, room) if mode == "wb" else file

    expected = ask(model)
    path.unlink()
    monkeypatch.setattr(Path, "open", opened)
    assert ask(model) == expected
    assert not path.exists()
    assert not path.with_name(path.name + ".tmp").exists()


def test_what_a_killed_process_left_is_in_nobodys_way(model: Model) -> None:
    path = index_of(model)
    path.with_name(path.name + ".tmp").write_bytes(os.urandom(100_000))
    ask(model)
    assert path.exists()
    assert not path.with_name(path.name + ".tmp").exists()


def test_an_interrupted_question_leaves_nothing(model: Model) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.most_similar(QUERY, progress=stop)
    path = index_of(model)
    assert not path.exists()
    assert not path.with_name(path.name + ".tmp").exists()
    ask(model)
    assert path.exists()


def test_threads_may_ask_at_once(model: Model) -> None:
    expected = ask(model)
    index_of(model).unlink()
    answers: list[list[Neighbour]] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(model))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 8
    assert index_of(model).exists()
