"""The gallery: its page is that of its script, and each picture is drawn and says what it is about."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("plyvel", reason="the tagger keeps its words in LevelDB")
pytest.importorskip("docs.make_gallery")

from docs import make_gallery

DOCS = Path(make_gallery.__file__).parent


def text_of(path: Path) -> str:
    """Return the text in an SVG file, which must be XML."""
    return " ".join("".join(ET.parse(path).getroot().itertext()).split())


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == make_gallery.page()


def test_each_picture_that_the_page_shows_is_there() -> None:
    names = re.findall(r"!\[.*?\]\((.*?)\)", make_gallery.page())
    assert len(names) == len(make_gallery.PICTURES) == 6
    assert all((DOCS / name).stat().st_size < 100_000 for name in names)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("perceptron", ["y = Sigmoid", "0.3729", "-0.52"]),
        ("lstm", ["Time Step 4", "f = Sigmoid", "h4 = Mul", "[3]"]),
        ("self_attention", ["query", "key", "value", "Attention", "5×6"]),
        ("bilstm_crf", ["word_lstm", "CRF", "1×3×3 → scalar", "Tagger"]),
        ("transformer", ["TransformerEncoderLayer · 49,984 parameters", "MultiheadAttention", "Gelu", "10×256"]),
        ("encoder", ["layers.0 … layers.11 · TransformerEncoderLayer × 12 · 789,760 parameters each", "result"]),
    ],
)
def test_a_picture_says_what_it_is_about(name: str, words: list[str]) -> None:
    text = text_of(DOCS / "images" / f"{name}.svg")
    assert [word for word in words if word not in text] == []


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")
def test_the_script_draws_what_is_kept(tmp_path: Path) -> None:
    make_gallery.main(tmp_path)
    for kept in sorted((DOCS / "images").glob("*.svg")):
        drawn = tmp_path / "images" / kept.name
        if drawn.exists():
            assert sorted(text_of(drawn).split()) == sorted(text_of(kept).split()), kept.name
