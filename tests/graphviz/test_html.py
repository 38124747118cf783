"""The interactive page: one file, nothing from elsewhere, and what a browser makes of it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from spago import ag, graphviz, nn

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")


def attention() -> tuple[ag.Node, nn.Module]:
    layer = nn.SelfAttention(8, key_size=4, value_size=6)
    y: ag.Node = layer(ag.var(np.ones((5, 8), np.float32), name="words"))
    return y, layer


def data(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0])
    return found


def in_browser(page: str, folder: Path, action: str = "") -> str:
    """Return the document after a browser has run the page, and then an action."""
    assert BROWSER is not None
    path = folder / "page.html"
    errors = "<script>onerror = message => document.title = `failed: ${message}`</script>"
    text = page.replace("<style>", f"{errors}<style>", 1).replace("</body>", f"<script>{action}</script></body>")
    path.write_text(text, encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,700", "--dump-dom"]
    files = [f"--user-data-dir={folder / 'profile'}", f"--screenshot={folder / 'page.png'}"]
    done = subprocess.run([*command, *files, path.as_uri()], capture_output=True, timeout=100, check=True)
    shown = done.stdout.decode()
    assert "<title>Graph</title>" in shown
    return shown.partition('<script type="application/json"')[0].partition("<svg")[2]


def click(name: str) -> str:
    return f'document.querySelector(`[data-name="{name}"]`).dispatchEvent(new MouseEvent("click", {{bubbles: true}}));'


def test_nothing_is_loaded_from_elsewhere() -> None:
    y, layer = attention()
    page = graphviz.to_html(y, names=layer)
    addresses = re.findall(r"https?://[^\"'\s]+", page)
    assert addresses == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<link|<img|src=|@import|fetch\(|XMLHttpRequest", page)


def test_a_node_tells_its_shape_statistics_and_gradient() -> None:
    x = ag.var(np.arange(10.0), requires_grad=True, name="x")
    ag.sum(x * 3.0).backward()
    facts = dict(data(graphviz.to_html(x))["boxes"][0]["facts"])
    assert facts["shape"] == "10"
    assert facts["dtype"] == "float64"
    assert facts["value"] == "0 to 9"
    assert facts["mean of value"] == "4.5 ± 2.872"
    assert facts["gradient"] == "3 to 3"
    assert facts["|gradient|"] == "9.487"


def test_nan_and_inf_are_counted() -> None:
    facts = dict(data(graphviz.to_html(ag.var(np.full(10, np.nan))))["boxes"][0]["facts"])
    assert facts["not finite in value"] == "10 NaN"
    assert "mean of value" not in facts


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", 'a "b" \\ \n c', "\x00\ud83d", "🦊", "x" * 10_000]
)
def test_no_name_breaks_the_page(name: str) -> None:
    page = graphviz.to_html(ag.var([1.0, 2.0], name=name))
    page.encode()
    assert page.count("</script>") == 2
    assert len(data(page)["boxes"]) == 1


def test_the_ending_html_gives_the_page(tmp_path: Path) -> None:
    y, _ = attention()
    assert graphviz.render(y, tmp_path / "g.html").read_text(encoding="utf-8") == graphviz.to_html(y)


@needs_browser
def test_a_browser_draws_boxes_frames_and_lines(tmp_path: Path) -> None:
    y, layer = attention()
    shown = in_browser(graphviz.to_html(y, names=layer), tmp_path)
    assert shown.count('class="box"') == 11
    assert shown.count('class="frame"') == 3
    assert shown.count('class="line"') == 12


@needs_browser
def test_a_click_folds_a_frame(tmp_path: Path) -> None:
    y, layer = attention()
    shown = in_browser(graphviz.to_html(y, names=layer), tmp_path, click("query"))
    assert shown.count('class="box"') == 8
    assert ">folded<" in shown


@needs_browser
def test_a_click_on_a_node_shows_what_it_holds(tmp_path: Path) -> None:
    shown = in_browser(graphviz.to_html(attention()[0]), tmp_path, click("words"))
    panel = shown.partition('id="panel"')[2]
    assert "<h2>words</h2>" in panel
    assert "<th>shape</th><td>5×8</td>" in panel
    assert "<td>1 to 1</td>" in panel


@needs_browser
def test_the_wheel_zooms(tmp_path: Path) -> None:
    y, _ = attention()
    wheel = 'svg.dispatchEvent(new WheelEvent("wheel", {deltaY: -500, cancelable: true}));'
    scales = [
        float(re.findall(r"scale\(([\d.]+)\)", in_browser(graphviz.to_html(y), tmp_path, action))[0])
        for action in ("", wheel)
    ]
    assert scales[1] == pytest.approx(scales[0] * np.e, rel=1e-3)


@needs_browser
def test_dragging_moves_the_picture(tmp_path: Path) -> None:
    events = [("pointerdown", 100, 100), ("pointermove", 130, 90), ("pointermove", 160, 50), ("pointerup", 160, 50)]
    drag = "".join(
        f'svg.dispatchEvent(new PointerEvent("{kind}", {{clientX: {x}, clientY: {y}, bubbles: true}}));'
        for kind, x, y in events
    )
    after = drag + 'svg.dispatchEvent(new PointerEvent("pointermove", {clientX: 900, clientY: 900, bubbles: true}));'
    places = []
    for action in ("", drag, after):
        shown = in_browser(graphviz.to_html(attention()[0]), tmp_path, action)
        places.append([float(x) for x in re.findall(r"translate\(([-\d.]+),([-\d.]+)\)", shown)[0]])
    assert np.subtract(places[1], places[0]).tolist() == pytest.approx([60, -50])
    assert places[2] == places[1]


def chain(steps: int) -> ag.Node:
    h: ag.Node = ag.var(np.zeros(2), name="h0")
    w = ag.var(np.eye(2), name="w")
    for t in range(steps):
        h = ag.tanh(w @ h + ag.var(np.ones(2), name=f"x{t}"))
    return h


@needs_browser
def test_of_ten_thousand_nodes_the_browser_is_given_those_that_can_be_seen(tmp_path: Path) -> None:
    shown = in_browser(graphviz.to_html(chain(2_500)), tmp_path)
    assert 10 < shown.count('class="box"') < 100
    assert 'data-name="x2499"' in shown
    assert 'data-name="h0"' not in shown


@needs_browser
def test_what_is_far_away_is_painted_and_can_be_clicked(tmp_path: Path) -> None:
    """There is no element for any box, and yet the one under the pointer tells what it is."""
    aim = """show(shapes.boxes.find(item => item.box.name === "x1000"), 0.05, {w: 0, h: 0});
        svg.dispatchEvent(new MouseEvent("click", {clientX: svg.clientWidth / 2, clientY: svg.clientHeight / 2}));
        untouched = false;"""
    shown = in_browser(graphviz.to_html(chain(2_500)), tmp_path, aim)
    assert shown.count('class="box"') == 0
    assert "<h2>x1000</h2>" in shown
    assert ink(tmp_path) > 0.01


def ink(folder: Path) -> float:
    """Return how much of the picture that was taken of the page is not white."""
    return float(np.mean(plt.imread(folder / "page.png")[..., :3].min(axis=-1) < 0.95))


@needs_browser
def test_the_page_as_it_is_seen(tmp_path: Path) -> None:
    y, layer = attention()
    in_browser(graphviz.to_html(y, names=layer), tmp_path)
    pixels = plt.imread(tmp_path / "page.png")[..., :3]
    # Orange, blue and green boxes are on it.
    for color in ("ffedd5", "dbeafe", "dcfce7"):
        rgb = np.frombuffer(bytes.fromhex(color), np.uint8) / 255
        assert np.mean(np.abs(pixels - rgb).max(axis=-1) < 0.01) > 0.002, color
    assert ink(tmp_path) > 0.04


@needs_browser
def test_no_line_is_hidden_behind_a_box(tmp_path: Path) -> None:
    """Lines lead past what stands in their way: within a frame, into frames and out of them."""
    count = """let hidden = 0;
        for (const line of shapes.lines) {
          let [x, y] = line.from;
          for (const [a, b, c, d, u, v] of line.parts) {
            for (let t = 0.02; t < 0.99; t += 0.02) {
              const s = 1 - t;
              const mix = (p, q, r, e) => s ** 3 * p + 3 * s * s * t * q + 3 * s * t * t * r + t ** 3 * e;
              const at = mix(x, a, c, u), on = mix(y, b, d, v);
              hidden += shapes.boxes.some(i => i.left < at && at < i.left + i.w && i.top < on && on < i.top + i.h);
            }
            [x, y] = [u, v];
          }
        }
        panel.hidden = false; panel.textContent = `${shapes.lines.length} lines, ${hidden} hidden`;"""
    y, layer = attention()
    assert "12 lines, 0 hidden" in in_browser(graphviz.to_html(y, names=layer), tmp_path, count)
    encoder = nn.Sequential(*[nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0) for _ in range(2)])
    page = graphviz.to_html(encoder(ag.var(np.ones((5, 8), np.float32), name="x")), names=encoder)
    assert re.search(r"\d\d lines, 0 hidden", in_browser(page, tmp_path, count))


@needs_browser
def test_many_modules_are_folded_at_first_and_open_at_a_click(tmp_path: Path) -> None:
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(200)])
    page = graphviz.to_html(model(ag.var(np.ones(2, np.float32), name="x")), names=model)
    assert 'data-name="bias"' not in in_browser(page, tmp_path)
    assert 'data-name="bias"' in in_browser(page, tmp_path, click("199"))


@needs_browser
def test_what_goes_on_from_layer_to_layer_is_dashed(tmp_path: Path) -> None:
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(12)])
    page = graphviz.to_html(model(ag.var(np.ones(2, np.float32), name="x")), names=model, max_nodes=6)
    assert in_browser(page, tmp_path).count("stroke-dasharray") == 1


@needs_browser
def test_modules_that_go_in_circles_are_drawn(tmp_path: Path) -> None:
    x: ag.Node = ag.var(np.ones(4), name="x")
    for _ in range(100):
        x = ag.tanh(x * 2.0)
    assert 'class="box"' in in_browser(graphviz.to_html(x, max_nodes=8), tmp_path)
