"""A picture as a web page of one file, to move in, to fold and to ask: nothing is loaded from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np

from spago.ag import Node
from spago.ag.graph import Graph
from spago.graphviz._dot import box_colors, visible
from spago.graphviz._view import (
    Box,
    Role,
    View,
    both_ways,
    count_strange,
    memory_text,
    shape_text,
    time_text,
    value_text,
)


def write_html(view: View, graph: Graph) -> str:
    """Return the page of a picture; `graph` has the values that it tells when asked."""
    data = {
        "direction": view.look.direction,
        "folded": ["#ede9fe", "#7c3aed"],
        "boxes": [_box(view, graph, box) for box in view.boxes],
        "lines": [
            {"source": line.source, "target": line.target, "label": line.label, "again": line.again}
            for line in view.lines
            if not line.hidden
        ],
    }
    # No `<` may stand in a script: `</script>` would end it.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    folder = files("spago.graphviz")
    page, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("_page.html", "_page.js"))
    before, _, after = page.partition("@data@")
    return before + text + after.replace("@script@", script)


def _box(view: View, graph: Graph, box: Box) -> dict[str, Any]:
    facts = list(_facts(view, graph.nodes[box.node])) if box.node >= 0 else [("shows", line) for line in box.details]
    return {
        "id": box.id,
        "name": visible(box.name if box.name.strip() else box.kind).replace("\n", " "),
        "tooltip": visible(box.tooltip),
        "kind": box.kind,
        "details": [visible(line) for line in box.details],
        "frames": [visible(frame) for frame in box.frames],
        "oval": box.role in (Role.OPERATOR, Role.RESULT),
        "strange": box.strange,
        "hot": box.heat is not None,
        "colors": box_colors(view, box),
        "facts": facts,
    }


def _facts(view: View, node: Node) -> Iterator[tuple[str, str]]:
    """Yield what can be said of a node, each thing with its name."""
    yield "kind", type(node).__name__
    yield "shape", shape_text(node)
    yield "dtype", str(node.dtype)
    yield "elements", f"{node.size:,}"
    yield from _statistics("value", node.value)
    if node.grad is not None:
        yield from _statistics("gradient", node.grad)
        yield "|gradient|", f"{np.linalg.norm(node.grad):.4g}"
    profile = view.look.profile
    if profile is not None:
        for name, seconds in zip(("time", "time back"), both_ways(profile, node), strict=True):
            if seconds is not None:
                yield name, time_text(seconds)
        if profile.seconds(node) is not None:
            yield "memory", memory_text(profile.memory(node))


def _statistics(name: str, value: Any) -> Iterator[tuple[str, str]]:
    finite = value[np.isfinite(value)].astype(np.float64)
    if value.size <= 8:
        yield name, value_text(value)
    elif finite.size:
        yield name, f"{finite.min():.4g} to {finite.max():.4g}"
        yield f"mean of {name}", f"{finite.mean():.4g} ± {finite.std():.4g}"
    if finite.size < value.size:
        yield f"not finite in {name}", count_strange(value)
