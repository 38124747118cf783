"""Memory that large arrays leave is kept for the next ones."""

from __future__ import annotations

import contextlib

import numpy as np

_LARGEST = (32 << 20) - (64 << 10)
"""Bytes of the largest block that glibc learns from, less what it adds to it."""


def keep_large_blocks() -> None:
    """Have the C library's allocator keep up to 64 MB that were freed, instead of giving them back at once.

    The arrays of a training step are freed with its graph. glibc hands what lies at the end of its memory back to the
    system when there is twice as much of it as the largest block that was ever freed, so that a step begins with pages
    that must be found and cleared anew: up to a quarter of its time. Freeing one block as large as glibc learns from
    raises the limit. The block is never touched, and so takes no memory. Other allocators do not notice, nor does glibc
    where the environment says what it should do, such as MALLOC_TRIM_THRESHOLD_=131072 to keep little.

    Source: the manual page mallopt(3), "M_MMAP_THRESHOLD", dynamic adjustment.
    """
    # Where memory is short there is nothing to keep either.
    with contextlib.suppress(MemoryError):
        np.empty(_LARGEST, np.uint8)


keep_large_blocks()
