"""Try a distribution that is installed alone: `python -I smoke.py spago-core`.

What only the wheel itself can tell: that nothing else was installed, that the files are in it, that its packages import
and do their work, and that what is not installed says so. Run by .ci/run, each time in a clean environment.
"""

import importlib
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path

# What is installed with each distribution, and the packages it brings.
COMPANIONS = {
    "spago": {"numpy", "spago-core", "spago-nn"},
    "spago-core": {"numpy"},
    "spago-embeddings": {"numpy", "spago-core", "spago-nn"},
    "spago-graphviz": {"numpy", "spago-core"},
    "spago-nn": {"numpy", "spago-core"},
}
PACKAGES = {
    "spago": [],
    "spago-core": ["ag", "mat"],
    "spago-embeddings": ["embeddings"],
    "spago-graphviz": ["graphviz"],
    "spago-nn": ["initializers", "losses", "nn", "optim"],
}
INSTALLERS = {"pip", "setuptools", "wheel"}
LEVELDB = {"plyvel", "plyvel-ci", "plyvel-next"}


def check_what_is_installed(distribution: str) -> None:
    """Nothing but the distribution and what it says it needs is there; plyvel has a name for each system."""
    installed = {found.metadata["Name"].lower().replace("_", "-") for found in metadata.distributions()} - INSTALLERS
    if distribution == "spago-embeddings":
        assert len(installed & LEVELDB) == 1, installed
        installed -= LEVELDB
    assert installed == COMPANIONS[distribution] | {distribution}, installed


def check_the_wheel(distribution: str) -> None:
    """The wheel is pure, licensed, and leaves the namespace to all."""
    about = metadata.metadata(distribution)
    assert about["License-Expression"] == "BSD-2-Clause", about["License-Expression"]
    files = [str(file).replace("\\", "/") for file in metadata.files(distribution) or []]
    assert any(file.endswith("licenses/LICENSE") for file in files), files
    assert "spago/__init__.py" not in files, files
    wheel = metadata.distribution(distribution).read_text("WHEEL") or ""
    assert "Tag: py3-none-any" in wheel, wheel


def check_the_packages(distribution: str) -> None:
    """Every package is there and typed; every other is an ImportError."""
    present = [name for owner in (distribution, *COMPANIONS[distribution]) for name in PACKAGES.get(owner, [])]
    for names in PACKAGES.values():
        for name in names:
            try:
                importlib.import_module(f"spago.{name}")
            except ImportError:
                assert name not in present, f"spago.{name} does not import"
            else:
                assert name in present, f"spago.{name} is there, and {distribution} does not bring it"
                assert resources.files(f"spago.{name}").joinpath("py.typed").is_file(), f"spago.{name} has no py.typed"


def use_core() -> None:
    """A sum and its gradients; the error of an add-on that is missing."""
    from spago import ag
    from spago.mat.addons import require

    a, b = ag.var(2.0, requires_grad=True), ag.var(5.0, requires_grad=True)
    c = a + b
    c.backward(0.5)
    assert (float(c.value), a.grad, b.grad) == (7.0, 0.5, 0.5)

    message = error_of(lambda: require("spago.is_missing", install="spago-is-missing", purpose="smoke"))
    assert message.endswith("run: pip install spago-is-missing"), message


def use_core_alone() -> None:
    """What other distributions bring is an ImportError."""

    def import_nn() -> object:
        from spago import nn

        return nn

    use_core()
    assert "nn" in error_of(import_nn)


def error_of(action: Callable[[], object]) -> str:
    """Return the message of the ImportError that an action must raise."""
    try:
        result = action()
    except ImportError as error:
        return str(error)
    raise AssertionError(f"expected an ImportError, got {result}")


def use_nn() -> None:
    """A layer computes, gets its gradient, and is the same after it was saved and loaded."""
    import numpy as np

    from spago import ag, nn

    x = np.ones((4, 3), dtype=np.float32)
    layer, other = nn.Linear(3, 2), nn.Linear(3, 2)
    ag.sum(layer(ag.var(x))).backward()
    np.testing.assert_array_equal(layer.weight.grad, np.full((2, 3), 4.0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "layer.safetensors")
        nn.save(layer, path)
        nn.load(other, path)
    np.testing.assert_array_equal(layer.weight.value, other.weight.value)


def use_embeddings() -> None:
    """A word is trained on disk, and is there when the store is opened again."""
    from spago import embeddings

    with tempfile.TemporaryDirectory() as folder:
        with embeddings.LevelDBRepository(folder) as repository:
            model = embeddings.Model(repository.store("words"), size=2)
            model.set("ev", [1, 2])
            (model.embed_many(["ev", "ev"]) * 3.0).backward()
            for rows in model.parameters():
                assert rows.grad is not None
                rows.value -= 0.5 * rows.grad
                rows.commit()
        with embeddings.LevelDBRepository(folder) as repository:
            vector = embeddings.Model(repository.store("words"), size=2).get("ev")
    assert vector is not None
    assert vector.tolist() == [-2.0, -1.0], vector


def use_graphviz() -> None:
    """A graph is written in the DOT language."""
    from spago import ag, graphviz

    dot = graphviz.to_dot(ag.sigmoid(ag.var(-0.8, name="x")))
    assert "digraph {" in dot, dot
    assert "<b>x</b>" in dot, dot


USES = {
    "spago": use_nn,
    "spago-core": use_core_alone,
    "spago-embeddings": use_embeddings,
    "spago-graphviz": use_graphviz,
    "spago-nn": use_nn,
}


def main() -> None:
    """Check the distribution named on the command line."""
    (distribution,) = sys.argv[1:]
    check_what_is_installed(distribution)
    check_the_wheel(distribution)
    check_the_packages(distribution)
    USES[distribution]()
    print(f"{distribution} {metadata.version(distribution)} works alone, on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
