"""What a key-value store must offer to hold embeddings, and how it says that something is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeAlias, runtime_checkable

from spago.mat import FormatError

Attributes: TypeAlias = Mapping[str, int | str]
"""What a store notes about its records: the size of the vectors, their dtype, the version of the format."""


class StoreError(OSError):
    """A store cannot do what was asked: it is closed, read-only, missing, or its disk is full."""


class StoreLockedError(StoreError):
    """The store is open in another process."""


class DamagedStoreError(StoreError, FormatError):
    """The files of a store are damaged, or records that were acknowledged are gone."""


class DamagedRecordError(DamagedStoreError):
    """One record is damaged. Its numbers are never returned.

    Attributes:
        key: The key of the record.
    """

    def __init__(self, message: str, key: bytes) -> None:
        super().__init__(message)
        self.key = key

    def __reduce__(self) -> tuple[type[Self], tuple[str, bytes]]:
        return type(self), (str(self), self.key)


@runtime_checkable
class Store(Protocol):
    """A mapping from bytes to bytes, in the byte order of its keys.

    Every write is atomic: after a crash, all of a batch is there or nothing of it. All methods may be called from
    several threads. Methods raise StoreError when the store is closed, was opened before a fork, or fails; those that
    write also when it is read-only.
    """

    @property
    def name(self) -> str:
        """The name under which the repository knows the store."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        ...

    @property
    def version(self) -> int:
        """A number that rises by exactly one with every write to this store; it tells a cache when it is stale."""
        ...

    @property
    def attributes(self) -> dict[str, int | str]:
        """A copy of what was noted with `set_attributes`."""
        ...

    def set_attributes(self, attributes: Attributes) -> None:
        """Replace the attributes of the store."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """Return the value of key, or None."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value, or None, for each key."""
        ...

    def put(self, key: bytes, value: bytes) -> None:
        """Write one value."""
        ...

    def put_many(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Write all pairs of key and value in one atomic batch; of equal keys the last one counts."""
        ...

    def delete(self, key: bytes) -> bool:
        """Remove key and return whether it was there."""
        ...

    def delete_many(self, keys: Iterable[bytes]) -> int:
        """Remove all keys in one atomic batch and return how many were there."""
        ...

    def clear(self) -> None:
        """Remove all records; the attributes stay. Not one batch: after a crash some may be left."""
        ...

    def keys(self, start: bytes = b"") -> Iterator[bytes]:
        """Iterate over the keys ≥ start in byte order, as they are at the first step."""
        ...

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys ≥ start and their values in byte order, as they are at the first step."""
        ...

    def __len__(self) -> int:
        """The number of records, without counting them."""
        ...

    def __contains__(self, key: object) -> bool: ...


class Repository(Protocol):
    """A place for several named stores; the stores share its life.

    It is a context manager that closes at the end. Closing twice is allowed.
    """

    @property
    def read_only(self) -> bool:
        """Whether writing is refused in all stores."""
        ...

    def store(self, name: str, *, read_only: bool = False) -> Store:
        """Return the store of that name. It comes into being with its first write.

        Args:
            name: Any text without NUL, also empty.
            read_only: Refuse writing through the returned object.

        Raises:
            StoreError: When there is no such store and it may not be written.
        """
        ...

    def names(self) -> list[str]:
        """Return the names of the stores that have been written, in the byte order of their UTF-8."""
        ...

    def drop(self, name: str) -> None:
        """Remove a store with its attributes; nothing happens when there is none."""
        ...

    def close(self) -> None:
        """Close the repository and all its stores."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def name_bytes(name: str) -> bytes:
    """Return the UTF-8 of a store's name, which may hold no NUL: on disk NUL ends the name."""
    if "\0" in name:
        raise ValueError(f"store: expected a name without NUL, got {name!r}; leave the NUL out")
    return name.encode()


def as_batch(items: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the pairs as a dictionary, checked before anything is written."""
    batch = dict(items)
    for key, value in batch.items():
        if type(key) is not bytes or type(value) is not bytes:
            raise TypeError(
                f"store: expected keys and values of bytes, got {type(key).__name__} and {type(value).__name__}; "
                "convert them with bytes()"
            )
    return batch


def read_only_error(name: str) -> StoreError:
    """Return the error for writing to a store that was opened for reading."""
    return StoreError(f"store {name!r}: expected a writable store, got one opened with read_only=True; open it without")


def missing_store_error(name: str, where: object) -> StoreError:
    """Return the error for reading a store that does not exist."""
    return StoreError(f"{where}: expected a store {name!r}, found none; `names()` lists what is there")
