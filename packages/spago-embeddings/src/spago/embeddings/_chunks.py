"""The vectors of a whole store, some at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spago.embeddings._record import decode
from spago.embeddings._store import Store
from spago.mat import Array, FormatError


class Chunk(NamedTuple):
    """Some of the vectors of a store.

    Attributes:
        keys: N keys in byte order.
        values: Their vectors, shape (N, D).
    """

    keys: list[bytes]
    values: Array


def chunks(store: Store, count: int = 1000, start: bytes = b"") -> Iterator[Chunk]:
    """Yield the vectors of a store from key start on, at most count at a time, in the byte order of their keys.

    Raises:
        DamagedRecordError: When a record is damaged.
        FormatError: When a record has a vector of another size than the store's.
    """
    items = store.items(start)
    size = store.attributes.get("size")
    while chunk := list(itertools.islice(items, count)):
        keys = [key for key, _ in chunk]
        groups = decode(keys, [record for _, record in chunk], f"store {store.name!r}")
        for group in groups:
            if group.layout.size != size:
                raise FormatError(
                    f"store {store.name!r}: key {keys[int(group.positions[0])]!r}: expected {size} numbers, got "
                    f"{group.layout.size}; write it again"
                )
        if len(groups) == 1:
            yield Chunk(keys, groups[0].values)
        else:
            values: Array = np.empty((len(keys), groups[0].layout.size), groups[0].values.dtype)
            for group in groups:
                values[group.positions] = group.values
            yield Chunk(keys, values)
