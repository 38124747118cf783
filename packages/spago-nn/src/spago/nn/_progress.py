"""How far the reading or writing of a file is, for whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_WATCHER: ContextVar[Callable[[int], object] | None] = ContextVar("_WATCHER", default=None)


def advance(size: int) -> None:
    """Tell that so many bytes more are done."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher(size)


@contextmanager
def watched(watcher: Callable[[int], object]) -> Generator[None]:
    """Call a function with the bytes of each array that is read or written in the block."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)
