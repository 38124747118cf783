"""Repositories of every kind, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from spago.embeddings import LevelDBRepository, MemoryRepository, Repository, SQLiteRepository, Store

MakeRepository: TypeAlias = Callable[[Path], Repository]

KINDS: dict[str, MakeRepository] = {
    "memory": lambda path: MemoryRepository(),
    "leveldb": lambda path: LevelDBRepository(path / "store"),
    "sqlite": lambda path: SQLiteRepository(path / "store.sqlite"),
}


@pytest.fixture(scope="session", params=list(KINDS))
def make_repository(request: pytest.FixtureRequest) -> MakeRepository:
    return KINDS[request.param]


@pytest.fixture
def repository(make_repository: MakeRepository, tmp_path: Path) -> Iterator[Repository]:
    with make_repository(tmp_path) as repository:
        yield repository


@pytest.fixture
def store(repository: Repository) -> Store:
    return repository.store("words")
