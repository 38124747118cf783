"""A picture in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from spago.graphviz._view import Box, Line, Role, View

# Fill, border: light enough for black text, apart from one another also without colour vision.
COLORS = {
    Role.INPUT: ("#dbeafe", "#2563eb"),
    Role.LEARNED: ("#ffedd5", "#ea580c"),
    Role.FIXED: ("#f3f4f6", "#9ca3af"),
    Role.STOPPED: ("#ffffff", "#6b7280"),
    Role.OPERATOR: ("#ffffff", "#374151"),
    Role.RESULT: ("#dcfce7", "#16a34a"),
    Role.FOLDED: ("#ede9fe", "#7c3aed"),
}
STRANGE = ("#fee2e2", "#dc2626")
STEP_COLORS = ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#666666")  # dark28
_GREY = "#6b7280"
_BLACK = "#111827"
_FONT = '"Helvetica,Arial,sans-serif"'

# The longest name that is written in full; of a longer one the beginning and the end are.
_LONGEST = 60
LONGEST_TITLE = 100

# From how many boxes on Graphviz need not find the best of all places for them.
_MANY = 100

# Graphviz reads labels as XML, which has no room for most control characters, nor for half of a surrogate pair.
_XML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\n": "<br/>"}


def write_dot(view: View) -> str:
    """Return the DOT text of a picture; the same picture gives the same text."""
    return "\n".join(_lines(view)) + "\n"


def write_layout(view: View) -> str:
    """Return the DOT text that a picture is drawn from: that of `write_dot`, save for how time steps are laid out.

    Lines that lead from one step to another are written backwards, and after the boxes. So Graphviz begins all steps at
    the same height and places them side by side, in their order, instead of each below the one before.
    """
    return "\n".join(_side_by_side(view) if len(view.steps) > 1 else _lines(view)) + "\n"


def _side_by_side(view: View) -> Iterator[str]:
    boxes = {box.id: box for box in view.boxes}
    yield from (line for line in _head(view) if "ordering" not in line)
    yield from _framed(view, view.boxes, 0, [0])
    for line in reversed(view.lines):
        source, target = boxes[line.source], boxes[line.target]
        # No cycle can come of it: leaves, whose lines stay as they are, have none that lead to them.
        if source.role in (Role.OPERATOR, Role.RESULT) and source.step >= 0 and source.frames[:1] != target.frames[:1]:
            yield _edge(replace(line, source=line.target, target=line.source), "dir=back")
        else:
            yield _edge(line)
    yield "}"


def _lines(view: View) -> Iterator[str]:
    look = view.look
    yield from _head(view)
    yield ""
    yield from (_edge(line) for line in view.lines)
    yield ""
    yield from _framed(view, view.boxes, 0, [0])
    leaves = [str(box.id) for box in view.boxes if box.role in (Role.INPUT, Role.LEARNED, Role.FIXED, Role.STOPPED)]
    if look.align_leaves and leaves and not any(box.frames for box in view.boxes):
        yield f"\t{{rank=source; {'; '.join(leaves)}}}"
    yield "}"


def _head(view: View) -> Iterator[str]:
    look = view.look
    yield "strict digraph {"
    yield f"\trankdir={look.direction};"
    yield '\tordering="in";'
    yield '\toutputorder="edgesfirst";'
    if len(view.boxes) > _MANY:
        # A leaf that is used all along a sequence makes lines past everything: placing them best would take minutes.
        yield f"\tnslimit={max(1, 10 * _MANY // len(view.boxes))};"
    yield f"\tfontname={_FONT};"
    yield f"\tnode [fontname={_FONT},fontsize=13,style=filled];"
    yield f'\tedge [color="{_GREY}",fontcolor="{_GREY}",fontname={_FONT},fontsize=10,arrowsize=0.7];'


def _edge(line: Line, *attributes: str) -> str:
    """Return the line of text of an arrow, with attributes of its own and others."""
    attributes = (f"label={quoted(f' {line.label} ')}", *attributes) if line.label else attributes
    if line.again:
        attributes = (*attributes, "style=dashed,constraint=false")
    if line.hidden:
        attributes = (*attributes, "style=invis")
    written = f" [{','.join(attributes)}]" if attributes else ""
    return f"\t{line.source}->{line.target}{written};"


def _framed(view: View, boxes: list[Box], depth: int, count: list[int]) -> Iterator[str]:
    """Yield the boxes that are framed no deeper, then each frame of the next depth with what it holds."""
    tabs = "\t" * (depth + 1)
    inside: dict[str, list[Box]] = {}
    for box in boxes:
        if len(box.frames) > depth:
            inside.setdefault(box.frames[depth], []).append(box)
        else:
            yield f"{tabs}{_node(view, box)};"
    for frame in sorted(inside, key=lambda frame: view.steps.get(frame, -1)) if depth == 0 else inside:
        step = view.steps.get(frame) if depth == 0 else None
        count[0] += 1
        yield f"{tabs}subgraph {f'cluster_timestep_{step}' if step is not None else f'cluster_{count[0]}'} {{"
        yield f"{tabs}\tlabel={quoted(shortened(frame, LONGEST_TITLE))};"
        if step is None:
            yield f'{tabs}\tstyle="rounded,filled"; color="#d1d5db"; fillcolor="{("#f9fafb", "#f3f4f6")[depth % 2]}";'
            yield f'{tabs}\tfontcolor="{_GREY}"; fontsize=12; labeljust=l;'
        else:
            yield f'{tabs}\tcolor="{_step_color(step)}"; fontcolor="{_step_color(step)}"; fontsize=12;'
        yield from _framed(view, inside[frame], depth + 1, count)
        yield f"{tabs}}}"


def _node(view: View, box: Box) -> str:
    attributes = [f"label=<{''.join(_label(view, box))}>"]
    attributes.append(f"shape={'oval' if box.role in (Role.OPERATOR, Role.RESULT) else 'box'}")
    attributes += _colors(view, box)
    if box.role is Role.STOPPED:
        attributes.append('style="filled,dashed"')
    if box.role is Role.FOLDED:
        attributes.append('style="filled,rounded"')
    if box.tooltip != box.name or len(box.name) > _LONGEST:
        attributes.append(f"tooltip={quoted(box.tooltip)}")
    return f"{box.id} [{','.join(attributes)}]"


def box_colors(view: View, box: Box) -> tuple[str, str]:
    """Return the colours of a box and of its border."""
    fill, border = STRANGE if box.strange else COLORS[box.role]
    if not box.strange and view.look.color != "role":
        fill = "#ffffff" if box.heat is None else heat_color(box.heat)
    return fill, border


def _colors(view: View, box: Box) -> Iterator[str]:
    if box.strange:
        fill, border = STRANGE
        yield f'fillcolor="{fill}",color="{border}",fontcolor="{border}"'
    elif view.look.color == "role":
        fill, border = COLORS[box.role]
        # The border of a node in a time step has the colour of the step.
        yield f'fillcolor="{fill}"'
        yield f'color="{border if box.step < 0 else _step_color(box.step)}"'
    elif box.heat is not None:
        yield f'fillcolor="{heat_color(box.heat)}"'
    else:
        yield 'fillcolor="#ffffff"'


def _label(view: View, box: Box) -> Iterator[str]:
    if view.look.ids:
        yield f'<font color="{_GREY}" point-size="9"><sup>{box.id}</sup></font><br/>'
    # An empty <b></b> is a syntax error to Graphviz.
    yield f"<b>{escaped(shortened(box.name))}</b>" if box.name.strip() else f"<i>{escaped(box.kind)}</i>"
    # Grey cannot be read on the darkest of the colours that tell of gradients and times.
    color = STRANGE[1] if box.strange else _GREY if box.heat is None else _BLACK
    for line in _below(box):
        yield f'<br/><font color="{color}" point-size="10">{escaped(line)}</font>'


def _below(box: Box) -> Iterable[str]:
    """Return the lines below the name; the first names the kind of a leaf, as in `param · 2×3`."""
    kind = box.kind if box.name.strip() and box.kind not in ("variable", "constant") else ""
    if not kind:
        return box.details
    return " · ".join((kind, *box.details[:1])), *box.details[1:]


def _step_color(step: int) -> str:
    return STEP_COLORS[step % len(STEP_COLORS)]


def heat_color(heat: float) -> str:
    """Return a colour from white (0) to orange (1)."""
    return "#" + "".join(f"{round(255 + (end - 255) * heat):02x}" for end in (0xF9, 0x73, 0x16))


def shortened(name: str, longest: int = _LONGEST) -> str:
    """Return a name without its middle when it is very long."""
    return name if len(name) <= longest else f"{name[: longest - 24]} … {name[-20:]}"


def visible(text: str) -> str:
    """Return text with a sign in the place of each character that XML cannot hold."""
    return "".join(_visible(c) for c in text)


def _visible(c: str) -> str:
    code = ord(c)
    if c == "\n" or 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code >= 0x10000:
        return c
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"


def escaped(text: str) -> str:
    """Return text as part of an HTML-like label."""
    if text and not text.strip("]"):
        return "&#93;" * len(text)  # brackets alone are a syntax error to Graphviz
    return "".join(_XML.get(c, c) for c in visible(text))


def quoted(text: str) -> str:
    r"""Return text as a quoted string, in which a backslash means itself.

    Examples:
        >>> print(quoted('a "b"'))
        "a \"b\""
    """
    safe = visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{safe}"'
