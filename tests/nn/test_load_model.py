"""Whole models from their files, names that differ, and checkpoints in several files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spago import ag, nn
from spago.mat import FormatError
from spago.mat.rand import default_rng


@nn.register("tests.Tagger")
class Tagger(nn.Module):
    """A registered class whose settings are its attributes."""

    def __init__(self, sizes: tuple[int, int], *, layers: list[str], dropout: float = 0.1) -> None:
        self.sizes = sizes
        self.layers = layers
        self.dropout = dropout
        self.parts = [nn.Linear(*sizes) for _ in layers]
        self.tied = self.parts[0].weight


@nn.register
class Described(nn.Module):
    """A registered class that says itself what it was made with."""

    def __init__(self, size: int) -> None:
        self.weight = nn.Param(np.zeros(size + 1, np.float32))

    def configuration(self) -> dict[str, Any]:
        return {"size": self.weight.size - 1}


class Unregistered(nn.Module):
    def __init__(self) -> None:
        self.linear = nn.Linear(2, 2)


MODELS: dict[str, nn.Module] = {
    "linear": nn.Linear(2, 3),
    "linear without bias": nn.Linear(2, 3, bias=False, dtype=np.float64),
    "lstm": nn.LSTM(3, 3, refined_gates=True),
    "gru": nn.GRU(2, 3, reset_after=True),
    "srn": nn.SRN(2, 3),
    "cfn": nn.CFN(2, 3),
    "ran": nn.RAN(2, 3),
    "ltm": nn.LTM(3),
    "tpr": nn.TPR(2, symbols=3, symbol_size=2, roles=4, role_size=5),
    "horn": nn.HORN(2, 3, 2),
    "indrnn": nn.IndRNN(2, 3, activation=ag.tanh),
    "deltarnn": nn.DeltaRNN(2, 3),
    "mist": nn.MIST(2, 3, 2),
    "rla": nn.RLA(3),
    "slstm": nn.SentenceStateLSTM(2, 3, updates=2),
    "birnn": nn.BiLSTM(2, 3, merge="sum"),
    "stacked": nn.Stacked([nn.BiLSTM(2, 3), nn.GRU(6, 3)], dropout=0.3),
    "crf": nn.CRF(3),
    "embedding": nn.Embedding(5, 3),
    "dropout": nn.Dropout(0.25, shared_axis=-2),
    "layernorm": nn.LayerNorm(3, bias=False, eps=1e-6),
    "batchnorm": nn.BatchNorm(3, momentum=0.2),
    "rmsnorm": nn.RMSNorm(3),
    "selfattention": nn.SelfAttention(3, 2, 4, scale=0.5),
    "multihead": nn.MultiheadAttention(4, 2, bias=False),
    "multihead of three sizes": nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
    "activation": nn.Activation("leaky_relu", alpha=0.2),
    "swish with its steepness": nn.Activation("swish_b"),
    "srnn": nn.SRNN(2, 3, 4, hyper_size=5, num_layers=2, multi_head=True),
    "bisrnn": nn.BiSRNN(2, 3, 4, hyper_size=5),
    "conv1d": nn.Conv1d(2, 3, 2, stride=2, padding=1, dilation=2, bias=False),
    "conv2d": nn.Conv2d(2, 4, (2, 3), groups=2, padding=(0, 1), padding_mode="reflect"),
    "masked": nn.Conv2d(2, 4, 3, mask=[True, False]),
    "conv1x1": nn.Conv1x1(2, 3),
    "highway": nn.Highway(3, activation=ag.relu),
    "gmlp": nn.GMLP(4, 3, 2, ff_mult=2, gate_activation=ag.tanh),
    "sgu": nn.SGU(4, 3),
    "mixer": nn.MixerBlock(4, 3, token_hidden=5, channel_hidden=6, token_activation=ag.relu),
    "encoder layer": nn.TransformerEncoderLayer(4, 2, 8, activation=ag.gelu, bias=False),
    "decoder layer": nn.TransformerDecoderLayer(4, 2, 8, norm_first=True),
    "encoder": nn.TransformerEncoder([nn.TransformerEncoderLayer(4, 2, 8)], norm=nn.LayerNorm(4)),
    "decoder": nn.TransformerDecoder([nn.TransformerDecoderLayer(4, 2, 8, activation=ag.gelu)]),
    "learned positions": nn.LearnedPositions(5, 4),
    "pooling": nn.MaxPool2d((2, 3)),
    "squared distance": nn.SquaredDistance(3, 2),
    "sequential": nn.Sequential(nn.Linear(2, 3), ag.relu, nn.Dropout(0.5), nn.Linear(3, 2)),
    "list": nn.ModuleList([nn.Linear(2, 3), nn.CRF(2)]),
    "registered": Tagger((2, 3), layers=["a", "b"], dropout=0.25),
    "described": Described(4),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("memory_map", [False, True])
def test_a_model_is_made_as_it_was_saved(tmp_path: Path, name: str, memory_map: bool) -> None:
    model = MODELS[name]
    for parameter in model.parameters():
        parameter.value[...] = np.random.default_rng(1).normal(size=parameter.value.shape)
    nn.save(model, tmp_path / "model")
    before = default_rng().state()
    again = nn.load_model(tmp_path / "model", memory_map=memory_map)
    assert name == "registered" or default_rng().state() == before  # which draws by itself
    assert type(again) is type(model)
    assert repr(again) == repr(model)
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert theirs[key].dtype == value.dtype
        np.testing.assert_array_equal(theirs[key], value)


def test_settings_that_are_no_parameters_come_along(tmp_path: Path) -> None:
    nn.save(MODELS["registered"], tmp_path / "model")
    again = nn.load_model(tmp_path / "model")
    assert (again.sizes, again.layers, again.dropout) == ((2, 3), ["a", "b"], 0.25)
    assert again.tied is again.parts[0].weight


def test_what_draws_after_loading_draws_from_the_common_generator(tmp_path: Path) -> None:
    nn.save(MODELS["dropout"], tmp_path / "model")
    assert nn.load_model(tmp_path / "model").rng is None


def test_a_class_that_is_not_registered_says_how_to_go_on(tmp_path: Path) -> None:
    nn.save(Unregistered(), tmp_path / "model")
    with pytest.raises(FormatError, match="says how to make its model, a .*Unregistered, got none; register the class"):
        nn.load_model(tmp_path / "model")
    assert nn.load(Unregistered(), tmp_path / "model") == ([], [])


def _configured(path: Path, configuration: Any, **arrays: Any) -> Path:
    text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    nn.save_arrays(path, arrays, {"spago_class": "spago.nn.Linear", "spago_configuration": text})
    return path


LINEAR = {"@module": "spago.nn.Linear", "in_features": 2, "out_features": 1, "bias": False, "dtype": "float32"}
DEEP: Any = LINEAR
for _ in range(200):
    DEEP = {"@module": "spago.nn.Sequential", "@args": [DEEP]}


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (LINEAR | {"@module": "os.system"}, "a class of spago.nn or one that nn.register knows, got 'os.system'"),
        (LINEAR | {"@module": "antigravity.Linear"}, "got 'antigravity.Linear'; import the module that registers it"),
        (LINEAR | {"@module": ["spago.nn.Linear"]}, "expected a class of spago.nn"),
        (LINEAR | {"in_features": "two"}, "expected settings of spago.nn.Linear"),
        (LINEAR | {"colour": "red"}, "expected settings of spago.nn.Linear, got .*colour"),
        (LINEAR | {"dtype": "O"}, "expected a dtype of float32 or float64, got 'O'"),
        (LINEAR | {"in_features": 10**12}, "expected sizes in proportion to the arrays of the file, got 1000000000000"),
        ({"@module": "spago.nn.LSTM", "input_size": 40_000, "hidden_size": 40_000}, "sizes in proportion to the file"),
        ({"@module": "spago.nn.IndRNN", "input_size": 1, "hidden_size": 1, "activation": {"@function": "backward"}},
         "expected an activation of spago.ag, got 'backward'"),
        (DEEP, "expected settings at most 50 deep inside one another"),
        ([1, 2], "expected the configuration of spago.nn.Linear, got that of list"),
        ("{", "expected a configuration in JSON"),
        ("[" * 100_000, "expected a configuration in JSON"),
        (LINEAR | {"out_features": 3}, r"the state does not fit: expected weight \(3, 2\), got \(1, 2\)"),
        (LINEAR | {"bias": True}, "the state does not fit: missing bias"),
    ],
)  # fmt: skip
def test_a_file_names_nothing_but_known_classes_in_proportion(tmp_path: Path, configuration: Any, message: str) -> None:
    path = _configured(tmp_path / "model", configuration, weight=np.ones((1, 2), np.float32))
    modules = set(sys.modules)
    with pytest.raises(FormatError, match=f"^{path}.*{message}"):
        nn.load_model(path)
    assert set(sys.modules) == modules
    assert nn.load_model(_configured(path, LINEAR, weight=np.ones((1, 2), np.float32))).weight.shape == (1, 2)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match=r"expected a name that no other class has, got 'tests.Tagger'"):
        nn.register("tests.Tagger")(Unregistered)


# Other names


def test_names_are_changed_by_a_map_or_a_function(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 1))
    nn.save_arrays(
        tmp_path / "file",
        {
            "bert.dense.weight": np.ones((1, 2)),
            "bert.dense.b": np.ones(1),
            "head.x": np.zeros(1),
            "head.y": np.zeros(1),
        },
    )
    rename = {"bert.dense.": "0.", "bert.dense.b": "0.bias", "head.": None}
    assert nn.load(model, tmp_path / "file", rename=rename) == ([], [])
    assert model.state_dict()["0.bias"].tolist() == [1]
    report = nn.compare(model, tmp_path / "file", rename=lambda name: name.replace("bert.dense.", "0."))
    assert (report.missing, set(report.unexpected)) == (["0.bias"], {"head.x", "head.y", "0.b"})
    with pytest.raises(ValueError, match="expected rename to give each array a name of its own, got 'a' twice"):
        nn.load(model, tmp_path / "file", rename=lambda name: "a")


def test_a_comparison_tells_of_other_shapes_and_changes_nothing(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    before = model.state_dict()
    nn.save_arrays(tmp_path / "file", {"weight": np.ones((4, 2)), "more": np.ones(1)})
    report = nn.compare(model, tmp_path / "file")
    assert report == (["bias"], ["more"], {"weight": ((3, 2), (4, 2))})
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# Several files


def _shards(folder: Path, weight_map: Any = None, **more: Any) -> Path:
    nn.save_arrays(folder / "model-00001-of-00002.safetensors", {"weight": np.ones((1, 2), np.float32)})
    nn.save_arrays(folder / "model-00002-of-00002.safetensors", {"bias": np.ones(1, np.float32)})
    files = {"weight": "model-00001-of-00002.safetensors", "bias": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files if weight_map is None else weight_map, **more}))
    return index


@pytest.mark.parametrize("memory_map", [False, True])
def test_a_checkpoint_in_several_files_is_loaded_by_its_index(tmp_path: Path, memory_map: bool) -> None:
    model = nn.Linear(2, 1)
    assert nn.load(model, _shards(tmp_path), memory_map=memory_map) == ([], [])
    assert model.weight.value.tolist() == [[1, 1]]
    assert nn.load(model, _shards(tmp_path), rename={"bias": None}, strict=False).missing == ["bias"]


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"weight": "../model.safetensors"}, "expected files beside the index, got '../model.safetensors'"),
        ({"weight": "/etc/passwd"}, "expected files beside the index, got '/etc/passwd'"),
        ({"weight": "a\\b"}, "expected files beside the index"),
        ({"weight": ".."}, "expected files beside the index"),
        ({"weight": "a\0b"}, "expected files beside the index"),
        ({"weight": ""}, "expected files beside the index"),
        ({"weight": "model-00002-of-00002.safetensors"}, "expected the arrays that .* says are here, got none called"),
        ({"weight": 1}, "expected a weight_map of files by name"),
        ({"weight": "missing"}, r"index\.json: expected a file 'missing' beside it, got none"),
        ({"weight": "n" * 5000}, "expected a file 'nnn.*' beside it, got none"),
        ([], "expected a weight_map of files by name, got list"),
    ],
)
def test_an_index_names_files_beside_it_that_have_what_it_says(tmp_path: Path, weight_map: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        nn.load(nn.Linear(2, 1), _shards(tmp_path, weight_map))


def test_an_index_cut_or_changed_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    index = _shards(tmp_path)
    data = index.read_bytes()
    for size in range(len(data)):
        index.write_bytes(data[:size])
        with pytest.raises(FormatError, match=r"index\.json"):
            nn.load(nn.Linear(2, 1), index)
    for place in range(len(data)):
        for change in (0xFF, 0x80, 0x01):
            index.write_bytes(data[:place] + bytes((data[place] ^ change,)) + data[place + 1 :])
            try:
                nn.load(nn.Linear(2, 1), index, strict=False)
            except FormatError as error:
                assert "expected" in str(error)  # noqa: PT017 - most changes are none of a name of the metadata


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", '{"weight_map": {"a": "b", "a": "c"}}', "\ud800"])
def test_a_damaged_index_is_refused(tmp_path: Path, text: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(FormatError, match="index"):
        nn.load(nn.Linear(2, 1), index)
    index.write_bytes(b" " * (5 << 20))
    with pytest.raises(FormatError, match="expected an index of at most 4194304 bytes, got more"):
        nn.load(nn.Linear(2, 1), index)


def test_every_layer_of_spago_has_a_row() -> None:
    rows = {type(part) for model in MODELS.values() for part in model.modules()}
    layers = {getattr(nn, name) for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    plain = {nn.AdaNorm, nn.AvgPool1d, nn.AvgPool2d, nn.FixNorm, nn.Flatten, nn.LayerNormSimple, nn.MaxPool1d}
    plain |= {nn.Module, nn.Recurrent, nn.RotaryPositions, nn.ScaleNorm, nn.SinusoidalPositions}
    assert {layer for layer in layers if issubclass(layer, nn.Module)} - rows - plain == set()
