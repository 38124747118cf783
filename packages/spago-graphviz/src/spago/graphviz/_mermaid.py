"""A picture in the language of Mermaid."""

from __future__ import annotations

from collections.abc import Iterator

from spago.graphviz._dot import COLORS, LONGEST_TITLE, STRANGE, shortened, visible
from spago.graphviz._view import Box, Role, View

# What stands around the label gives a box its shape.
_SHAPES = {
    Role.OPERATOR: ("([", "])"),
    Role.RESULT: ("([", "])"),
    Role.FOLDED: ("[[", "]]"),
}


_PLAIN = frozenset(" .,-+=×·…[]()")


def write_mermaid(view: View) -> str:
    """Return the Mermaid text of a picture."""
    return "\n".join(_lines(view)) + "\n"


def _lines(view: View) -> Iterator[str]:
    yield f"flowchart {view.look.direction}"
    yield from _framed(view.boxes, 0, [0])
    for line in view.lines:
        arrow = "~~~" if line.hidden else "-.->" if line.again else "-->"
        if line.label:
            arrow += f'|"{_escaped(line.label)}"|'
        yield f"    n{line.source} {arrow} n{line.target}"
    used = {_style(box) for box in view.boxes}
    for name, (fill, border) in {**{role.value: COLORS[role] for role in Role}, "strange": STRANGE}.items():
        if name in used:
            dashed = ",stroke-dasharray:4" if name == Role.STOPPED.value else ""
            yield f"    classDef {name} fill:{fill},stroke:{border},color:#111827{dashed}"


def _framed(boxes: list[Box], depth: int, count: list[int]) -> Iterator[str]:
    indent = "    " * (depth + 1)
    inside: dict[str, list[Box]] = {}
    for box in boxes:
        if len(box.frames) > depth:
            inside.setdefault(box.frames[depth], []).append(box)
        else:
            yield f"{indent}{_node(box)}"
    for frame, framed in inside.items():
        count[0] += 1
        yield f'{indent}subgraph g{count[0]} ["{_escaped(shortened(frame, LONGEST_TITLE))}"]'
        yield from _framed(framed, depth + 1, count)
        yield f"{indent}end"


def _node(box: Box) -> str:
    opening, closing = _SHAPES.get(box.role, ("[", "]"))
    name = shortened(box.name) if box.name.strip() else box.kind
    text = "<br/>".join(_escaped(line) for line in (name, *box.details))
    return f'n{box.id}{opening}"{text}"{closing}:::{_style(box)}'


def _style(box: Box) -> str:
    return "strange" if box.strange else box.role.value


def _escaped(text: str) -> str:
    """Return text with all that could mean something to Mermaid, or to Markdown in it, as character numbers."""
    return "".join(c if c.isalnum() or c in _PLAIN else f"#{ord(c)};" for c in visible(text))
