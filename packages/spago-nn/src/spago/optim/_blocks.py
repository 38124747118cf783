"""Element-wise updates of many arrays, a block at a time.

An update is a dozen array operations. On whole arrays each of them would read and write main memory; on a block that
stays in the cache only the first does. Arrays of a few numbers are the opposite case: the calls cost more than the
numbers, so many of them are copied into one block, and back.

Measured with Adam in float32 on one core: 10⁷ numbers in 40 arrays, 27 ms instead of 66 ms; 1,000 arrays of 100
numbers, 1.5 ms instead of 5 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from spago.mat import Array

Job: TypeAlias = tuple[Array, ...]
"""Arrays of one shape and dtype that are updated together: value, gradient, state. The gradient is only read."""

Update: TypeAlias = Callable[..., None]
"""Changes flat arrays in place: those of a job, then two more of the same length to compute in."""

BLOCK = 1 << 15
"""Numbers of one array in a block: six such arrays of float32 take 768 KiB."""

_SMALL = 1 << 11
"""Arrays of up to so many numbers are copied together."""

_SCRATCH = 2

_GRADIENT = 1
"""Which array of a job is only read."""


def run(update: Update, jobs: Sequence[Job]) -> None:
    """Apply an element-wise update to the arrays of all jobs, in place."""
    for dtype in {job[0].dtype for job in jobs}:
        alike = [job for job in jobs if job[0].dtype == dtype and job[0].size]
        scratch = _scratch(min(BLOCK, sum(job[0].size for job in alike)), dtype)
        small: list[Job] = []
        for job in alike:
            if job[0].size <= _SMALL:
                small.append(job)
            else:
                _run_large(update, job, scratch)
        for pack in _packs(small):
            _run_small(update, pack, scratch)


def _run_large(update: Update, job: Job, scratch: list[Array]) -> None:
    """Update one job in blocks. An array that is not contiguous is copied, and copied back."""
    flat = [array.reshape(-1) for array in job]
    size = flat[0].size
    for start in range(0, size, BLOCK):
        part = slice(start, min(start + BLOCK, size))
        length = part.stop - start
        update(*[array[part] for array in flat], *[array[:length] for array in scratch])
    for i, array in enumerate(job):
        if i != _GRADIENT and not array.flags.c_contiguous:
            array[...] = flat[i].reshape(array.shape)


def _run_small(update: Update, pack: list[Job], scratch: list[Array]) -> None:
    """Update several jobs as one block."""
    columns = list(zip(*pack, strict=True))
    joined = [np.concatenate(arrays, axis=None) for arrays in columns]
    length = joined[0].size
    update(*joined, *[array[:length] for array in scratch])
    for i, (block, arrays) in enumerate(zip(joined, columns, strict=True)):
        if i == _GRADIENT:
            continue
        start = 0
        for array in arrays:
            stop = start + array.size
            array[...] = block[start:stop] if array.ndim == 1 else block[start:stop].reshape(array.shape)
            start = stop


def _packs(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs that fill a block together, and those that are left."""
    pack: list[Job] = []
    size = 0
    for job in jobs:
        if size + job[0].size > BLOCK:
            yield pack
            pack, size = [], 0
        pack.append(job)
        size += job[0].size
    if pack:
        yield pack


def _scratch(size: int, dtype: np.dtype[Any]) -> list[Array]:
    """Return arrays to compute in. They begin at a cache line, which makes Adam 5 % faster."""
    lines = 64 // dtype.itemsize
    raw = [np.empty(size + lines, dtype) for _ in range(_SCRATCH)]
    starts = [-array.ctypes.data % 64 // dtype.itemsize for array in raw]
    return [array[start : start + size] for array, start in zip(raw, starts, strict=True)]
