"""What every store does, whatever it is made of."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spago.embeddings import Repository, Store, StoreError

MakeRepository = Callable[[Path], Repository]


def test_a_value_comes_back(store: Store) -> None:
    store.put(b"ev", b"house")
    assert store.get(b"ev") == b"house"


def test_an_absent_key_is_none(store: Store) -> None:
    assert store.get(b"ev") is None
    assert store.get_many([b"ev", b"at"]) == [None, None]
    assert b"ev" not in store


def test_empty_keys_and_values_are_ordinary(store: Store) -> None:
    store.put(b"", b"")
    assert store.get(b"") == b""
    assert b"" in store
    assert len(store) == 1


def test_a_batch_is_read_in_the_order_asked_for(store: Store) -> None:
    store.put_many([(b"a", b"1"), (b"b", b"2")])
    assert store.get_many([b"b", b"x", b"a", b"b"]) == [b"2", None, b"1", b"2"]


def test_of_equal_keys_in_a_batch_the_last_counts(store: Store) -> None:
    store.put_many([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert store.get(b"a") == b"3"
    assert len(store) == 2


def test_keys_come_in_byte_order(store: Store) -> None:
    keys = [b"b", b"", b"\xff\xff", b"a\x00", b"a", b"\x00", "ş".encode()]
    store.put_many([(key, key[::-1]) for key in keys])
    assert list(store.keys()) == sorted(keys)
    assert list(store.items()) == [(key, key[::-1]) for key in sorted(keys)]


def test_iteration_starts_where_asked(store: Store) -> None:
    store.put_many([(b"%03d" % i, b"") for i in range(600)])
    assert list(store.keys(b"297")) == [b"%03d" % i for i in range(297, 600)]
    assert [key for key, _ in store.items(b"2975")] == [b"%03d" % i for i in range(298, 600)]


def test_iteration_does_not_see_what_is_written_meanwhile(store: Store) -> None:
    store.put_many([(b"%04d" % i, b"old") for i in range(1000)])
    items = store.items()
    first = next(items)
    store.put_many([(b"%04d" % i, b"new") for i in range(2000)])
    assert [first, *items] == [(b"%04d" % i, b"old") for i in range(1000)]


def test_delete_says_what_was_there(store: Store) -> None:
    store.put_many([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    assert store.delete(b"a")
    assert not store.delete(b"a")
    assert store.delete_many([b"b", b"b", b"x"]) == 1
    assert list(store.keys()) == [b"c"]
    assert len(store) == 1


def test_clear_leaves_the_attributes(store: Store) -> None:
    store.set_attributes({"size": 3})
    store.put_many([(b"%d" % i, b"") for i in range(300)])
    store.clear()
    assert len(store) == 0
    assert list(store.keys()) == []
    assert store.attributes == {"size": 3}


def test_attributes_are_a_copy(store: Store) -> None:
    store.set_attributes({"size": 3, "dtype": "float32"})
    store.attributes["size"] = 4
    assert store.attributes == {"size": 3, "dtype": "float32"}


def test_every_write_raises_the_version_by_one(store: Store) -> None:
    before = store.version
    store.put(b"a", b"1")
    store.put_many([(b"b", b"2"), (b"c", b"3")])
    store.delete(b"a")
    store.set_attributes({"size": 3})
    store.get(b"b")
    assert store.version == before + 4


def test_objects_of_one_name_are_one_store(repository: Repository) -> None:
    one, other = repository.store("words"), repository.store("words")
    one.put(b"a", b"1")
    assert other.get(b"a") == b"1"
    assert len(other) == 1
    assert other.version == one.version


def test_names_keep_records_apart(repository: Repository) -> None:
    names = ["", "a", "ab", "b", "ş"]
    for name in names:
        repository.store(name).put_many([(b"", name.encode()), (b"b", b"")])
    assert repository.names() == names
    assert [repository.store(name).get(b"") for name in names] == [name.encode() for name in names]
    assert [len(repository.store(name)) for name in names] == [2] * len(names)


def test_a_dropped_store_is_gone_and_its_neighbours_are_not(repository: Repository) -> None:
    for name in ("a", "ab"):
        repository.store(name).put(b"key", b"")
    held = repository.store("a")
    held.set_attributes({"size": 1})
    repository.drop("a")
    repository.drop("never there")
    assert repository.names() == ["ab"]
    assert len(held) == 0
    assert held.attributes == {}
    assert len(repository.store("ab")) == 1


def test_a_store_comes_into_being_with_its_first_write(repository: Repository) -> None:
    repository.store("a")
    repository.store("b").put(b"", b"")
    assert repository.names() == ["b"]


def test_a_read_only_store_refuses_writing(repository: Repository) -> None:
    repository.store("words").put(b"a", b"1")
    store = repository.store("words", read_only=True)
    assert store.read_only
    for write in (
        lambda: store.put(b"a", b"2"),
        lambda: store.delete(b"a"),
        store.clear,
        lambda: store.set_attributes({}),
    ):
        with pytest.raises(StoreError, match=r"store 'words': expected a writable store, got one .* read_only=True"):
            write()
    assert store.get(b"a") == b"1"


def test_a_missing_store_cannot_be_read_only(repository: Repository) -> None:
    with pytest.raises(StoreError, match=r"expected a store 'none', found none; `names\(\)` lists"):
        repository.store("none", read_only=True)


def test_a_name_may_not_hold_nul(repository: Repository) -> None:
    with pytest.raises(ValueError, match=r"store: expected a name without NUL, got 'a\\x00'"):
        repository.store("a\0")


def test_other_types_than_bytes_are_refused_before_anything_is_written(store: Store) -> None:
    with pytest.raises(TypeError, match=r"store: expected keys and values of bytes, got bytes and str; convert"):
        store.put_many([(b"a", b"1"), (b"b", cast("bytes", "2"))])
    assert len(store) == 0


def test_a_closed_repository_says_so(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    store = repository.store("words")
    store.put_many([(b"%d" % i, b"") for i in range(300)])
    items = store.items()
    next(items)
    repository.close()
    repository.close()
    for use in (lambda: store.get(b"1"), lambda: store.put(b"1", b""), lambda: len(store), lambda: list(items)):
        with pytest.raises(StoreError, match="expected an open .*, got a closed one"):
            use()
    with pytest.raises(StoreError, match="expected an open repository, got a closed one"):
        repository.store("words")


def test_threads_see_whole_batches(store: Store) -> None:
    keys = [b"%d" % i for i in range(20)]
    store.put_many([(key, b"0") for key in keys])
    before = store.version
    mixed: list[set[bytes]] = []

    def write(start: int) -> None:
        for i in range(start, start + 30):
            store.put_many([(key, b"%d" % i) for key in keys])

    def read() -> None:
        for _ in range(60):
            values = {value for _, value in store.items()}
            if len(values) != 1:
                mixed.append(values)

    threads = [threading.Thread(target=write, args=(i * 100,)) for i in range(4)]
    threads += [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mixed == []
    assert len(store) == 20
    assert store.version == before + 120


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
