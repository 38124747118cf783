"""What every store must do, as checks that run on any implementation of `Repository` and `Store`.

All at once:

    check_repository(lambda folder: MyRepository(folder / "store"))

or, with pytest, one by one:

    @pytest.mark.parametrize("claim", CLAIMS, ids=str)
    def test_my_store(claim: Claim, tmp_path: Path) -> None:
        claim.check(lambda folder: MyRepository(folder / "store"), tmp_path)
"""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

from spago.embeddings._store import Repository, Store, StoreError

__all__ = ["CLAIMS", "Claim", "MakeRepository", "check_repository"]

MakeRepository: TypeAlias = Callable[[Path], Repository]
"""A function that opens a repository, new and empty, in an empty folder."""


@dataclass(frozen=True)
class Claim:
    """One thing that holds for every store.

    Attributes:
        name: What is claimed.
    """

    name: str
    _check: Callable[[Repository], None]

    def check(self, make: MakeRepository, folder: Path) -> None:
        """Check it.

        Raises:
            AssertionError: It does not hold; the message says what was expected and what came.
        """
        with make(folder) as repository:
            self._check(repository)

    def __str__(self) -> str:
        return self.name


_claims: list[Claim] = []


def check_repository(make: MakeRepository) -> None:
    """Check all claims, each in an empty folder.

    Raises:
        AssertionError: One does not hold.

    Examples:
        >>> from spago.embeddings import MemoryRepository
        >>> check_repository(lambda folder: MemoryRepository())
    """
    for claim in CLAIMS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                claim.check(make, Path(folder))
            except AssertionError as error:
                raise AssertionError(f"{claim}: {error}") from error


def _claim(check: Callable[[Repository], None]) -> Callable[[Repository], None]:
    _claims.append(Claim(check.__name__.replace("_", " "), check))
    return check


def _store_claim(check: Callable[[Store], None]) -> Callable[[Store], None]:
    def with_store(repository: Repository) -> None:
        check(repository.store("words"))

    with_store.__name__ = check.__name__
    _claim(with_store)
    return check


def _equal(got: Any, expected: Any) -> None:
    if got != expected:
        raise AssertionError(f"expected {expected!r}, got {got!r}")


def _raises(kind: type[Exception], action: Callable[[], Any]) -> None:
    try:
        result = action()
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}, got {result!r}")


@_store_claim
def a_value_comes_back(store: Store) -> None:
    store.put(b"ev", b"house")
    _equal(store.get(b"ev"), b"house")
    _equal(b"ev" in store, True)
    _equal(type(store.get(b"ev")), bytes)


@_store_claim
def an_absent_key_is_none(store: Store) -> None:
    _equal(store.get(b"ev"), None)
    _equal(store.get_many([b"ev", b"at"]), [None, None])
    _equal(b"ev" in store, False)
    _equal("ev" in store, False)


@_store_claim
def empty_keys_and_values_are_ordinary(store: Store) -> None:
    store.put(b"", b"")
    _equal(store.get(b""), b"")
    _equal(b"" in store, True)
    _equal(len(store), 1)


@_store_claim
def a_batch_is_read_in_the_order_asked_for(store: Store) -> None:
    store.put_many([(b"a", b"1"), (b"b", b"2")])
    _equal(store.get_many([b"b", b"x", b"a", b"b"]), [b"2", None, b"1", b"2"])
    _equal(store.get_many([]), [])


@_store_claim
def of_equal_keys_in_a_batch_the_last_counts(store: Store) -> None:
    store.put_many([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    _equal(store.get(b"a"), b"3")
    _equal(len(store), 2)


@_store_claim
def keys_come_in_byte_order(store: Store) -> None:
    keys = [b"b", b"", b"\xff\xff", b"a\x00", b"a", b"\x00", "ş".encode()]
    store.put_many([(key, key[::-1]) for key in keys])
    _equal(list(store.keys()), sorted(keys))
    _equal(list(store.items()), [(key, key[::-1]) for key in sorted(keys)])


@_store_claim
def iteration_starts_where_asked(store: Store) -> None:
    store.put_many([(b"%03d" % i, b"") for i in range(600)])
    _equal(list(store.keys(b"297")), [b"%03d" % i for i in range(297, 600)])
    _equal([key for key, _ in store.items(b"2975")], [b"%03d" % i for i in range(298, 600)])


@_store_claim
def iteration_does_not_see_what_is_written_meanwhile(store: Store) -> None:
    store.put_many([(b"%04d" % i, b"old") for i in range(1000)])
    items = store.items()
    first = next(items)
    store.put_many([(b"%04d" % i, b"new") for i in range(2000)])
    _equal([first, *items], [(b"%04d" % i, b"old") for i in range(1000)])


@_store_claim
def delete_says_what_was_there(store: Store) -> None:
    store.put_many([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    _equal(store.delete(b"a"), True)
    _equal(store.delete(b"a"), False)
    _equal(store.delete_many([b"b", b"b", b"x"]), 1)
    _equal(list(store.keys()), [b"c"])
    _equal(len(store), 1)


@_store_claim
def clear_leaves_the_attributes(store: Store) -> None:
    store.set_attributes({"size": 3})
    store.put_many([(b"%d" % i, b"") for i in range(300)])
    store.clear()
    _equal(len(store), 0)
    _equal(list(store.keys()), [])
    _equal(store.attributes, {"size": 3})


@_store_claim
def attributes_are_a_copy(store: Store) -> None:
    store.set_attributes({"size": 3, "dtype": "float32"})
    store.attributes["size"] = 4
    _equal(store.attributes, {"size": 3, "dtype": "float32"})


@_store_claim
def every_write_raises_the_version_by_one(store: Store) -> None:
    before = store.version
    store.put(b"a", b"1")
    store.put_many([(b"b", b"2"), (b"c", b"3")])
    store.delete(b"a")
    store.set_attributes({"size": 3})
    store.get(b"b")
    _equal(store.version, before + 4)


@_claim
def objects_of_one_name_are_one_store(repository: Repository) -> None:
    one, other = repository.store("words"), repository.store("words")
    one.put(b"a", b"1")
    _equal(other.get(b"a"), b"1")
    _equal(len(other), 1)
    _equal(other.version, one.version)


@_claim
def names_keep_records_apart(repository: Repository) -> None:
    names = ["", "a", "ab", "b", "ş"]
    for name in names:
        repository.store(name).put_many([(b"", name.encode()), (b"b", b"")])
    _equal(repository.names(), names)
    _equal([repository.store(name).name for name in names], names)
    _equal([repository.store(name).get(b"") for name in names], [name.encode() for name in names])
    _equal([len(repository.store(name)) for name in names], [2] * len(names))


@_claim
def a_dropped_store_is_gone_and_its_neighbours_are_not(repository: Repository) -> None:
    for name in ("a", "ab"):
        repository.store(name).put(b"key", b"")
    held = repository.store("a")
    held.set_attributes({"size": 1})
    repository.drop("a")
    repository.drop("never there")
    _equal(repository.names(), ["ab"])
    _equal((len(held), held.attributes), (0, {}))
    _equal(len(repository.store("ab")), 1)
    held.put(b"key", b"again")
    _equal(repository.names(), ["a", "ab"])
    _equal(repository.store("a").get(b"key"), b"again")


@_claim
def a_store_comes_into_being_with_its_first_write(repository: Repository) -> None:
    repository.store("a")
    repository.store("b").put(b"", b"")
    _equal(repository.names(), ["b"])


@_claim
def a_read_only_store_refuses_writing(repository: Repository) -> None:
    repository.store("words").put(b"a", b"1")
    store = repository.store("words", read_only=True)
    _equal((store.read_only, repository.store("words").read_only), (True, False))
    _raises(StoreError, lambda: store.put(b"a", b"2"))
    _raises(StoreError, lambda: store.delete(b"a"))
    _raises(StoreError, store.clear)
    _raises(StoreError, lambda: store.set_attributes({}))
    _equal(store.get(b"a"), b"1")


@_claim
def a_missing_store_cannot_be_read_only(repository: Repository) -> None:
    _raises(StoreError, lambda: repository.store("none", read_only=True))


@_claim
def a_name_may_not_hold_nul(repository: Repository) -> None:
    _raises(ValueError, lambda: repository.store("a\0"))


@_store_claim
def other_types_than_bytes_are_refused_before_anything_is_written(store: Store) -> None:
    _raises(TypeError, lambda: store.put_many([(b"a", b"1"), (b"b", cast("bytes", "2"))]))
    _equal(len(store), 0)


@_claim
def a_closed_repository_says_so(repository: Repository) -> None:
    store = repository.store("words")
    store.put_many([(b"%d" % i, b"") for i in range(300)])
    items = store.items()
    next(items)
    repository.close()
    repository.close()
    _raises(StoreError, lambda: store.get(b"1"))
    _raises(StoreError, lambda: store.put(b"1", b""))
    _raises(StoreError, lambda: len(store))
    _raises(StoreError, lambda: list(items))
    _raises(StoreError, lambda: repository.store("words"))


@_store_claim
def threads_see_whole_batches(store: Store) -> None:
    keys = [b"%d" % i for i in range(20)]
    store.put_many([(key, b"0") for key in keys])
    before = store.version
    mixed: list[Any] = []

    def write(start: int) -> None:
        for i in range(start, start + 30):
            store.put_many([(key, b"%d" % i) for key in keys])

    def read() -> None:
        try:
            for _ in range(60):
                values = {value for _, value in store.items()}
                if len(values) != 1:
                    mixed.append(values)
        except BaseException as error:
            mixed.append(error)

    threads = [threading.Thread(target=write, args=(i * 100,)) for i in range(4)]
    threads += [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _equal(mixed, [])
    _equal((len(store), store.version), (20, before + 120))


@_claim
def a_store_is_a_sorted_dictionary(repository: Repository) -> None:
    draw = random.Random(11)
    repository.store("wor").put(b"ds", b"neighbour")
    store = repository.store("words")
    expected: dict[bytes, bytes] = {}
    for _ in range(100):
        keys = [draw.randbytes(draw.randrange(3)) for _ in range(draw.randrange(8))]
        puts = {key: draw.randbytes(draw.randrange(9)) for key in keys[::2]}
        store.put_many(puts.items())
        expected |= puts
        _equal(store.delete_many(keys[1::2]), sum(expected.pop(key, None) is not None for key in keys[1::2]))
        _equal(len(store), len(expected))
        _equal(store.get_many(keys), [expected.get(key) for key in keys])
        start = draw.randbytes(draw.randrange(3))
        _equal(list(store.keys(start)), sorted(key for key in expected if key >= start))
    _equal(list(store.items()), sorted(expected.items()))


CLAIMS: tuple[Claim, ...] = tuple(_claims)
"""All claims."""
