"""What stores of every kind do in the same way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from spago.embeddings._store import read_only_error


class BaseStore(ABC):
    """Reads and writes single records as batches of one."""

    def __init__(self, name: str, read_only: bool) -> None:
        self._name = name
        self._read_only = read_only

    @property
    def name(self) -> str:
        """The name under which the repository knows the store."""
        return self._name

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        return self._read_only

    def get(self, key: bytes) -> bytes | None:
        """Return the value of key, or None.

        Raises:
            DamagedRecordError: When it is damaged on disk.
        """
        return self.get_many([key])[0]

    def put(self, key: bytes, value: bytes) -> None:
        """Write one value."""
        self.put_many([(key, value)])

    def delete(self, key: bytes) -> bool:
        """Remove key and return whether it was there."""
        return self.delete_many([key]) == 1

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value, or None, for each key."""

    @abstractmethod
    def put_many(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Write all pairs in one atomic batch."""

    @abstractmethod
    def delete_many(self, keys: Iterable[bytes]) -> int:
        """Remove all keys in one atomic batch and return how many were there."""

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self.get(key) is not None

    def _check_writable(self) -> None:
        if self._read_only:
            raise read_only_error(self._name)
