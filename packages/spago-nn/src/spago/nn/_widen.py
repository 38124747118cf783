"""Floats of two bytes as floats of four, in the memory of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 1 << 16


def read_widened(read: Callable[[memoryview], None], count: int, bfloat16: bool) -> npt.NDArray[np.float32]:
    """Return numbers of float16 or bfloat16 as float32.

    They are read into the second half of the result, and then move to the front, one chunk after the other: a number
    takes twice its place, so what is written never reaches what is still to be read.

    Args:
        read: Fills the memory that it is given with the bytes of the file.
        count: How many numbers there are.
        bfloat16: Whether they are the upper halves of float32, rather than float16.
    """
    wide = np.empty(count, np.float32)
    narrow: npt.NDArray[Any] = wide.view(np.uint16)[count:]
    read(narrow.view(np.uint8).data)
    bits = wide.view(np.uint32)
    for start in range(0, count, _CHUNK):
        chunk = narrow[start : start + _CHUNK].astype("<u2" if bfloat16 else np.uint16)
        if bfloat16:
            bits[start : start + len(chunk)] = chunk.astype(np.uint32) << np.uint32(16)
        else:
            wide[start : start + len(chunk)] = chunk.view("<f2")
    return wide
