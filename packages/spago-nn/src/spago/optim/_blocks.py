"""Element-wise updates of many arrays, a block at a time.

An update is a dozen array operations. On whole arrays each of them would read and write main memory; on a block that
stays in the cache only the first does. Arrays of a few numbers are the opposite case: the calls cost more than the
numbers, so many of them are copied into one block, and back.

Measured with Adam in float32 on one core: 1,000 arrays of 100 numbers, 1.1 ms instead of 5 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate, compress
from typing import Any, TypeAlias

import numpy as np

from spago import ag
from spago.mat import Array

Columns: TypeAlias = Sequence[Sequence[Array]]
"""Arrays that are updated: of each parameter the value, in the first column, the gradient, then each array of state.

Those of one parameter have one shape and dtype. Gradients are only read.
"""

Update: TypeAlias = Callable[..., None]
"""Changes flat arrays in place: value, gradient and state, then two more of the same length to compute in."""

BLOCK = 1 << 16
"""Numbers of one array in a block: six such arrays of float32 take 1.5 MiB."""

_SMALL = 1 << 10
"""Arrays of up to so many numbers are copied together."""

_PACK = 1 << 14
"""So many numbers at once, or a little more: larger arrays are not taken from memory that is at hand."""

_SHARE = 4
"""How many blocks are worth a thread."""

_SCRATCH = 2

_GRADIENT = 1
"""Which column is only read."""


def run(update: Update, columns: Columns) -> None:
    """Apply an element-wise update to the arrays of all parameters, in place."""
    for alike in _by_dtype(columns):
        sizes = [value.size for value in alike[0]]
        small = [size for size in sizes if size <= _SMALL]
        if len(small) < len(sizes):
            _run_large(update, _selected(alike, [size > _SMALL for size in sizes]))
            alike = _selected(alike, [size <= _SMALL for size in sizes])
        if small:
            together = max(1, _PACK // max([1, *small]))
            scratch = _scratch(min(_PACK, sum(small)), alike[0][0].dtype)
            for start in range(0, len(small), together):
                _run_pack(update, [column[start : start + together] for column in alike], scratch)


def _by_dtype(columns: Columns) -> list[Columns]:
    """Return the parameters of each dtype."""
    dtypes = [value.dtype for value in columns[0]]
    different = set(dtypes)
    if len(different) == 1:
        return [columns]
    return [_selected(columns, [dtype == one for dtype in dtypes]) for one in different]


def _selected(columns: Columns, chosen: Sequence[bool]) -> Columns:
    return [list(compress(column, chosen)) for column in columns]


def _run_large(update: Update, columns: Columns) -> None:
    """Update parameters block by block, on as many threads as there are. Numbers do not depend on these."""
    flat = [[array.reshape(-1) for array in column] for column in columns]
    sizes = [value.size for value in flat[0]]
    blocks = [(i, start) for i, size in enumerate(sizes) for start in range(0, size, BLOCK)]
    threads = max(1, min(ag.get_num_threads(), sum(sizes) // (_SHARE * BLOCK)))

    def work(number: int) -> None:
        scratch = _scratch(min(BLOCK, max(sizes)), flat[0][0].dtype)
        for i, start in blocks[len(blocks) * number // threads : len(blocks) * (number + 1) // threads]:
            parts = [column[i][start : start + BLOCK] for column in flat]
            update(*parts, *[array[: parts[0].size] for array in scratch])

    if threads > 1:
        ag.run_together([partial(work, number) for number in range(threads)])
    else:
        work(0)
    # One that is not contiguous was copied.
    for i, (column, updated) in enumerate(zip(columns, flat, strict=True)):
        if i != _GRADIENT:
            for array, numbers in zip(column, updated, strict=True):
                if not array.flags.c_contiguous:
                    array[...] = numbers.reshape(array.shape)


def _run_pack(update: Update, columns: Columns, scratch: Sequence[Array]) -> None:
    """Update several parameters of few numbers as one block."""
    shapes = [array.shape for array in columns[0]]
    alike = shapes.count(shapes[0]) == len(shapes) and len(shapes[0]) > 0
    # Along an axis they are joined in half the time that it takes one after the other.
    flat = [np.concatenate(arrays, axis=0 if alike else None).reshape(-1) for arrays in columns]
    update(*flat, *[array[: flat[0].size] for array in scratch])
    for i, (block, arrays) in enumerate(zip(flat, columns, strict=True)):
        if i == _GRADIENT:
            continue
        if alike:
            parts: Iterable[Array] = block.reshape(len(arrays), *shapes[0])
        else:
            ends = list(accumulate(array.size for array in arrays))
            parts = (
                block[end - array.size : end].reshape(array.shape) for array, end in zip(arrays, ends, strict=True)
            )
        for array, part in zip(arrays, parts, strict=True):
            array[...] = part


def _scratch(size: int, dtype: np.dtype[Any]) -> list[Array]:
    """Return arrays to compute in. They begin at a cache line, which makes Adam 5 % faster."""
    lines = 64 // dtype.itemsize
    raw = [np.empty(size + lines, dtype) for _ in range(_SCRATCH)]
    starts = [-array.ctypes.data % 64 // dtype.itemsize for array in raw]
    return [array[start : start + size] for array, start in zip(raw, starts, strict=True)]
