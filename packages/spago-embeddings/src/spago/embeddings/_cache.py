"""Decoded records in arrays of bounded size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spago.mat import Array

Slots = npt.NDArray[np.intp]

# What a row costs beside its numbers: the key, and its places in a dict and a list.
_KEY_BYTES = 200

_NEVER = np.iinfo(np.int64).max  # the time at which a row that may not be forgotten was used


class RowCache:
    """Vectors and optimizer state of some words; the least recently used give way to new ones.

    One row of each array is one word, so that a batch is copied with one NumPy call an array.

    Args:
        size: Numbers in a vector.
        dtype: Of vectors and state.
        max_bytes: Bound for arrays and keys together; 0 keeps nothing.
        names: The state arrays to keep.

    Attributes:
        names: The state arrays that are kept.
        arrays: By name, those of state; the vectors are under the empty name. Shape (capacity, size).
    """

    def __init__(self, size: int, dtype: np.dtype[Any], max_bytes: int, names: Sequence[str] = ()) -> None:
        row_bytes = size * dtype.itemsize * (1 + len(names)) + _KEY_BYTES
        self.capacity = max_bytes // row_bytes
        self.names = tuple(names)
        self.arrays: dict[str, Array] = {name: np.empty((self.capacity, size), dtype) for name in ("", *names)}
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._free: list[int] = []
        self._used = np.zeros(self.capacity, np.int64)
        self._time = 0

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, keys: Sequence[bytes]) -> Slots:
        """Return the row of each key, -1 where there is none."""
        slots = self._slots
        found = np.array([slots.get(key, -1) for key in keys], np.intp)
        self._time += 1
        self._used[found[found >= 0]] = self._time
        return found

    def put(self, keys: Sequence[bytes], rows: dict[str, Array]) -> None:
        """Keep rows, arrays of shape (N, size) by name; state that rows does not have is zero.

        Args:
            keys: N different keys; of more than fit the last ones are kept.
            rows: The vectors under the empty name, and state.
        """
        first = max(len(keys) - self.capacity, 0)
        places = self._places(keys[first:])
        for name, array in self.arrays.items():
            array[places] = rows[name][first:] if name in rows else 0
        self._time += 1
        self._used[places] = self._time

    def discard(self, keys: Sequence[bytes]) -> None:
        """Forget the keys."""
        for key in keys:
            slot = self._slots.pop(key, None)
            if slot is not None:
                self._free.append(slot)

    def clear(self) -> None:
        """Forget all keys."""
        self._slots, self._keys, self._free = {}, [], []

    def _places(self, keys: Sequence[bytes]) -> Slots:
        """Return a row for each key, its own if it has one."""
        new = [key for key in keys if key not in self._slots]
        room = self.capacity - len(self._slots)
        if len(new) > room:
            self._make_room(len(new) - room, keys)
        for key in new:
            if self._free:
                slot = self._free.pop()
                self._keys[slot] = key
            else:
                slot = len(self._keys)
                self._keys.append(key)
            self._slots[key] = slot
        return np.array([self._slots[key] for key in keys], np.intp)

    def _make_room(self, count: int, keep: Sequence[bytes]) -> None:
        """Forget at least count of the least recently used keys, and a sixteenth of all to do so rarely."""
        used = self._used[: len(self._keys)].copy()
        own = [self._slots[key] for key in keep if key in self._slots]
        used[own] = used[self._free] = _NEVER
        count = min(max(count, self.capacity // 16), len(self._slots) - len(own))
        if count:
            oldest: list[int] = np.argpartition(used, count - 1)[:count].tolist()
            self.discard([self._keys[slot] for slot in oldest])
