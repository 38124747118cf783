"""The examples of one screen print what the README says, and the picture in it is that of the perceptron."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def output(example: str) -> str:
    """Run an example as a user does, and return what it prints; it must not warn."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{example}.py")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120)
    assert done.stderr == ""
    return done.stdout


def test_addition() -> None:
    assert output("addition") == "c = [7] (float32)\nga = [0.5]\ngb = [0.5]\n"


def test_regression() -> None:
    assert output("regression") == "W: 3.00 | B: 1.00\n"


def test_perceptron() -> None:
    dot = output("perceptron")
    assert re.findall(r"\d+->\d+", dot) == ["1->0", "2->1", "5->1", "3->2", "4->2"]
    assert re.findall(r"<b>(.*?)</b>", dot) == ["y = Sigmoid", "Add", "Mul", "w", "x", "b"]


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")
def test_the_perceptron_is_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "g.png"
    drawing = subprocess.run(
        ["dot", "-Tpng", "-o", str(picture)],
        input=output("perceptron"),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert drawing.stderr == ""
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_picture_in_the_readme_shows_the_perceptron_as_it_is_drawn_now() -> None:
    picture = (ROOT / "docs" / "images" / "perceptron.svg").read_text(encoding="utf-8")
    drawn = [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]+)</text>", picture)]
    assert sorted(drawn) == sorted(re.findall(r">([^<>\n]+)</", output("perceptron")))
    assert "perceptron.svg" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", ["addition", "perceptron", "regression"])
def test_an_example_fits_one_screen(example: str) -> None:
    lines = (ROOT / "examples" / f"{example}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
