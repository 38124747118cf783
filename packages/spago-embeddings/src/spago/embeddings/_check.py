"""Reading a whole store to see whether anything is damaged or missing."""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from spago.embeddings._record import RESIDUE
from spago.embeddings._store import DamagedStoreError, Store


class CheckReport(NamedTuple):
    """What a check has found.

    Attributes:
        expected: How many records the store says it has.
        found: How many could be read.
        damaged: The keys of records whose checksum is wrong.
        unreadable: What the store said when it could not go on reading; empty when it read to the end.
    """

    expected: int
    found: int
    damaged: list[bytes]
    unreadable: str

    @property
    def ok(self) -> bool:
        """Whether all records are there and whole."""
        return self.found == self.expected and not self.damaged and not self.unreadable


def check(store: Store) -> CheckReport:
    """Read every record of a store, verify its checksum, and count.

    Examples:
        >>> from spago import embeddings
        >>> store = embeddings.MemoryRepository().store("words")
        >>> embeddings.Model(store, 2).set("ev", [1, 2])
        >>> embeddings.check(store).ok
        True
        >>> store.put(b"ev", b"no record")
        >>> embeddings.check(store).damaged
        [b'ev']
    """
    expected, found, unreadable = len(store), 0, ""
    damaged: list[bytes] = []
    try:
        for key, record in store.items():
            found += 1
            if crc32(record, crc32(key)) != RESIDUE:
                damaged.append(key)
    except DamagedStoreError as error:
        unreadable = str(error)
    return CheckReport(expected, found, damaged, unreadable)
