"""Padded batches of sequences, packed for recurrence: the rows of each time step side by side, without padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.mat._errors import ShapeError
from spago.mat._types import Array

Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the real steps of a padded batch (B, T) go when they are packed time step by time step.

    Sequences are sorted by descending length, so that those still running at a step are the first rows of the batch.
    A packed array has N = Σ lengths rows: first all first steps, then all second steps, and so on.

    Attributes:
        shape: (B, T).
        order: (B,), the sequence of each row of the sorted batch.
        place: (B,), the row of the sorted batch of each sequence; the inverse of order.
        sizes: How many sequences have a step 0, a step 1, …
        offsets: The packed row at which each step begins.
        forward: (N,), the row of the flattened padded batch (B·T) that each packed row is, first step first.
        backward: (N,), the same with each sequence read from its last step to its first.
        last: (B,), for each sequence the packed row of its last step.
        previous: The packed row of the step before, for all packed rows from step 1 on.

    Examples:
        >>> packing = Packing.of([1, 2], steps=2)
        >>> packing.sizes, packing.forward.tolist(), packing.backward.tolist()
        ((2, 1), [2, 0, 3], [3, 0, 2])
    """

    shape: tuple[int, int]
    order: Ints
    place: Ints
    sizes: tuple[int, ...]
    offsets: tuple[int, ...]
    forward: Ints
    backward: Ints
    last: Ints
    previous: Ints

    @classmethod
    def of(cls, lengths: npt.ArrayLike, steps: int) -> Packing:
        """Return the packing of sequences of the given lengths, padded to so many steps.

        Raises:
            TypeError: When lengths are not integers.
            ShapeError: When a length is below 1 or above steps, or lengths have not one axis.
        """
        sizes = check_lengths(lengths, steps)
        batch = len(sizes)
        order = np.argsort(-sizes, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(batch)
        by_step = np.arange(int(sizes.max()))[:, None] < sizes[order]
        step, row = np.nonzero(by_step)
        sequence = order[row]
        counts = by_step.sum(axis=1)
        offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return cls(
            shape=(batch, steps),
            order=order,
            place=place,
            sizes=tuple(counts.tolist()),
            offsets=tuple(offsets.tolist()),
            forward=sequence * steps + step,
            backward=sequence * steps + sizes[sequence] - 1 - step,
            last=offsets[sizes - 1] + place,
            previous=offsets[step[batch:] - 1] + row[batch:],
        )

    @staticmethod
    def equal(batch: int, steps: int) -> Packing:
        """Return the packing of sequences that all have so many steps; it is kept for the next time."""
        return _equal(batch, steps)

    def pack(self, padded: Array, index: Ints) -> Array:
        """Return the rows (N, D) of a padded batch (B, T, D), in the order of `forward` or `backward`."""
        rows: Array = padded.reshape(-1, padded.shape[-1])[index]
        return rows

    def unpack(self, rows: Array, index: Ints) -> Array:
        """Return packed rows (N, D) as a padded batch (B, T, D) with zeros where there is padding."""
        padded: Array = np.zeros((self.shape[0] * self.shape[1], rows.shape[-1]), dtype=rows.dtype)
        padded[index] = rows
        return padded.reshape(*self.shape, rows.shape[-1])


@lru_cache(maxsize=16)
def _equal(batch: int, steps: int) -> Packing:
    return Packing.of(np.full(batch, steps), steps)


def check_lengths(lengths: npt.ArrayLike, steps: int, batch: int | None = None) -> Ints:
    """Return the lengths of the sequences of a padded batch as an array of integers.

    Args:
        lengths: Integers (B,), the numbers of real steps; or a mask of booleans (B, T), True for real steps, all of
            which come before the padding.
        steps: T.
        batch: B, if it is known.

    Raises:
        TypeError: When they are neither integers nor booleans.
        ShapeError: When they have another shape, one is below 1 or above T, or a mask has a gap.
    """
    array: npt.NDArray[Any] = np.asarray(lengths)
    if array.dtype == np.bool_:
        array = _counted(array, steps)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"lengths: expected integers (B,) or a mask of booleans (B, T), got {array.dtype}")
    if array.ndim != 1 or not array.size or (batch is not None and len(array) != batch):
        wanted = "(B,)" if batch is None else f"({batch},)"
        raise ShapeError(f"lengths: expected shape {wanted}, one for each sequence, got {array.shape}")
    if array.min() < 1 or array.max() > steps:
        raise ShapeError(f"lengths: expected values from 1 to {steps}, got {array.min()} to {array.max()}")
    return array.astype(np.int64)


def _counted(mask: npt.NDArray[np.bool_], steps: int) -> Ints:
    """Return the lengths that a mask stands for.

    Raises:
        ShapeError: When it has another shape, or padding before a real step.
    """
    if mask.ndim != 2 or mask.shape[1] != steps:
        raise ShapeError(f"lengths: expected a mask of shape (B, {steps}), got {mask.shape}")
    counts: Ints = mask.sum(axis=1, dtype=np.int64)
    gaps = np.flatnonzero((mask != (np.arange(steps) < counts[:, None])).any(axis=1))
    if len(gaps):
        raise ShapeError(
            f"lengths: expected a mask with all real steps before the padding, got padding between them in sequence "
            f"{gaps[0]}"
        )
    return counts
