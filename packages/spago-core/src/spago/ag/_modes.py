"""What is switched on or off for the current thread: recording of the graph, detection of NaN and Inf."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import EllipsisType
from typing import Any


class _Mode(threading.local):
    """The switches of one thread.

    `note` is called with each new result; `note_backward` with each result whose pullbacks are about to run, and with
    None when the last of them has. `plain` is True while none of the others departs from its default: the one thing
    that an operator has to look at.
    """

    plain = True
    recording = True
    anomaly = False
    note: Callable[[Any], None] | None = None
    note_backward: Callable[[Any], None] | None = None

    def set(
        self,
        *,
        recording: bool | None = None,
        anomaly: bool | None = None,
        note: Callable[[Any], None] | EllipsisType | None = ...,
    ) -> None:
        self.recording = self.recording if recording is None else recording
        self.anomaly = self.anomaly if anomaly is None else anomaly
        self.note = self.note if isinstance(note, EllipsisType) else note
        self.plain = self.recording and not self.anomaly and self.note is None


mode = _Mode()


@contextmanager
def no_grad() -> Generator[None]:
    """Compute without building a graph: results keep no operands and need no gradient.

    Holds for the current thread, inside the `with` block or the decorated function.

    Examples:
        >>> from spago import ag
        >>> x = ag.var(2.0, requires_grad=True)
        >>> with ag.no_grad():
        ...     y = x * x
        >>> y.requires_grad, y.operands
        (False, ())
    """
    before = mode.recording
    mode.set(recording=False)
    try:
        yield
    finally:
        mode.set(recording=before)


@contextmanager
def enable_grad() -> Generator[None]:
    """Build the graph again inside a `no_grad` block."""
    before = mode.recording
    mode.set(recording=True)
    try:
        yield
    finally:
        mode.set(recording=before)


@contextmanager
def detect_anomaly() -> Generator[None]:
    """Stop at the first operator that produces NaN or Inf, forward or backward.

    Inside the block each operator notes the source line that created it and has its result checked, which makes it
    several times slower: a tool for finding a fault, not for training.

    Raises:
        GraphError: Names the operator, its source line, and the names, shapes and ranges of its operands.
    """
    before = mode.anomaly
    mode.set(anomaly=True)
    try:
        yield
    finally:
        mode.set(anomaly=before)


def is_grad_enabled() -> bool:
    """True unless the current thread is inside `no_grad`."""
    return mode.recording
