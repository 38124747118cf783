"""Leaves of the graph whose gradients go to the words of a store."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.embeddings._rows import TouchedRows
from spago.mat import Array
from spago.nn import Payload


class Embedding(ag.Variable):
    """The vector of one word: a leaf of the graph, shape (D,).

    All embeddings of one word, as long as any is held, are one object; an update through any way shows in `value`.
    """

    __slots__ = ("_key", "_rows")

    def __init__(self, rows: TouchedRows, key: bytes, value: Array, *, requires_grad: bool, name: str) -> None:
        super().__init__(value, requires_grad=requires_grad, name=name)
        self._rows = rows
        self._key = key

    @property
    def grad(self) -> Any:
        """The gradient of the word since the last `zero_grad`, or None."""
        grad = self._rows.grad_of([self._key])
        return None if grad is None else grad[0]

    @grad.setter
    def grad(self, grad: npt.ArrayLike | None) -> None:
        array = None if grad is None else self._as_gradient(grad)
        self._rows.drop([self._key])
        if array is not None:
            self.acc_grad(array)

    @property
    def payload(self) -> Payload | None:
        """A copy of the state that an optimizer has stored with the word, arrays of shape (D,), or None."""
        return self._rows.vectors.payload(self._key)

    def zero_grad(self) -> None:
        """Forget the gradient of the word."""
        self._rows.drop([self._key])

    def _receive(self, grad: Array, owned: bool) -> None:
        self._rows.accumulate([self._key], grad[None])

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle of a leaf is its value: it does not drag a store along.
        return _leaf, (self.value.copy(), self.name)


class EmbeddedWords(ag.Variable):
    """The vectors of some words: a leaf of the graph, shape (N, D).

    Its gradient goes to the words, to each the sum over its places. `grad` shows what the words have.
    """

    __slots__ = ("_keys", "_places", "_rows")

    def __init__(
        self, rows: TouchedRows, keys: list[bytes], value: Array, places: npt.NDArray[np.intp], *, requires_grad: bool
    ) -> None:
        super().__init__(value, requires_grad=requires_grad and bool(keys))
        self._rows = rows
        self._keys = keys
        self._places = places  # which of the keys each row is of; those ≥ len(keys) are constants

    @property
    def grad(self) -> Any:
        """The gradients of the words since the last `zero_grad`, shape (N, D), zeros for constants; or None."""
        grad = self._rows.grad_of(self._keys) if self.requires_grad else None
        if grad is None:
            return None
        shown = np.zeros_like(self.value)
        trained = self._places < len(self._keys)
        shown[trained] = grad[self._places[trained]]
        return shown

    @grad.setter
    def grad(self, grad: npt.ArrayLike | None) -> None:
        array = None if grad is None else self._as_gradient(grad)
        self._rows.drop(self._keys)
        if array is not None:
            self.acc_grad(array)

    def zero_grad(self) -> None:
        """Forget the gradients of the words."""
        self._rows.drop(self._keys)

    def _receive(self, grad: Array, owned: bool) -> None:
        self._rows.accumulate(self._keys, _sum_by_place(grad, self._places, len(self._keys)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _leaf, (self.value.copy(), self.name)


def _leaf(value: Array, name: str) -> ag.Variable:
    return ag.Variable(value, name=name)


def _sum_by_place(grad: Array, places: npt.NDArray[np.intp], count: int) -> Array:
    """Return the sums of the rows of grad for the places 0 to count - 1, each of which occurs; others are left out."""
    order = np.argsort(places, kind="stable")
    if len(order) == count:  # each occurs once
        return grad[order]
    starts = np.searchsorted(places[order], np.arange(count + 1))
    totals: Array = np.add.reduceat(grad[order[: starts[-1]]], starts[:-1], axis=0)
    return totals
