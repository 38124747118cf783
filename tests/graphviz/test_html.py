"""The interactive page: one file, nothing from elsewhere, and what a browser makes of it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

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
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run([*command, profile, path.as_uri()], capture_output=True, timeout=100, check=True)
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
def test_modules_that_go_in_circles_are_drawn(tmp_path: Path) -> None:
    x: ag.Node = ag.var(np.ones(4), name="x")
    for _ in range(100):
        x = ag.tanh(x * 2.0)
    assert 'class="box"' in in_browser(graphviz.to_html(x, max_nodes=8), tmp_path)
