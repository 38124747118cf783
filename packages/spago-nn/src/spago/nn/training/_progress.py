"""How far training is, for who watches it: tqdm's bars where it is installed, lines of text elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

from spago.mat.addons import require

Show: TypeAlias = Callable[[int, str], None]
"""Is told how many steps are done, and what to write beside."""

_INTERVAL = 0.1
"""Seconds between two changes of a line of text."""


@contextmanager
def progress_bar(title: str, done: int, total: int | None, *, shown: bool) -> Generator[Show]:
    """Hand out the function to tell how far an epoch is.

    With tqdm, in a notebook as in a terminal, that is a bar. Without, it is a line on standard error, which changes
    when it is a terminal, and else is written once, at the end.

    Args:
        title: What the bar is called.
        done: How many steps were done before.
        total: How many there are, where it is known.
        shown: False shows nothing.
    """
    if not shown:
        yield lambda done, text: None
        return
    try:
        tqdm: Any = require("tqdm.auto", install="tqdm", purpose="fit")
    except ModuleNotFoundError:
        with _line(title, total) as show:
            yield show
        return
    with tqdm.tqdm(desc=title, initial=done, total=total, unit="step") as bar:

        def show_bar(done: int, text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(done - bar.n)

        yield show_bar


@contextmanager
def _line(title: str, total: int | None) -> Generator[Show]:
    line = title
    live = sys.stderr.isatty()
    due = 0.0

    def show(done: int, text: str) -> None:
        nonlocal line, due
        line = f"{title}: {done}{'' if total is None else f'/{total}'} steps, {text}"
        if live and time.monotonic() >= due:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            due = time.monotonic() + _INTERVAL

    try:
        yield show
    finally:
        sys.stderr.write(f"\r\x1b[K{line}\n" if live else f"{line}\n")
