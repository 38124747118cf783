"""The commands that README.md and CONTRIBUTING.md tell exist, and the continuous integration runs them."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NEWCOMER = ["pip install hatch && hatch run demo", "pip install hatch && hatch run test"]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def environments() -> dict[str, Any]:
    result: dict[str, Any] = tomllib.loads(read("hatch.toml"))["envs"]
    return result


def commands(text: str) -> set[tuple[str, str]]:
    """Return what `hatch run` is told to run: environment and script."""
    found = re.findall(r"hatch run (?:(\w+):)?(\w+)", text)
    return {(environment or "default", script) for environment, script in found} - {("default", "python")}


def test_the_two_commands_stand_at_the_top_of_the_readme() -> None:
    top = read("README.md").partition("\n## ")[0]
    assert [line for line in top.splitlines() if line.startswith("pip install")] == NEWCOMER


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/ci.yml", "hatch.toml"])
def test_every_command_that_is_told_exists(path: str) -> None:
    scripts = {(name, script) for name, settings in environments().items() for script in settings.get("scripts", {})}
    assert commands(read(path)) - scripts == set()


@pytest.mark.parametrize("path", [".ci/run", ".github/workflows/ci.yml"])
def test_the_checks_run_every_daily_command(path: str) -> None:
    daily = {("default", script) for script in ("build", "demo", "lint", "test", "types")}
    assert daily - commands(read(path)) == set()


@pytest.mark.parametrize("name", sorted(environments()))
def test_environments_with_torch_are_installed_by_pip(name: str) -> None:
    settings = environments()["default"] | environments()[name]
    assert settings["installer"] == "pip"


def test_only_environments_run_by_hand_install_torch() -> None:
    with_torch = {name for name, settings in environments().items() if "torch" in str(settings.get("dependencies"))}
    assert with_torch == {"bench", "oracle"}
    assert "torch" not in read("pyproject.toml").partition("[tool.")[0]
