"""The rows of an embedding model that backward has reached, as one parameter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from spago.embeddings._store import StoreError
from spago.embeddings._vectors import Vectors
from spago.mat import Array, ShapeError
from spago.nn import Payload


class TouchedRows:
    """What an optimizer updates of an embedding model: the N words that have a gradient, in the order they got it.

    It has what `nn.Trainable` asks for. Vectors and state are read when they are first asked for; rows that get a
    gradient afterwards are added at the end, and what was changed in place stays.
    """

    name = "rows"
    requires_grad = True

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        self._lock = vectors.lock
        self._rows: dict[bytes, int] = {}
        self._grad = self.vectors.zeros(0)
        self._value = self.vectors.zeros(0)
        self._payload: Payload | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def keys(self) -> list[bytes]:
        """The keys of the rows."""
        return list(self._rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return len(self._rows), self.vectors.size

    @property
    def grad(self) -> Any:
        """The gradients, shape (N, D), or None when there are none. Changing them in place counts."""
        with self._lock:
            return self._grad[: len(self._rows)] if self._rows else None

    @grad.setter
    def grad(self, grad: Array | None) -> None:
        if grad is None:
            self.zero_grad()
        else:
            with self._lock:
                self._check(grad)
                self._grad[: len(self._rows)] = grad

    @property
    def value(self) -> Array:
        """The vectors, shape (N, D). Changing them in place counts when `commit` is called."""
        with self._lock:
            self._load()
            return self._value

    @value.setter
    def value(self, value: Array) -> None:
        with self._lock:
            self._check(value)
            self._load()
            self._value[...] = value

    @property
    def payload(self) -> Payload | None:
        """The optimizer's state, arrays of shape (N, D), or None when no row has any; zeros for a row that has none."""
        with self._lock:
            self._load()
            return self._payload

    @payload.setter
    def payload(self, payload: Payload | None) -> None:
        with self._lock:
            self._load()
            self._payload = payload

    def commit(self) -> None:
        """Write vectors and state of all rows in one atomic batch; gradients stay.

        When the store fails, nothing is written and nothing is forgotten: commit again when it is mended.

        Raises:
            StoreError: When the store cannot write.
        """
        with self._lock:
            if not self._rows:
                return
            self._load()
            self.vectors.write(self.keys, self._value, self._payload)
            self._value, self._payload = self.vectors.zeros(0), None

    def zero_grad(self) -> None:
        """Forget all gradients, and with them what was not committed."""
        with self._lock:
            self._rows = {}
            self._grad, self._value, self._payload = self.vectors.zeros(0), self.vectors.zeros(0), None

    def accumulate(self, keys: Sequence[bytes], totals: Array) -> None:
        """Add to the gradients of the keys, which differ from one another; totals has shape (len(keys), D)."""
        with self._lock:
            rows = self._rows
            places = np.array([rows.setdefault(key, len(rows)) for key in keys], np.intp)
            if len(rows) > len(self._grad):
                grown = np.zeros((max(len(rows), 2 * len(self._grad)), self.vectors.size), self.vectors.dtype)
                grown[: len(self._grad)] = self._grad
                self._grad = grown
            self._grad[places] += totals

    def grad_of(self, keys: Sequence[bytes]) -> Array | None:
        """Return a copy of the gradients of the keys, zeros for those that have none; None when no key has any."""
        with self._lock:
            places = np.array([self._rows.get(key, -1) for key in keys], np.intp)
            if (places < 0).all():
                return None
            grad = np.zeros((len(keys), self.vectors.size), self.vectors.dtype)
            grad[places >= 0] = self._grad[places[places >= 0]]
            return grad

    def drop(self, keys: Collection[bytes]) -> None:
        """Forget the gradients of the keys."""
        with self._lock:
            if self._rows.keys().isdisjoint(keys):
                return
            dropped = set(keys)
            kept = [row for key, row in self._rows.items() if key not in dropped]
            loaded = [row for row in kept if row < len(self._value)]
            self._rows = {key: i for i, key in enumerate(key for key in self._rows if key not in dropped)}
            self._grad, self._value = self._grad[kept], self._value[loaded]
            if self._payload is not None:
                arrays = {name: array[loaded] for name, array in self._payload.arrays.items()}
                self._payload = Payload(self._payload.label, arrays)

    def forget_state(self) -> None:
        """Forget the state that was read with the rows."""
        with self._lock:
            self._payload = None

    def _load(self) -> None:
        """Read vectors and state of the rows that do not have them yet."""
        have = len(self._value)
        if have == len(self._rows):
            return
        keys = self.keys[have:]
        block = self.vectors.read(keys, state=True)
        if not block.found.all():
            gone = [key for key, found in zip(keys, block.found, strict=True) if not found]
            raise StoreError(
                f"embeddings: expected to update words of the store, got {len(gone)} that were removed since their "
                f"gradient came, such as {gone[0]!r}; call zero_grad"
            )
        self._payload = _joined(self._payload, block.payload, have, len(keys))
        self._value = np.concatenate([self._value, block.values]) if have else block.values

    def _check(self, array: Array) -> None:
        if array.shape != self.shape:
            raise ShapeError(f"embeddings: expected an array of shape {self.shape}, one row a word, got {array.shape}")


def _joined(head: Payload | None, tail: Payload | None, have: int, more: int) -> Payload | None:
    """Return the state of rows that were there, `have` of them, followed by that of `more` rows."""
    if not have:
        return tail
    if head is None:
        return None
    same = tail.arrays if tail is not None and tail.label == head.label else {}
    return Payload(
        head.label,
        {
            name: np.concatenate([array, same.get(name, np.zeros((more, array.shape[1]), array.dtype))])
            for name, array in head.arrays.items()
        },
    )
