"""The command that draws what a script makes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spago.graphviz.__main__ import main

SCRIPT = """
from spago import ag, nn
print("the script prints")
model = nn.Linear(2, 1)
y = ag.sigmoid(model(ag.var([[1.0, 2.0]], name="x")))
wrong = 3
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def test_the_text_is_printed_and_nothing_else(script: Path) -> None:
    command = [sys.executable, "-m", "spago.graphviz", f"{script}:y"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.startswith("strict digraph {")
    assert done.stdout.endswith("}\n")
    assert "the script prints" in done.stderr


def test_a_file_is_written_with_the_options(script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "g.dot"
    arguments = ["--names", "model", "--shapes", "none", "--values", "0", "--direction", "TB", "--max-nodes", "50"]
    assert main([f"{script}:y", "-o", str(output), *arguments]) == 0
    text = output.read_text(encoding="utf-8")
    assert "rankdir=TB" in text
    assert "<b>weight</b>" in text
    assert "1×2" not in text
    assert capsys.readouterr().out == ""


def test_a_model_is_drawn_as_the_tree_of_its_modules(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{script}:model"]) == 0
    assert "weight 1×2, bias 1" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")
def test_a_drawing_is_folded_and_text_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text("from spago import ag\ny = ag.var(1.0)\nfor _ in range(1000):\n    y = -y\n")
    main([f"{script}:y"])
    assert capsys.readouterr().out.count("[label=") == 1_001
    main([f"{script}:y", "-o", str(tmp_path / "g.svg")])
    assert (tmp_path / "g.svg").read_text(encoding="utf-8").count('class="node"') < 100


@pytest.mark.parametrize(
    ("node", "output", "message"),
    [
        ("script.py", "g.dot", "expected a script and a variable, as in script.py:y, got "),
        ("script.py:z", "g.dot", "expected a variable 'z' after the script has run, found none"),
        ("script.py:wrong", "g.dot", "expected 'wrong' to be a node or a model, got int"),
        ("missing.py:y", "g.dot", "missing.py: expected a Python file, found none"),
        ("script.py:y", "g.bmp", "g.bmp: expected a name that ends in one of .svg"),
        ("script.py:y", "missing/g.dot", "missing"),
    ],
)
@pytest.mark.usefixtures("script")
def test_what_is_wrong_is_said_in_one_line(
    node: str, output: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / node), "-o", str(tmp_path / output)])
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("python -m spago.graphviz: error: ")
    assert message in last


def test_what_a_script_raises_goes_through(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("raise ValueError('its own affair')")
    with pytest.raises(ValueError, match="its own affair"):
        main([f"{path}:y"])
