"""What every store does, whatever it is made of. Most of it is in `spago.embeddings.testing`, for all to use."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spago.embeddings import MemoryRepository, MemoryStore, Repository, Store, StoreError
from spago.embeddings.testing import CLAIMS, Claim, check_repository

MakeRepository = Callable[[Path], Repository]


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_every_claim_holds(make_repository: MakeRepository, claim: Claim, tmp_path: Path) -> None:
    claim.check(make_repository, tmp_path)


def test_refusals_say_what_to_do(repository: Repository, store: Store) -> None:
    store.put(b"a", b"1")
    with pytest.raises(StoreError, match=r"store 'words': expected a writable store, got one .* read_only=True"):
        repository.store("words", read_only=True).clear()
    with pytest.raises(StoreError, match=r"expected a store 'none', found none; `names\(\)` lists"):
        repository.store("none", read_only=True)
    with pytest.raises(ValueError, match=r"store: expected a name without NUL, got 'a\\x00'"):
        repository.store("a\0")
    with pytest.raises(TypeError, match=r"store: expected keys and values of bytes, got bytes and str; convert"):
        store.put(b"b", cast("bytes", "2"))
    repository.close()
    with pytest.raises(StoreError, match="expected an open repository, got a closed one"):
        repository.store("words")


KEYS = st.binary(max_size=3)
BATCHES = st.dictionaries(KEYS, st.none() | st.binary(max_size=8), max_size=6)


@settings(max_examples=80, deadline=None)
@given(batches=st.lists(BATCHES, max_size=10), asked=st.lists(KEYS, max_size=5), start=KEYS)
def test_a_store_is_a_sorted_dict(
    make_repository: MakeRepository, batches: list[dict[bytes, bytes | None]], asked: list[bytes], start: bytes
) -> None:
    expected: dict[bytes, bytes] = {}
    with tempfile.TemporaryDirectory() as folder, make_repository(Path(folder)) as repository:
        store = repository.store("words")
        repository.store("wor").put(b"ds", b"neighbour")
        for batch in batches:
            puts = {key: value for key, value in batch.items() if value is not None}
            deletes = [key for key, value in batch.items() if value is None]
            store.put_many(puts.items())
            removed = store.delete_many(deletes)
            assert removed == sum(expected.pop(key, None) is not None for key in deletes)
            expected |= puts
            assert len(store) == len(expected)
        assert list(store.items()) == sorted(expected.items())
        assert list(store.keys(start)) == sorted(key for key in expected if key >= start)
        assert store.get_many(asked) == [expected.get(key) for key in asked]
        assert [key in store for key in asked] == [key in expected for key in asked]


# The suite for users: it needs nothing, and it notices what is wrong.


def test_the_suite_needs_no_pytest() -> None:
    code = "import sys, spago.embeddings.testing; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


class ForgetfulStore(MemoryStore):
    """Drops empty values."""

    def put_many(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        super().put_many([(key, value) for key, value in items if value])


class ForgetfulRepository(MemoryRepository):
    """Has forgetful stores."""

    def store(self, name: str, *, read_only: bool = False) -> MemoryStore:
        store = super().store(name, read_only=read_only)
        store.__class__ = ForgetfulStore
        return store


def test_the_suite_notices_a_faulty_store() -> None:
    with pytest.raises(AssertionError, match=r"^empty keys and values are ordinary: expected b'', got None$"):
        check_repository(lambda folder: ForgetfulRepository())
