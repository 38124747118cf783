"""Models in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spago import nn
from spago.mat import FormatError


class Tagger(nn.Module):
    """A small model of the usual parts, with a shared parameter and a buffer."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 3)
        self.lstm = nn.LSTM(3, 3)
        self.output = nn.Linear(3, 5)
        self.output.weight = self.embedding.weight
        self.crf = nn.CRF(5)
        self.mean = nn.Buffer([0.5, 1.5])


def a_model() -> Tagger:
    model = Tagger()
    for parameter in model.parameters():
        parameter.value[...] = np.random.default_rng(1).normal(size=parameter.value.shape)
    return model


def assert_same_state(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name])


@pytest.mark.parametrize("memory_map", [False, True])
def test_a_model_is_loaded_as_it_was_saved(tmp_path: Path, memory_map: bool) -> None:
    model, other = a_model(), Tagger()
    nn.save(model, tmp_path / "model")
    assert nn.load(other, tmp_path / "model", memory_map=memory_map) == ([], [])
    assert_same_state(model, other)
    assert other.output.weight is other.embedding.weight


def test_a_file_says_what_it_holds(tmp_path: Path) -> None:
    nn.save(a_model(), tmp_path / "model", metadata={"epoch": "3"})
    metadata = nn.load_metadata(tmp_path / "model")
    assert metadata["epoch"] == "3"
    assert metadata["spago_class"].endswith("Tagger")
    assert metadata["spago_version"]
    assert set(nn.load_arrays(tmp_path / "model")) == set(a_model().state_dict())


def test_a_mapped_model_can_be_trained_and_the_file_stays(tmp_path: Path) -> None:
    model = a_model()
    nn.save(model, tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    nn.load(model, tmp_path / "model", memory_map=True)
    for parameter in model.parameters():
        parameter.value += 1
    assert (tmp_path / "model").read_bytes() == content
    nn.save(model, tmp_path / "model")
    other = Tagger()
    nn.load(other, tmp_path / "model")
    assert_same_state(model, other)


def test_values_become_the_dtype_of_the_model(tmp_path: Path) -> None:
    linear = nn.Linear(2, 1)
    weight = np.array([[0.5, 1.5]])
    nn.save_arrays(tmp_path / "file", {"weight": weight.astype(np.float16), "bias": np.ones(1, np.float64)})
    nn.load(linear, tmp_path / "file")
    assert linear.weight.value.dtype == np.float32
    assert linear.state_dict()["bias"].dtype == np.float32
    np.testing.assert_array_equal(linear.weight.value, weight)


def test_without_strict_the_rest_is_loaded_and_reported(tmp_path: Path) -> None:
    linear = nn.Linear(2, 1)
    nn.save_arrays(tmp_path / "file", {"weight": np.ones((1, 2)), "more": np.ones(3, np.int64)})
    result = nn.load(linear, tmp_path / "file", strict=False)
    assert (result.missing, result.unexpected) == (["bias"], ["more"])
    assert linear.weight.value.tolist() == [[1, 1]]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _other_shape(path: Path) -> None:
    nn.save_arrays(path, nn.load_arrays(path) | {"mean": np.zeros(3, np.float32)})


def _integers(path: Path) -> None:
    nn.save_arrays(path, nn.load_arrays(path) | {"mean": np.zeros(2, np.int32)})


def _less(path: Path) -> None:
    arrays = nn.load_arrays(path)
    del arrays["crf.transitions"]
    nn.save_arrays(path, arrays)


@pytest.mark.parametrize("memory_map", [False, True])
@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (_cut, FormatError, "model: expected .* bytes, where the last array ends"),
        (_other_shape, ValueError, r"model: the state does not fit: expected mean \(2,\), got \(3,\)"),
        (_integers, ValueError, "model: expected floats for mean, got I32"),
        (_less, ValueError, "model: the state does not fit: missing crf.transitions; strict=False ignores"),
        (Path.unlink, FileNotFoundError, "model"),
    ],
)
def test_a_failed_load_leaves_the_model_as_it_was(
    tmp_path: Path, spoil: Callable[[Path], None], kind: type[Exception], message: str, memory_map: bool
) -> None:
    nn.save(Tagger(), tmp_path / "model")
    spoil(tmp_path / "model")
    model = a_model()
    with pytest.raises(kind, match=message):
        nn.load(model, tmp_path / "model", memory_map=memory_map)
    assert_same_state(model, a_model())
