"""Every file that Go Spago wrote is read as Go sees it, and written again with the same contents."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bounds import refusal
from gob_walk import walk
from golden_gob import FOLDER, array_of, assert_contents, assert_plain, kind_of, names, read_json
from spago import ag, nn
from spago.mat import FormatError
from spago.nn import gob
from spago.nn.gob._declarations import SPAGO


@pytest.mark.parametrize("name", names())
def test_contents_are_those_that_go_sees(name: str) -> None:
    contents = read_json(f"{name}.json")
    assert_contents(gob.load(FOLDER / f"{name}.gob", kind_of(contents)), contents)


@pytest.mark.parametrize("name", names())
def test_nothing_has_to_be_known_to_read_a_file(name: str) -> None:
    assert_contents(gob.load(FOLDER / f"{name}.gob"), read_json(f"{name}.json"))


@pytest.mark.parametrize("name", names())
def test_what_is_written_again_has_the_same_contents(tmp_path: Path, name: str) -> None:
    contents = read_json(f"{name}.json")
    kind, interface = kind_of(contents), bool(contents.get("top_level_interface"))
    for known in (None, kind):
        gob.save(gob.load(FOLDER / f"{name}.gob", known), tmp_path / "file", interface=interface)
        assert_contents(gob.load(tmp_path / "file", kind), contents)
        again = gob.load(tmp_path / "file", known)
        assert gob.dumps(again, interface=interface) == (tmp_path / "file").read_bytes()


def test_a_stream_of_plain_values_is_read_to_its_end(tmp_path: Path) -> None:
    told = read_json("values.json")["stream"]
    values = gob.load_all(FOLDER / "values.gob")
    assert len(values) == len(told) == 62
    for value, entry in zip(values, told, strict=True):
        if entry["type"] != "gobencoder":
            assert_plain(value, entry["value"])


@pytest.mark.parametrize("entry", read_json("odd/index.json"), ids=lambda entry: entry["file"])
def test_an_unusual_stream_has_the_contents_of_its_twin(entry: dict[str, str]) -> None:
    contents = read_json(f"odd/{entry['twin']}")
    kind = None if "toys." in entry["load_as"] else entry["load_as"]
    assert_contents(gob.load(FOLDER / "odd" / entry["file"], kind), contents)


@pytest.mark.parametrize("entry", read_json("bad/index.json"), ids=lambda entry: entry["file"])
def test_a_bad_file_is_refused_at_once_with_its_place(entry: dict[str, str]) -> None:
    path = FOLDER / "bad" / entry["file"]
    for read in (gob.load, gob.load_model):
        error = refusal(partial(read, kind=entry["load_as"]), path)
        assert str(error).startswith(f"{path}") if error is not None else entry["expect"] == "either"


@pytest.mark.parametrize("entry", read_json("bad/index.json"), ids=lambda entry: entry["file"])
def test_a_bad_file_is_also_refused_as_a_model_of_no_given_kind(entry: dict[str, str]) -> None:
    if entry["expect"] == "reject":
        with pytest.raises(FormatError):
            gob.load_model(FOLDER / "bad" / entry["file"])


# Models


LAYERS = [name for name in names() if read_json(f"{name}.json").get("forward")]
NO_LAYER = ("composite", "conv1d", "conv2d")  # with tests of their own


def _run(model: Any, contents: Any) -> Any:
    xs = np.stack([array_of(x)[:, 0] for x in contents["forward"]["inputs"]])
    if isinstance(model, nn.CRF):
        return model.decode(xs)[0]
    if isinstance(model, nn.SelfAttention | nn.MultiheadAttention):
        flags = [value for path, value in contents["fields"].items() if path.endswith("UseCausalMask")]
        ys = model(xs, causal=flags[0]) if isinstance(model, nn.SelfAttention) else model(xs[None], causal=flags[0])
    else:
        ys = model(xs)
    ys = ys[0] if isinstance(ys, tuple) else ys
    return ys.value.reshape(len(xs), -1)


@pytest.mark.parametrize("name", [name for name in LAYERS if not name.startswith(NO_LAYER)])
def test_a_layer_computes_what_go_computes_and_is_written_for_go(name: str) -> None:
    contents = read_json(f"{name}.json")
    model = gob.load_model(FOLDER / f"{name}.gob").eval()
    if isinstance(model, nn.CRF):
        assert _run(model, contents) == contents["forward"]["decode"]
    else:
        ys = np.stack([array_of(y)[:, 0] for y in contents["forward"]["outputs"]])
        tolerance = 1e-5 if ys.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(_run(model, contents), ys, rtol=tolerance, atol=tolerance)
    assert_contents(
        gob.loads(gob.dumps_model(model), kind_of(contents)), _without_names_and_work(contents, "batchnorm" in name)
    )


def _without_names_and_work(contents: Any, batch_norm: bool) -> Any:
    """What is told of a file, with what our layers have no place for: names of parameters, arrays only computed in."""
    params: dict[str, Any] = {}
    for path, told in contents["params"].items():
        name = [part for part in path.split(".") if not part.isdecimal()][-1]
        payload = told["payload"]
        if payload is not None and payload["label"] == 3:
            work = [dict(tensor, data=[0] * len(tensor["data"])) for tensor in payload["data"][2:]]
            payload = {"label": 3, "data": [*payload["data"][:2], *work]}
        kind = "biases" if name.startswith("B") else "weights"
        params[path] = told | {"name": name, "type": kind, "payload": payload}
    buffers = {path: told | {"name": ""} for path, told in contents["buffers"].items()}
    # The running deviation and the momentum are kept as the variance and 1 - momentum, and rounded.
    return contents | {"params": params, "buffers": {} if batch_norm else buffers}


@pytest.mark.parametrize("name", ["conv1d_f32", "conv1d_f64", "conv2d_f32", "conv2d_f64"])
def test_a_convolution_computes_what_go_computes(name: str) -> None:
    contents = read_json(f"{name}.json")
    x = np.stack([array_of(channel) for channel in contents["forward"]["inputs"]])
    y = np.stack([array_of(channel) for channel in contents["forward"]["outputs"]])
    ours = gob.load_model(FOLDER / f"{name}.gob")(x).value
    tolerance = 1e-5 if x.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(ours.reshape(y.shape), y, rtol=tolerance, atol=tolerance)


def test_optimizer_state_comes_along() -> None:
    contents = read_json("lstm_refined_adam_f32.json")
    model = gob.load_model(FOLDER / "lstm_refined_adam_f32.gob")
    payload = model.weight_ih.payload
    assert payload.label == "Adam"
    gates = [contents["params"][name]["payload"]["data"] for name in ("WIn", "WFor", "WCand", "WOut")]
    np.testing.assert_array_equal(payload.arrays["m"], np.concatenate([array_of(data[0]) for data in gates]))
    np.testing.assert_array_equal(payload.arrays["v"], np.concatenate([array_of(data[1]) for data in gates]))


def test_the_partition_gate_changes_sign_with_its_first_moment_but_not_with_its_second() -> None:
    gru = nn.GRU(2, 1)
    one = np.ones_like(gru.weight_ih.value)
    gru.weight_ih.payload = nn.Payload("Adam", {"m": one.copy(), "v": one.copy()})
    data = gob.to_data(gru)
    np.testing.assert_array_equal(data["WPart"].value, -gru.weight_ih.value[1:2])
    assert data["WPart"].payload.data[0].tolist() == [[-1, -1]]
    assert data["WPart"].payload.data[1].tolist() == [[1, 1]]
    again = gob.from_data(data)
    np.testing.assert_array_equal(again.weight_ih.payload.arrays["m"], one)
    np.testing.assert_array_equal(again.weight_ih.value, gru.weight_ih.value)


LAYERS_OF_BOTH: dict[str, nn.Module] = {
    "linear": nn.Linear(2, 3),
    "no bias": nn.Linear(2, 3, bias=False),
    "lstm": nn.LSTM(2, 3),
    "gru": nn.GRU(2, 3),
    "srn": nn.SRN(2, 3),
    "cfn": nn.CFN(2, 3),
    "ran": nn.RAN(2, 3),
    "ltm": nn.LTM(3),
    "tpr": nn.TPR(2, symbols=3, symbol_size=2, roles=4, role_size=5),
    "horn": nn.HORN(2, 3, 2),
    "indrnn": nn.IndRNN(2, 3),
    "deltarnn": nn.DeltaRNN(2, 3),
    "mist": nn.MIST(2, 3, 2),
    "rla": nn.RLA(3),
    "slstm": nn.SentenceStateLSTM(2, 3, updates=2),
    "birnn": nn.BiRNN(nn.LSTM(2, 3), nn.GRU(2, 3), merge="prod"),
    "crf": nn.CRF(3),
    "highway": nn.Highway(3),
    "conv1x1": nn.Conv1x1(2, 3),
    "conv2d": nn.Conv2d(2, 3, (2, 3), stride=(1, 2)),
    "conv2d by channel": nn.Conv2d(3, 3, 2, groups=3),
    "conv2d with a mask": nn.Conv2d(3, 2, 2, mask=[True, False, True]),
    "sqrdist": nn.SquaredDistance(3, 2),
    "dropout": nn.Dropout(0.25),
    "layernorm": nn.LayerNorm(3),
    "layernormsimple": nn.LayerNormSimple(),
    "scalenorm": nn.ScaleNorm(3),
    "fixnorm": nn.FixNorm(),
    "adanorm": nn.AdaNorm(0.5),
    "batchnorm": nn.BatchNorm(3, as_in_go=True),
    "conv1d": nn.Conv1d(2, 3, 2, stride=2),
    "conv2d and activation": nn.Sequential(nn.Conv2d(2, 3, 2), ag.relu),
    "flatten": nn.Flatten(0),
    "maxpool": nn.MaxPool2d((2, 3)),
    "activation": nn.Activation("tanh"),
    "gelu": nn.Activation("gelu", approximate="tanh"),
    "leaky relu": nn.Activation("leaky_relu", alpha=0.25),
    "threshold": nn.Activation("threshold", threshold=0.5, value=-1.0),
    "swish with its steepness": nn.Activation("swish_b", beta=0.5),
    "srnn": nn.SRNN(2, 3, 4, hyper_size=5, num_layers=2, multi_head=True),
    "srnn with one head": nn.SRNN(2, 3, 4, hyper_size=5),
    "bisrnn": nn.BiSRNN(2, 3, 4, hyper_size=5, num_layers=2),
    "sgu": nn.SGU(4, 3, activation=ag.tanh, eps=1e-12),
    "gmlp": nn.GMLP(4, 3, 2, ff_mult=2, activation=ag.relu, gate_activation=ag.tanh),
    "gmlp with gelu": nn.GMLP(4, 3, 1, activation=nn.Activation("gelu", approximate="tanh")),
    "gmlp block": nn.GMLP(4, 3, 1, activation=ag.tanh).layers[0],
    "mixer": nn.MixerBlock(
        4, 3, token_hidden=5, channel_hidden=6, token_activation=ag.relu, channel_activation=ag.sigmoid
    ),
    "selfattention": nn.SelfAttention(3, 2, 4),
    "multihead": nn.MultiheadAttention(4, 2),
}


@pytest.mark.parametrize("name", LAYERS_OF_BOTH)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_written_for_go_is_read_as_it_was(tmp_path: Path, name: str, dtype: Any) -> None:
    layer = LAYERS_OF_BOTH[name].to(dtype)
    for parameter in layer.parameters():
        parameter.value[...] = np.random.default_rng(1).normal(size=parameter.value.shape)
    gob.save_model(layer, tmp_path / "file")
    again = gob.load_model(tmp_path / "file", gob.to_data(layer).go_name)
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)
    ours, theirs = layer.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert theirs[key].dtype == dtype
        np.testing.assert_allclose(theirs[key], value, rtol=1e-6)


@pytest.mark.parametrize("name", LAYERS_OF_BOTH)
def test_what_is_written_is_a_stream_to_a_second_reader_too(name: str) -> None:
    layer = LAYERS_OF_BOTH[name]
    matrices = walk(gob.dumps_model(layer))
    # The scores of a CRF have a corner that nobody uses; and Go has parameters that are settings here.
    assert sum(rows * columns for (rows, columns), _ in matrices.values()) >= layer.num_parameters()


@pytest.mark.parametrize("name", names())
def test_a_file_that_is_written_again_is_a_stream_to_a_second_reader(name: str) -> None:
    contents = read_json(f"{name}.json")
    data = gob.dumps(gob.load(FOLDER / f"{name}.gob"), interface=bool(contents.get("top_level_interface")))
    matrices = walk(data)
    for path, told in contents["params"].items():
        if told is not None and told["value"] is not None:
            assert matrices[path] == (tuple(told["value"]["shape"]), told["value"]["dtype"])


def test_every_kind_of_model_has_a_row() -> None:
    kinds = {gob.to_data(layer).go_name for layer in LAYERS_OF_BOTH.values()}
    # What wraps a model, or is part of one, or keeps its vectors elsewhere.
    others = {f"*{name}" for name in ("gmlp.Block", "gmlp.PreNorm", "rmsnorm.Model", "nn.Module")}
    others |= {
        f"*{pkg}.{name}Attention" for pkg in ("selfattention", "multiheadattention") for name in ("Self", "Cross")
    }
    others |= {"*embeddings.Model[string]", "*embeddings.Model[[]uint8]"}
    assert set(SPAGO) - others == kinds


# No file of Go has these: the stream is ours, the names of fields, parameters and results are those of Go.
GOLDEN_LAYERS: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "srnn": ("recurrent", lambda c: nn.SRNN(*_sizes(c), **_shuffling(c))),
    "bisrnn": ("recurrent", lambda c: nn.BiSRNN(*_sizes(c), **_shuffling(c))),
    "sgu": ("mixers", lambda c: nn.SGU(c["dim"], c["dim_seq"], activation=_function(c["activation"]), eps=1e-12)),
    "gmlp": (
        "mixers",
        lambda c: nn.GMLP(
            c["dim"], c["seq_len"], c["depth"], ff_mult=c["ff_mult"], eps=1e-12,
            activation=_function("gelu"), gate_activation=_function(c["activation"]),
        ),
    ),
    "mlp_mixer": (
        "mixers",
        lambda c: nn.MixerBlock(
            c["input_size"], c["channels"], token_hidden=c["hidden_size_token_mixer"],
            channel_hidden=c["hidden_size_channel_mixer"], eps=c["eps"],
            token_activation=_function(c["act_function_token_mixer"]),
            channel_activation=_function(c["act_function_channel_mixer"]),
        ),
    ),
}  # fmt: skip


def _function(name: str) -> Any:
    return nn.Activation("gelu", approximate="tanh") if name == "gelu" else getattr(ag, name)


def _sizes(config: Any) -> tuple[int, int, int]:
    return config["input_size"], config["hidden_size"], config["output_size"]


def _shuffling(config: Any) -> dict[str, Any]:
    return {name: config[name] for name in ("hyper_size", "num_layers", "multi_head")}


def _cases() -> list[Any]:
    folder = Path(__file__).parents[2] / "golden" / "data"
    read = {file: json.loads((folder / f"{file}.json").read_text()) for file, _ in GOLDEN_LAYERS.values()}
    return [case for file in read.values() for case in file["cases"] if case["name"] in GOLDEN_LAYERS]


def _fill(data: Any, path: str, told: Any) -> None:
    """Give the parameter at a path, written in Python's way, a value."""
    for name in path.split("."):
        if isinstance(data, list):
            data = data[int(name)]
        else:
            (field,) = (field for field in data if field.lower() == name.replace("_", ""))
            data = data[field]
    shape = (*told["shape"], 1, 1)[:2]
    assert data.value.shape == shape
    data.value = np.reshape(told["data"], shape).astype(np.float64)


def _count(data: Any) -> int:
    parts = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return isinstance(data, gob.Param) + sum(map(_count, parts))


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["id"])
def test_a_layer_that_consists_of_others_computes_what_go_computes(case: Any) -> None:
    layer = GOLDEN_LAYERS[case["name"]][1](case["config"])
    data = gob.to_data(layer)
    for path, told in case["params"].items():
        _fill(data, path, told)
    assert _count(data) == len(case["params"])
    again = gob.loads_model(gob.dumps(data))
    assert type(again) is type(layer)
    xs, ys = (np.reshape(told["data"], told["shape"]) for told in (case["inputs"][0], case["outputs"][0]))
    result = again(xs)
    result = result[0] if isinstance(result, tuple) else result
    np.testing.assert_allclose(result.value, ys, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("srnn", lambda data: data["Config"].update(NumLayers=10**9), "expected as many layers as FC has, 7, got 10"),
        ("srnn", lambda data: data["FC"].pop(), "expected 7 layers linear.Model, layernorm.Model"),
        ("srnn", lambda data: data["FC"][2].update(Activation=2), "expected ReLU between the layers of FC"),
        ("srnn", lambda data: data.pop("Config"), "expected a Config, got none"),
        ("srnn", lambda data: data["Config"].update(HiddenSize=1 << 40), "sizes in proportion to the file"),
        ("gmlp", lambda data: data["Config"].update(Depth=3), "expected 2 layers, as there are, got a Depth of 3"),
        ("gmlp", lambda data: data["Layers"][0].pop("PreNorm"), "a value for Layers.0.PreNorm.Norm.W, got none"),
        ("sgu", lambda data: data.pop("Norm"), "expected a value for Norm.Eps, got none"),
        ("sgu", lambda data: data["Config"].update(Dim=3), "an even number of features"),
        ("mixer", lambda data: data.pop("TokenMixerFF"), "expected 3 layers linear.Model, activation.Model"),
        ("maxpool", lambda data: data.update(Rows=0), "expected .*got 0|kernel"),
        ("leaky relu", lambda data: data["Params"].append(data["Params"][0]), "1 parameters of leaky_relu, got 2"),
        ("activation", lambda data: data.update(Activation=99), "an activation without parameters, got number 99"),
        ("activation", lambda data: data.update(Activation=10), "an activation without parameters, got elu"),
        ("conv1d", lambda data: data["Config"].update(KernelSizeY=1 << 50), "expected kernels of shape"),
        ("conv2d", lambda data: data.pop("Config"), "expected a Config, got none"),
        ("conv2d", lambda data: data["K"].pop(), "expected a kernel and a bias for each pair of channels, got 5 for 2"),
        ("conv2d with a mask", lambda data: data["Config"].update(Mask=[1]), "expected a mask of 3 channels, got 1"),
        ("crf", lambda data: data.update(Size=4), r"scores of shape \(Size \+ 1, Size \+ 1\), got \(4, 4\) for 4"),
        ("birnn", lambda data: data.update(MergeMode=4), "expected a merge mode below 4, got 4"),
        ("birnn", lambda data: data.update(Positive=gob.to_data(nn.Linear(2, 3))), "expected two recurrent layers"),
        ("selfattention", lambda data: data.pop("Key"), "expected Query, Key and Value, got Query, Value"),
        ("multihead", lambda data: data.pop("Heads"), "expected Heads and OutputMerge, got none"),
        ("multihead", lambda data: data["Heads"].pop(), "expected a scale of 1 / √4 for Heads.0, got 0.70"),
        ("slstm", lambda data: data.pop("Config"), "expected a Model of sound sizes"),
        ("mist", lambda data: data.update(NumOfDelays=1 << 62), "expected a Model of sound sizes|delays"),
        ("dropout", lambda data: data.update(P=7.0), "expected .*7"),
    ],
)  # fmt: skip
def test_a_model_whose_parts_do_not_fit_is_refused(kind: str, change: Callable[[Any], Any], message: str) -> None:
    data = gob.to_data(LAYERS_OF_BOTH[kind])
    change(data)
    with pytest.raises(FormatError, match=message):
        gob.loads_model(gob.dumps(data), data.go_name)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Flatten(2), "expected Flatten of all axes, or of all but the batch"),
        (nn.MaxPool2d(2, stride=1), "expected MaxPool2d whose windows tile the matrix"),
        (nn.Activation("gelu"), r'got .*gelu.*; it has Activation\("gelu", approximate="tanh"\)'),
        (nn.GMLP(2, 2, 1), "expected an activation of ag that Go Spago has"),
        (nn.Activation("log_sigmoid"), "expected an activation of ag that Go Spago has"),
        (nn.MultiheadAttention(4, 2, bias=False), "expected MultiheadAttention with biases, of one size and without"),
        (nn.MultiheadAttention(4, 2, vdim=3), "expected MultiheadAttention with biases, of one size and without"),
        (nn.BiRNN(*(nn.Stacked([nn.SRN(2, 3)]) for _ in range(2))), "expected a layer that Go Spago has, .* Stacked"),
        (nn.Conv2d(2, 2, 2, padding=1), "expected a convolution with bias, without padding and dilation"),
        (nn.BatchNorm(3, affine=False), "expected BatchNorm with weight and bias"),
        (nn.LayerNorm(3, bias=False), "expected LayerNorm with bias, as Go Spago has it, got none"),
    ],
)
def test_settings_that_go_has_not_are_not_written(layer: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gob.dumps_model(layer)


def test_an_rms_norm_is_read_by_its_kind() -> None:
    norm = nn.RMSNorm(3, eps=1e-10, bias=True, eps_outside=True)
    assert isinstance(gob.loads_model(gob.dumps_model(norm), "*rmsnorm.Model"), nn.RMSNorm)


def test_a_model_without_fields_is_read_by_its_kind_alone() -> None:
    data = gob.dumps_model(nn.FixNorm())
    assert isinstance(gob.loads_model(data, "*fixnorm.Model"), nn.FixNorm)
    with pytest.raises(FormatError, match="expected a model that is also a layer here, got Model; give its kind, or"):
        gob.loads_model(data)


def test_what_go_has_not_is_not_written() -> None:
    with pytest.raises(ValueError, match="expected a layer that Go Spago has, or one declared by gob.model, got Embed"):
        gob.dumps_model(nn.Embedding(2, 3))
    with pytest.raises(ValueError, match="expected a layer that Go Spago has"):
        gob.dumps_model(nn.Sequential(nn.Linear(2, 2)))


def test_loading_leaves_the_generator_as_it_was() -> None:
    from spago.mat.rand import default_rng

    before = default_rng().state()
    gob.load_model(FOLDER / "bilstm_f32.gob")
    assert default_rng().state() == before


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("*lstm.Model", {"WIn": np.ones((100_000, 1))}),
        ("*srn.Model", {"W": np.ones((100_000, 1))}),
        ("*ltm.Model", {"W1": np.ones((1, 100_000))}),
        ("*tpr.Model", {"S": np.ones((1, 100_000)), "R": np.ones((100_000, 1)), "WInS": np.ones((1, 100_000))}),
    ],
)
def test_the_sizes_of_one_matrix_make_no_other_that_the_file_has_not(kind: str, fields: dict[str, Any]) -> None:
    params = {name: gob.Param(value.astype(np.float32)) for name, value in fields.items()}
    data = gob.dumps(gob.Struct(gob.go_type(kind), params))
    with pytest.raises(FormatError, match="sizes in proportion to the file|expected a value for|that fill"):
        gob.loads_model(data, kind)
