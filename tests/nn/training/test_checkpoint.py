"""Checkpoints: all comes back, bit by bit; what does not fit changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spago import ag, losses, mat, nn, optim
from spago.mat import Array, FormatError
from spago.mat.rand import LockedRand
from spago.nn import training
from spago.nn.training._checkpoint import _checksum as checksum

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
Y = np.arange(8) % 4


class Net(nn.Module):
    """A model with a buffer, with dropout from a stream of its own and from the common one."""

    def __init__(self, hidden: int = 5, seed: int = 3) -> None:
        rng = LockedRand(seed)
        self.first = nn.Linear(3, hidden, rng=rng)
        self.norm = nn.BatchNorm(hidden)
        self.layers = [nn.Dropout(0.5, rng=LockedRand(seed + 1)), nn.Dropout(0.2)]
        self.last = nn.Linear(hidden, 4, rng=rng)

    def forward(self, x: Any) -> ag.Node:
        h = ag.tanh(self.norm(self.first(x)))
        for layer in self.layers:
            h = layer(h)
        y: ag.Node = self.last(h)
        return y


class Training:
    """A model and all that trains it."""

    def __init__(self, hidden: int = 5, seed: int = 3) -> None:
        self.model = Net(hidden, seed)
        rate = optim.WarmUp(3, optim.ReduceOnPlateau(0.05, patience=0))
        self.plateau = rate.then
        self.optimizer = optim.AdamW(self.model, rate, clip_norm=1.0)
        self.noise = LockedRand(7)
        self.batches = training.Batches(range(8), 3, np.array, seed=5)

    def parts(self) -> dict[str, training.Part]:
        return {"noise": self.noise, "batches": self.batches}

    def steps(self, count: int) -> None:
        for _ in range(count):
            x = X + self.noise.normal(X.shape, dtype=np.float32)
            loss = losses.cross_entropy(self.model(x), Y)
            loss.backward()
            self.optimizer.step()
            assert isinstance(self.plateau, optim.ReduceOnPlateau)
            self.plateau.report(loss.item())

    def save(self, path: Path, data: Any = None) -> None:
        training.save_checkpoint(path, self.model, self.optimizer, parts=self.parts(), data=data)

    def load(self, path: Path) -> Any:
        return training.load_checkpoint(path, self.model, self.optimizer, parts=self.parts())

    def state(self) -> dict[str, Any]:
        """Everything, as bytes and plain values."""
        optimizer: dict[str, Any] = {**self.optimizer.state_dict()}
        arrays: Mapping[str, Array] = optimizer.pop("arrays")
        streams = [mat.rand.default_rng(), self.noise, *(layer.rng for layer in self.model.layers)]
        return {
            "model": {name: value.tobytes() for name, value in self.model.state_dict().items()},
            "moments": {name: value.tobytes() for name, value in arrays.items()},
            "optimizer": json.loads(json.dumps(optimizer)),
            "streams": [stream and stream.state() for stream in streams],
            "batches": self.batches.state_dict(),
        }


def test_training_goes_on_bit_by_bit_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    mat.rand.manual_seed(11)
    one = Training()
    one.steps(4)
    one.save(tmp_path / "run", {"epoch": 2})
    one.steps(5)
    expected = one.state()
    mat.rand.manual_seed(99)
    other = Training(seed=50)
    assert other.load(tmp_path / "run") == {"epoch": 2}
    other.steps(5)
    assert other.state() == expected


def test_loading_undoes_what_was_done_since(tmp_path: Path) -> None:
    run = Training()
    run.steps(2)
    run.save(tmp_path / "run")
    before = run.state()
    run.steps(3)
    next(iter(run.batches))
    assert run.state() != before
    run.load(tmp_path / "run")
    assert run.state() == before


def test_gradients_are_cleared(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    training.save_checkpoint(tmp_path / "run", model)
    ag.sum(model(np.ones(2, np.float32))).backward()
    training.load_checkpoint(tmp_path / "run", model)
    assert model.weight.grad is None


def test_data_keep_their_types_and_arrays(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    data = {"a": [1, 2.5, None, "ü", {"b": True}], "n": np.arange(3), "x.y": np.ones(2), "x": {"y": np.zeros(1)}}
    training.save_checkpoint(tmp_path / "run", model, data=data | {"scalar": np.float32(0.5), "pair": (1, 2)})
    loaded = training.load_checkpoint(tmp_path / "run", model)
    assert loaded["a"] == data["a"]
    assert loaded["scalar"] == 0.5
    assert loaded["pair"] == [1, 2]
    np.testing.assert_array_equal(loaded["n"], np.arange(3))
    np.testing.assert_array_equal(loaded["x.y"], np.ones(2))
    np.testing.assert_array_equal(loaded["x"]["y"], np.zeros(1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({1: 2}, "expected data with text as keys, got 1"),
        ({"$array": 2}, r"expected data with text as keys, got '\$array'"),
        ([{"a": object()}], "expected data and states of what JSON has, got object"),
        ({"half": np.ones(2, np.float16)}, "expected data.half not to be float16, which would come back as float32"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_before_it_is_written(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        training.save_checkpoint(tmp_path / "run", nn.Linear(1, 1), data=data)
    assert not list(tmp_path.iterdir())


def refused(path: Path, kind: type[Exception], message: str, run: Training | None = None) -> None:
    """Check that loading a checkpoint raises an error and changes nothing."""
    run = run or Training()
    run.steps(1)
    before = run.state()
    with pytest.raises(kind, match=message):
        run.load(path)
    assert run.state() == before


@pytest.fixture(name="saved")
def a_checkpoint(tmp_path: Path) -> Path:
    run = Training(seed=20)
    run.steps(2)
    run.save(tmp_path / "run", {"epoch": 1})
    return tmp_path / "run"


def test_a_truncated_checkpoint_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for length in (0, 7, 100, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        refused(saved, FormatError, f"{saved}: expected")


def test_a_flipped_bit_anywhere_is_an_error_or_changes_nothing(saved: Path) -> None:
    content = saved.read_bytes()
    intact = Training()
    intact.load(saved)
    rng = LockedRand(1)
    run = Training()
    for place in rng.intn(len(content), 150).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.intn(8))
        saved.write_bytes(damaged)
        before = run.state()
        try:
            run.load(saved)
        except FormatError:
            assert run.state() == before
        else:  # blanks after the header
            assert run.state() == intact.state()


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, str]], object]) -> None:
    """Edit a checkpoint with the tools that everyone has."""
    arrays, metadata = nn.load_arrays(path), nn.load_metadata(path)
    change(arrays, metadata)
    nn.save_arrays(path, arrays, metadata)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, metadata: arrays["model.last.bias"].fill(1),
        lambda arrays, metadata: arrays.update({"model.new": np.ones(1)}),
        lambda arrays, metadata: arrays.pop("model.last.bias"),
        lambda arrays, metadata: metadata.update(content=metadata["content"].replace('"steps": 2', '"steps": 3')),
        lambda arrays, metadata: metadata.update(crc32="00000000"),
    ],
    ids=["a number", "one more array", "one less", "the content", "the checksum"],
)
def test_an_edited_checkpoint_is_refused(saved: Path, change: Callable[..., object]) -> None:
    rewritten(saved, change)
    refused(saved, FormatError, "expected content of checksum .*the file is not as it was written")


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "3",
        "[" * 100_000,
        '{"states": [], "streams": {}, "data": 1}',
        '{"states": {"$array": "no"}, "streams": {}}',
    ],
)
def test_content_that_is_none_is_refused_whatever_its_checksum(saved: Path, content: str) -> None:
    forge(saved, content)
    refused(saved, FormatError, "run: expected the content of a checkpoint, got ")


@pytest.mark.parametrize(
    "change", [{"optimizer": 5}, {"optimizer": {"method": 1}}, {"parts.batches": None}, {"parts.batches": {"read": 1}}]
)
def test_states_that_are_none_are_refused_whatever_their_checksum(saved: Path, change: dict[str, Any]) -> None:
    content = json.loads(nn.load_metadata(saved)["content"])
    forge(saved, json.dumps({**content, "states": {**content["states"], **change}}))
    refused(saved, ValueError, "expected (a state of|states as|state of)")


def forge(path: Path, content: str) -> None:
    """Give a checkpoint another content, with the checksum that belongs to it."""
    arrays = nn.load_arrays(path)
    metadata = {"spago_checkpoint": "1", "content": content}
    nn.save_arrays(path, arrays, {**metadata, "crc32": checksum(arrays, metadata)})


def test_a_model_file_is_no_checkpoint(tmp_path: Path) -> None:
    nn.save(Net(), tmp_path / "model")
    refused(tmp_path / "model", FormatError, "expected a checkpoint of save_checkpoint, .*nn.load reads model files")


def test_a_later_version_is_refused(saved: Path) -> None:
    rewritten(saved, lambda arrays, metadata: metadata.update(spago_checkpoint="2"))
    refused(saved, FormatError, "expected version 1 of checkpoints, got 2")


def test_the_checkpoint_of_another_model_is_refused(saved: Path) -> None:
    refused(saved, ValueError, r"run: the state does not fit: .*first\.weight \(6, 3\), got \(5, 3\)", Training(6))
    other = Training()
    other.model.extra = nn.Linear(2, 2)  # type: ignore[attr-defined]
    refused(saved, ValueError, "missing extra.weight, extra.bias; is it a checkpoint of this model?", other)


def test_another_dtype_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(2, 1, dtype=np.float64)
    training.save_checkpoint(tmp_path / "run", model)
    other = nn.Linear(2, 1)
    before = other.weight.value.copy()
    with pytest.raises(ValueError, match="expected weight of float32, got float64"):
        training.load_checkpoint(tmp_path / "run", other)
    np.testing.assert_array_equal(other.weight.value, before)


def test_the_checkpoint_of_another_optimizer_is_refused(saved: Path) -> None:
    run = Training()
    run.optimizer = optim.Adam(run.model, optim.WarmUp(3, optim.ReduceOnPlateau(0.05)))  # type: ignore[assignment]
    run.plateau = run.optimizer.groups[0]["learning_rate"].then
    refused(saved, ValueError, "Adam: expected state of Adam, got that of AdamW", run)


def test_other_parts_are_refused(saved: Path) -> None:
    model = Net()
    before = model.last.weight.value.copy()
    with pytest.raises(ValueError, match=r"expected the states of nothing, got those of parts\.batches, optimizer"):
        training.load_checkpoint(saved, model)
    run = Training()
    run.batches = training.Batches(range(9), 3, np.array, seed=5)
    refused(saved, ValueError, "expected the state of batches with .*'examples': 9", run)
    np.testing.assert_array_equal(model.last.weight.value, before)


def test_a_layer_with_another_stream_is_refused(saved: Path) -> None:
    run = Training()
    run.model.layers[1].rng = LockedRand(1)
    refused(saved, ValueError, r"expected the random streams of .*model\.layers\.1\.rng, got those of", run)


class Refuses:
    """A part that takes no state."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None:
        raise ValueError("expected another state")


def test_when_one_part_refuses_the_others_are_set_back(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    batches = training.Batches(range(8), 3, list)
    parts: dict[str, training.Part] = {"batches": batches, "refuses": Refuses()}
    next(iter(batches))
    training.save_checkpoint(tmp_path / "run", model, parts=parts)
    for _ in batches:
        pass
    before = batches.state_dict()
    with pytest.raises(ValueError, match="expected another state"):
        training.load_checkpoint(tmp_path / "run", model, parts=parts)
    assert batches.state_dict() == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_comes_back(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.checkpoint"
    model = nn.Linear(1, 1)
    training.save_checkpoint(path, model, data=data)
    assert repr(training.load_checkpoint(path, model)) == repr(data)
