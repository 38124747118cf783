"""How much time and memory reading a hostile file may take."""

import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spago.mat import FormatError

SECONDS = 1.0
SPARE = 64 << 20


def refusal(read: Callable[[Path], Any], path: Path) -> FormatError | None:
    """Read a file, twice, and return the exception that there was, of the one kind that there may be.

    The first time, it must take below a second of its own time, more if its lines are traced; the second time, while
    memory is watched, which takes longer, at most twice the size of the file and 64 MiB.
    """
    start = time.process_time()
    error = _tried(read, path)
    assert time.process_time() - start < (SECONDS if sys.gettrace() is None else 10 * SECONDS)
    tracemalloc.start()
    try:
        _tried(read, path)
        assert tracemalloc.get_traced_memory()[1] < 2 * path.stat().st_size + SPARE
    finally:
        tracemalloc.stop()
    return error


def _tried(read: Callable[[Path], Any], path: Path) -> FormatError | None:
    try:
        read(path)
    except FormatError as error:
        return error.with_traceback(None)  # which would hold what was read
    return None
