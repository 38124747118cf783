"""A missing add-on names the command that installs it."""

import json
import sys
from pathlib import Path

import pytest

from spago.mat.addons import mimebundle, require


def test_what_is_installed_is_returned() -> None:
    assert require("json", install="anything", purpose="test") is json


def test_the_first_module_that_is_installed_is_returned() -> None:
    assert require("spago_is_missing", "json", install="anything", purpose="test") is json


def test_a_missing_module_names_the_pip_command() -> None:
    with pytest.raises(ImportError) as caught:
        require("spago.is_missing", install="spago-graphviz", purpose="to_dot")
    message = "to_dot: expected the module spago.is_missing, which is not installed; run: pip install spago-graphviz"
    assert str(caught.value) == message
    assert caught.value.name == "spago.is_missing"
    # The chain of causes is the search itself: of no use to a reader.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_of_several_missing_modules_all_are_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="expected the module is_missing_1 or is_missing_2, which"):
        require("is_missing_1", "is_missing_2", install="x", purpose="test")


def test_a_missing_parent_is_a_missing_module() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pip install x$"):
        require("is_missing.child", install="x", purpose="test")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import spago_is_missing", ModuleNotFoundError),
        ("from json import spago_is_missing", ImportError),
        ("raise OSError('no such library')", OSError),
    ],
    ids=["its own dependency is missing", "its dependency is too old", "its shared library is missing"],
)
def test_an_error_inside_an_installed_module_goes_through(
    source: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_addon.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error) as caught:
        require("broken_addon", install="x", purpose="test")
    assert "pip install" not in str(caught.value)


def test_a_notebook_shows_the_text_and_what_an_add_on_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    class Drawing:
        @staticmethod
        def mimebundle(shown: object) -> dict[str, str]:
            return {"image/svg+xml": f"<svg>{shown}</svg>"} if shown == 3 else {"1": str(1 / 0)}

    monkeypatch.setitem(sys.modules, "spago.graphviz", Drawing)
    assert mimebundle(3) == {"text/plain": "3", "image/svg+xml": "<svg>3</svg>"}
    assert mimebundle(4) == {"text/plain": "4"}
    monkeypatch.setitem(sys.modules, "spago.graphviz", None)
    assert mimebundle(3) == {"text/plain": "3"}
