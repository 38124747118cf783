"""Vectors and optimizer state of words in a store, with a cache before it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.embeddings._cache import RowCache
from spago.embeddings._record import FORMAT, Group, decode, encode
from spago.embeddings._store import Store
from spago.mat import Array, FormatError, ShapeError
from spago.nn import Payload

_CLEAR_CHUNK = 1000


class Block(NamedTuple):
    """What was read for N keys.

    Attributes:
        values: Vectors, shape (N, D); zeros where the key is absent.
        found: Whether the key is present, shape (N,).
        payload: State of all rows, zeros for rows that have none; None when no state was asked for or met yet.
    """

    values: Array
    found: npt.NDArray[np.bool_]
    payload: Payload | None


class Vectors:
    """The arrays behind a model: reads and writes records in bulk.

    Args:
        store: Where the records are.
        size: D.
        dtype: float32 or float64.
        cache_bytes: Bound for the cache.
        trainable: Whether to keep optimizer state in the cache.

    Attributes:
        lock: Held while the cache and what is built on it are looked at or changed.
        nodes: Leaves of the graph by key whose value follows what is written.
    """

    def __init__(self, store: Store, size: int, dtype: np.dtype[Any], cache_bytes: int, trainable: bool) -> None:
        self.store = store
        self.size = size
        self.dtype = dtype
        self.lock = threading.RLock()
        self.nodes: WeakValueDictionary[bytes, ag.Variable] = WeakValueDictionary()
        self._trainable = trainable
        self._cache_bytes = cache_bytes
        self._label = ""  # of the optimizer whose state is in use; empty before any is met
        self._cache = RowCache(size, dtype, cache_bytes)
        self._seen = -1  # the version of the store that the cache agrees with

    def zeros(self, count: int) -> Array:
        """Return zeros for that many rows."""
        return np.zeros((count, self.size), self.dtype)

    def read(self, keys: Sequence[bytes], *, state: bool = False) -> Block:
        """Return the vectors of different keys, and with state also that of the optimizer in use.

        Raises:
            DamagedRecordError: When a record is damaged.
            FormatError: When a record holds a vector of another size or dtype.
        """
        found = np.ones(len(keys), np.bool_)
        with self.lock:
            version = self._refresh()
            cached = self._cache.arrays if state else {"": self._cache.arrays[""]}
            slots = self._cache.find(keys)
            hits = np.flatnonzero(slots >= 0)
            rows = {name: self.zeros(len(keys)) for name in cached}
            for name, array in rows.items():
                array[hits] = cached[name][slots[hits]]
        misses = np.flatnonzero(slots < 0)
        if misses.size:
            fresh, found[misses] = self._fetch([keys[i] for i in misses.tolist()], version)
            for name in fresh if state else ("",):
                rows.setdefault(name, self.zeros(len(keys)))[misses] = fresh[name]
        values = rows.pop("")
        return Block(values, found, Payload(self._label, rows) if state and self._label else None)

    def _fetch(self, keys: list[bytes], version: int) -> tuple[dict[str, Array], npt.NDArray[np.bool_]]:
        """Read from the store, into the cache too; return vectors, under the empty name, state, and what is there."""
        records = {
            key: record for key, record in zip(keys, self.store.get_many(keys), strict=True) if record is not None
        }
        found = np.array([key in records for key in keys], np.bool_)
        places = np.flatnonzero(found)
        groups = self._decode(list(records), list(records.values()))
        with self.lock:
            for group in groups:
                if self._trainable and not self._label and group.layout.label:
                    self._adopt(group.layout.label, group.layout.names)
            rows = {name: self.zeros(len(keys)) for name in self._cache.arrays}
            for group in groups:
                rows[""][places[group.positions]] = group.values
                # State of another optimizer than the one in use counts as none.
                if (group.layout.label, group.layout.names) == (self._label, self._cache.names):
                    for name, array in group.arrays.items():
                        rows[name][places[group.positions]] = array
            if self.store.version == version == self._seen:
                self._cache.put(list(records), {name: array[places] for name, array in rows.items()})
        return rows, found

    def _decode(self, keys: list[bytes], records: list[bytes]) -> list[Group]:
        groups = decode(keys, records, self._where)
        for group in groups:
            if (group.layout.size, group.layout.dtype) != (self.size, self.dtype):
                raise FormatError(
                    f"{self._where}: key {keys[group.positions[0]]!r}: expected {self.size} numbers of {self.dtype}, "
                    f"got {group.layout.size} of {group.layout.dtype}; write it again"
                )
        return groups

    def _refresh(self) -> int:
        """Forget the cache when somebody else has written to the store; return the store's version."""
        version = self.store.version
        if version != self._seen:
            self._cache.clear()
            self._seen = version
        return version

    def _adopt(self, label: str, names: Sequence[str]) -> None:
        """Keep state of that optimizer from now on."""
        if (label, tuple(names)) != (self._label, self._cache.names):
            self._label = label
            self._cache = RowCache(self.size, self.dtype, self._cache_bytes, names)

    @property
    def _where(self) -> str:
        return f"store {self.store.name!r}"

    def write(self, keys: list[bytes], values: Array, payload: Payload | None) -> None:
        """Store vectors and state of different keys in one atomic batch.

        Args:
            keys: N different keys.
            values: Shape (N, D).
            payload: Arrays of shape (N, D), or None for no state.

        Raises:
            StoreError: When the store cannot write; then nothing is written.
        """
        label, arrays = ("", {}) if payload is None else (payload.label, payload.arrays)
        records = encode(keys, values, label, arrays)
        with self.lock:
            version = self._refresh()
            self.store.put_many(zip(keys, records, strict=True))
            if label and self._trainable:
                self._adopt(label, tuple(arrays))
            if self.store.version == version + 1:
                self._cache.put(keys, {"": values, **arrays})
                self._seen = version + 1
            for key, value in zip(keys, values, strict=True) if self.nodes else ():
                node = self.nodes.get(key)
                if node is not None:
                    node.value = value.copy()

    def payload(self, key: bytes) -> Payload | None:
        """Return the state that is stored with a key, arrays of shape (D,), of whatever optimizer; or None."""
        record = self.store.get(key)
        if record is None:
            return None
        (group,) = decode([key], [record], self._where)
        arrays = {name: array[0] for name, array in group.arrays.items()}
        return Payload(group.layout.label, arrays) if group.layout.label else None

    def clear_state(self) -> None:
        """Write all records that have state without it, some at a time."""
        with self.lock:
            self._adopt("", ())
            items = self.store.items()
            while chunk := dict(itertools.islice(items, _CLEAR_CHUNK)):
                keys = list(chunk)
                for group in self._decode(keys, list(chunk.values())):
                    if group.layout.label:
                        positions: list[int] = group.positions.tolist()
                        group_keys = [keys[i] for i in positions]
                        self.store.put_many(zip(group_keys, encode(group_keys, group.values), strict=True))


def agree(store: Store, size: int | None, dtype: npt.DTypeLike | None) -> tuple[int, np.dtype[Any]]:
    """Return size and dtype of the store's vectors, which are those asked for, if any were."""
    known = store.attributes
    known_size = known.get("size", size)
    known_dtype: np.dtype[Any] = np.dtype(str(known["dtype"])) if "dtype" in known else np.dtype(dtype or np.float32)
    if not isinstance(known_size, int) or known_size < 1:
        raise ValueError(f"embeddings: expected a size of at least 1 for new store {store.name!r}, got {known_size}")
    if size not in (None, known_size):
        raise ShapeError(f"embeddings: expected size {known_size}, that of store {store.name!r}, got {size}")
    if known_dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"embeddings: expected dtype float32 or float64, got {known_dtype}")
    if dtype is not None and np.dtype(dtype) != known_dtype:
        raise ValueError(
            f"embeddings: expected dtype {known_dtype}, that of store {store.name!r}, got {np.dtype(dtype)}"
        )
    return known_size, known_dtype


def note(store: Store, size: int, dtype: np.dtype[Any]) -> None:
    """Write size, dtype and format into the attributes of a store, unless they are there."""
    before = store.attributes
    after = before | {"format": FORMAT, "size": size, "dtype": dtype.name}
    if after != before:
        store.set_attributes(after)
