"""Stores in memory: for tests, for small vocabularies, for what need not outlive the process."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from spago.embeddings._base_store import BaseStore
from spago.embeddings._store import (
    Attributes,
    StoreError,
    as_batch,
    missing_store_error,
    name_bytes,
)


class _Content:
    """The records of one name, shared by all stores of that name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.records: dict[bytes, bytes] = {}
        self.attributes: dict[str, int | str] = {}
        self.version = 0
        self.written = False
        self.order: list[bytes] | None = []

    def wrote(self, *, dropped: bool = False) -> None:
        """Note a write, with the lock held."""
        self.version += 1
        self.written = not dropped

    def sorted_keys(self) -> list[bytes]:
        """Return the keys in byte order, with the lock held; the list is made anew after keys came or went."""
        if self.order is None:
            self.order = sorted(self.records)
        return self.order


class MemoryRepository:
    """Named stores in memory; their content goes when the repository is closed.

    Examples:
        >>> with MemoryRepository() as repository:
        ...     store = repository.store("words")
        ...     store.put(b"ev", b"house")
        ...     store.get(b"ev")
        b'house'
    """

    read_only = False

    def __init__(self) -> None:
        self._contents: dict[str, _Content] = {}
        self._lock = threading.Lock()
        self._closed = False

    def store(self, name: str, *, read_only: bool = False) -> MemoryStore:
        """Return the store of that name; see `Repository.store`."""
        name_bytes(name)
        with self._lock:
            self.check_open()
            content = self._contents.get(name)
            if content is None:
                if read_only:
                    raise missing_store_error(name, "memory")
                content = self._contents[name] = _Content()
        return MemoryStore(self, name, content, read_only)

    def names(self) -> list[str]:
        """Return the names of the stores that have been written, in the byte order of their UTF-8."""
        with self._lock:
            self.check_open()
            return sorted((name for name, content in self._contents.items() if content.written), key=str.encode)

    def drop(self, name: str) -> None:
        """Remove a store with its attributes; nothing happens when there is none."""
        with self._lock:
            self.check_open()
            content = self._contents.get(name)
        if content is not None:
            with content.lock:
                content.records, content.attributes, content.order = {}, {}, []
                content.wrote(dropped=True)

    def close(self) -> None:
        """Close the repository and forget all records."""
        self._closed = True
        self._contents = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check_open(self) -> None:
        """Raise StoreError when the repository is closed."""
        if self._closed:
            raise StoreError("memory: expected an open repository, got a closed one; make another")


class MemoryStore(BaseStore):
    """One store of a `MemoryRepository`; see `Store`."""

    def __init__(self, repository: MemoryRepository, name: str, content: _Content, read_only: bool) -> None:
        super().__init__(name, read_only)
        self._repository = repository
        self._content = content

    @property
    def version(self) -> int:
        """A number that rises by one with every write."""
        return self._content.version

    @property
    def attributes(self) -> dict[str, int | str]:
        """A copy of what was noted with `set_attributes`."""
        return dict(self._open().attributes)

    def set_attributes(self, attributes: Attributes) -> None:
        """Replace the attributes."""
        content = self._writable()
        with content.lock:
            content.attributes = dict(attributes)
            content.wrote()

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value, or None, for each key."""
        content = self._open()
        with content.lock:
            return list(map(content.records.get, keys))

    def put_many(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Write all pairs in one atomic batch."""
        batch = as_batch(items)
        content = self._writable()
        with content.lock:
            before = len(content.records)
            content.records.update(batch)
            if len(content.records) != before:
                content.order = None
            content.wrote()

    def delete_many(self, keys: Iterable[bytes]) -> int:
        """Remove all keys in one atomic batch and return how many were there."""
        keys = list(keys)
        content = self._writable()
        with content.lock:
            removed = sum(content.records.pop(key, None) is not None for key in keys)
            content.order = None
            content.wrote()
        return removed

    def clear(self) -> None:
        """Remove all records; the attributes stay."""
        content = self._writable()
        with content.lock:
            content.records, content.order = {}, []
            content.wrote()

    def keys(self, start: bytes = b"") -> Iterator[bytes]:
        """Iterate over the keys ≥ start in byte order."""
        content = self._open()
        with content.lock:
            keys = content.sorted_keys()
        for key in keys[bisect_left(keys, start) :]:
            self._open()
            yield key

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys ≥ start and their values in byte order."""
        content = self._open()
        with content.lock:
            keys, records = content.sorted_keys(), dict(content.records)
        for key in keys[bisect_left(keys, start) :]:
            self._open()
            yield key, records[key]

    def __len__(self) -> int:
        return len(self._open().records)

    def _open(self) -> _Content:
        self._repository.check_open()
        return self._content

    def _writable(self) -> _Content:
        self._check_writable()
        return self._open()
