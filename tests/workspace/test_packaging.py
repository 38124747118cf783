"""The five distributions fit together: versions, pins, licences, type marks, and one namespace that nobody owns."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(path.parent for path in (ROOT / "packages").glob("*/pyproject.toml"))
DISTRIBUTIONS = [ROOT, *MEMBERS]
PACKAGES = {
    "spago-core": {"ag", "mat"},
    "spago-embeddings": {"embeddings"},
    "spago-graphviz": {"graphviz"},
    "spago-nn": {"initializers", "losses", "nn", "optim"},
}

every_distribution = pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
every_member = pytest.mark.parametrize("folder", MEMBERS, ids=lambda folder: folder.name)


def settings(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def project(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = settings(folder)["project"]
    return result


def requirements(folder: Path) -> list[str]:
    """Return the dependencies of a distribution, those of its extras included."""
    about = project(folder)
    extras: dict[str, list[str]] = about.get("optional-dependencies", {})
    return [*about["dependencies"], *(line for lines in extras.values() for line in lines)]


def own_requirements(folder: Path) -> list[str]:
    return [line for line in requirements(folder) if re.match(r"spago\b", line)]


def packages(folder: Path) -> list[Path]:
    """Return the importable packages of a member, down to the innermost."""
    return sorted(path.parent for path in (folder / "src" / "spago").rglob("__init__.py"))


def test_the_members_are_the_four_distributions() -> None:
    assert {project(folder)["name"] for folder in MEMBERS} == set(PACKAGES)


@every_member
def test_a_folder_is_called_as_its_distribution(folder: Path) -> None:
    assert project(folder)["name"] == folder.name


def test_there_is_one_version() -> None:
    assert len({project(folder)["version"] for folder in DISTRIBUTIONS}) == 1


@every_distribution
def test_pins_between_distributions_name_that_version(folder: Path) -> None:
    version = project(ROOT)["version"]
    assert [line for line in own_requirements(folder) if not line.endswith(f"=={version}")] == []


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{project(ROOT)['version']}]" in changelog


def test_the_extra_all_brings_every_member() -> None:
    about = project(ROOT)
    everything = [*about["dependencies"], *about["optional-dependencies"]["all"]]
    assert {line.partition("==")[0] for line in everything} == set(PACKAGES)


def test_each_other_extra_is_part_of_all() -> None:
    extras = project(ROOT)["optional-dependencies"]
    assert set().union(*extras.values()) == set(extras["all"])


def test_dependencies_point_one_way() -> None:
    needs = {folder.name: {line.partition("==")[0] for line in own_requirements(folder)} for folder in MEMBERS}
    assert needs == {
        "spago-core": set(),
        "spago-embeddings": {"spago-core", "spago-nn"},
        "spago-graphviz": {"spago-core"},
        "spago-nn": {"spago-core"},
    }


def test_core_depends_on_numpy_alone() -> None:
    assert requirements(ROOT / "packages" / "spago-core") == ["numpy>=2.0"]


@every_distribution
def test_what_all_distributions_say_is_the_same(folder: Path) -> None:
    root, about = settings(ROOT), settings(folder)
    for key in ("requires-python", "license", "license-files", "authors", "urls"):
        assert about["project"][key] == root["project"][key], key
    assert about["build-system"] == root["build-system"]


@every_distribution
def test_every_distribution_carries_the_licence_and_a_readme(folder: Path) -> None:
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# ")


@every_member
def test_nobody_owns_the_namespace(folder: Path) -> None:
    assert [path.name for path in (folder / "src").iterdir() if path.suffix != ".egg-info"] == ["spago"]
    assert [path.name for path in (folder / "src" / "spago").iterdir() if path.is_file()] == []


@every_member
def test_every_member_brings_its_packages(folder: Path) -> None:
    assert {path.name for path in packages(folder) if path.parent.name == "spago"} == PACKAGES[folder.name]


@every_member
def test_every_package_is_marked_as_typed(folder: Path) -> None:
    importable = [path for path in packages(folder) if path.parent.name == "spago"]
    assert [path.name for path in importable if not (path / "py.typed").exists()] == []


def test_no_other_folder_joins_the_namespace() -> None:
    # Whatever is called spago and is on the path, or in the working directory, becomes part of the package.
    strangers = [path for top in (ROOT, ROOT / "tests", ROOT / "tests" / "support") for path in top.glob("spago*")]
    assert [path for path in strangers if path.is_dir() or path.suffix == ".py"] == []
