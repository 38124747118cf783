"""Which words have come before, in little memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_RECENT = 65_536


class SeenKeys:
    """The keys that were added, known by 64 bits each: a key that was not added is taken for one once in 2^64 / N.

    New keys are collected in a set, and merged into a sorted array from time to time: 8 bytes a key.
    """

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.int64)
        self._recent: set[int] = set()

    def add(self, keys: Sequence[bytes]) -> list[int]:
        """Add keys, and return the places of those that had been added before, or come twice in keys."""
        hashes = list(map(hash, keys))
        before: list[int] = []
        if self._recent.isdisjoint(hashes) and len(set(hashes)) == len(hashes):
            self._recent.update(hashes)
        else:
            for i, value in enumerate(hashes):
                if value in self._recent:
                    before.append(i)
                self._recent.add(value)
        if len(self._sorted) and hashes:
            array = np.array(hashes, np.int64)
            places = np.searchsorted(self._sorted, array)
            found = self._sorted[np.minimum(places, len(self._sorted) - 1)] == array
            if found.any():
                before = sorted({*before, *np.flatnonzero(found).tolist()})
        if len(self._recent) > _RECENT:
            self._sorted = np.union1d(self._sorted, np.fromiter(self._recent, np.int64, len(self._recent)))
            self._recent = set()
        return before
