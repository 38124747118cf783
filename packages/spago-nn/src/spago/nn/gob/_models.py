"""Layers of `spago.nn` from the structs of Go Spago, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from spago import nn
from spago.mat import FormatError
from spago.nn._birnn import Merge
from spago.nn._guards import is_list, is_mapping
from spago.nn.gob._activations import activation, number_of, read_activation, write_activation
from spago.nn.gob._codec import (
    Layer,
    Settings,
    Special,
    constant,
    number_at,
    plain,
    remember,
    remembered,
)
from spago.nn.gob._composites import COMPOSITES
from spago.nn.gob._convolutions import is_flat, read_convolution, write_convolution
from spago.nn.gob._declarations import declare
from spago.nn.gob._files import PathLike, known_kind, load, loads, write
from spago.nn.gob._parts import Fields, fill, split
from spago.nn.gob._reader import ANY, REGISTERED
from spago.nn.gob._types import STRUCTS
from spago.nn.gob._values import Buffer, Interface, Param, Struct
from spago.nn.gob._writer import encode

M = TypeVar("M", bound=type[Any])

_FLAGS = ("UseCausalMask", "IsCrossAttention")  # arguments of the call, here
_MERGES: tuple[Merge, ...] = ("concat", "sum", "prod", "avg")


def _recurrent(kind: Callable[..., nn.Module], first: str) -> Callable[[Fields, Any], nn.Module]:
    """A layer made from the sizes of its input weights."""
    return lambda s, dtype: kind(s.columns(first), s.rows(first), rng=s.rng, dtype=dtype)


def _linear(s: Fields, dtype: Any) -> nn.Linear:
    return nn.Linear(s.columns("W"), s.rows("W"), bias=s["B"] is not None, rng=s.rng, dtype=dtype)


def _horn(s: Fields, dtype: Any) -> nn.HORN:
    return nn.HORN(s.columns("W"), s.rows("W"), len(s["WRec"]), rng=s.rng, dtype=dtype)


def _tpr(s: Fields, dtype: Any) -> nn.TPR:
    (symbol_size, symbols), (role_size, roles) = s.matrix("S").shape, s.matrix("R").shape
    return nn.TPR(
        s.columns("WInS"), symbols=symbols, symbol_size=symbol_size, roles=roles, role_size=role_size, rng=s.rng,
        dtype=dtype,
    )  # fmt: skip


_GATES = (
    *("InputGate", "LeftCellGate", "RightCellGate", "CellGate", "SentCellGate", "OutputGate"),
    "InputActivation",
)
_SENTENCE_GATES = ("NonLocalSentCellGate", "NonLocalInputGate", "NonLocalSentOutputGate")


def _sentence_state(s: Fields, dtype: Any) -> nn.Module:
    config = s["Config"]
    return nn.SentenceStateLSTM(
        config["InputSize"], config["OutputSize"], updates=config["Steps"] - 1, rng=s.rng, dtype=dtype
    )


def _read_crf(s: Fields) -> nn.CRF:
    scores = s.matrix("TransitionScores")
    size = s["Size"]
    if scores.shape != (size + 1, size + 1) or size < 1:
        s.refuse("scores of shape (Size + 1, Size + 1)", f"{scores.shape} for {size}")
    whole = nn.Param(scores)
    fill(whole, s, ["TransitionScores"])
    crf = nn.CRF(size, dtype=scores.dtype)
    for param, part in _crf_parts(crf):
        param.value = np.ascontiguousarray(scores[part])
        param.requires_grad = whole.requires_grad
        if whole.payload is not None:
            arrays = {name: np.ascontiguousarray(array[part]) for name, array in whole.payload.arrays.items()}
            param.payload = nn.Payload(whole.payload.label, arrays)
    remember(crf, Corner=scores[0, 0].item())
    return crf


def _write_crf(crf: nn.CRF) -> Settings:
    n, parts = crf.num_tags, _crf_parts(crf)
    whole = nn.Param(np.zeros((n + 1, n + 1), crf.transitions.dtype), requires_grad=crf.transitions.requires_grad)
    whole.value[0, 0] = remembered(crf).get("Corner", 0)
    payload = crf.transitions.payload
    whole.payload = payload and nn.Payload(payload.label, {name: np.zeros_like(whole.value) for name in payload.arrays})
    for param, part in parts:
        whole.value[part] = param.value
        if whole.payload is not None and param.payload is not None:
            for name, array in param.payload.arrays.items():
                whole.payload.arrays[name][part] = array
    return {"Size": n} | split(whole, ["TransitionScores"])


def _crf_parts(crf: nn.CRF) -> list[tuple[nn.Param, Any]]:
    """Where our parameters are in the scores of Go, whose row and column 0 are the boundary."""
    inner = slice(1, None)
    return [
        (crf.transitions, (inner, inner)), (crf.start_transitions, (0, inner)), (crf.end_transitions, (inner, 0))
    ]  # fmt: skip


def _read_birnn(s: Fields) -> nn.Module:
    layers = [from_data(s[name], f"{s.place}, {name}") for name in ("Positive", "Negative")]
    for layer in layers:
        if not isinstance(layer, nn.Recurrent):
            s.refuse("two recurrent layers", type(layer).__name__)
    mode: int = s["MergeMode"]
    if not 0 <= mode < len(_MERGES):
        s.refuse(f"a merge mode below {len(_MERGES)}", f"{mode}")
    return nn.BiRNN(layers[0], layers[1], merge=_MERGES[mode])


def _write_birnn(layer: nn.BiRNN) -> Settings:
    return {
        "Positive": to_data(layer.forward_layer),
        "Negative": to_data(layer.backward_layer),
        "MergeMode": _MERGES.index(layer.merge),
    }


def _read_attention(s: Fields) -> nn.SelfAttention:
    parts = {name: s[name] for name in ("Query", "Key", "Value")}
    linears = {name: from_data(part, f"{s.place}, {name}") for name, part in parts.items() if part is not None}
    if len(linears) < 3:
        s.refuse("Query, Key and Value", ", ".join(linears))
    query, key, value = linears.values()
    scale = number_at(s, "ScaleFactor")
    if s["Config"] is not None and math.isclose(scale, s["Config"]["ScaleFactor"], rel_tol=1e-6):
        scale = s["Config"]["ScaleFactor"]  # of which the buffer is rounded
    layer = nn.SelfAttention(
        query.in_features, key.out_features, value.out_features, scale=scale, rng=s.rng, dtype=query.weight.dtype
    )
    layer.query, layer.key, layer.value = query, key, value
    flags = {name: s["Config"][name] for name in _FLAGS} if s["Config"] is not None else {}
    remember(layer, Flags=flags)
    return layer


def _write_attention(layer: nn.SelfAttention) -> Settings:
    linears = {"Query": layer.query, "Key": layer.key, "Value": layer.value}
    config = {
        "InputSize": layer.input_size,
        "QuerySize": layer.query.out_features,
        "KeySize": layer.key.out_features,
        "ValueSize": layer.value.out_features,
        "ScaleFactor": float(layer.scale),
        **remembered(layer).get("Flags", {}),
    }
    scale = constant(layer.scale, layer.query.weight.dtype)
    return {"Config": config, "ScaleFactor": scale} | {name: to_data(linear) for name, linear in linears.items()}


def _read_multihead(s: Fields) -> nn.MultiheadAttention:
    heads, merge = s["Heads"], s["OutputMerge"]
    if not heads or merge is None:
        s.refuse("Heads and OutputMerge", "none")
    merged = from_data(merge, f"{s.place}, OutputMerge")
    size = merged.out_features // len(heads)
    layer = nn.MultiheadAttention(
        merged.out_features, len(heads), bias=merged.bias is not None, rng=s.rng, dtype=merged.weight.dtype
    )
    for name, head in zip(_numbered("Heads", len(heads)), heads, strict=True):
        if not math.isclose(number_at(Fields(head, s.place), "ScaleFactor"), 1 / math.sqrt(size), rel_tol=1e-6):
            s.refuse(f"a scale of 1 / √{size} for {name}", f"{number_at(Fields(head, s.place), 'ScaleFactor')}")
    layer.out_proj = merged
    config = heads[0]["Config"]
    remember(layer, Flags={name: config[name] for name in _FLAGS} if config is not None else {})
    fill(layer.in_proj_weight, s, _heads(len(heads), "W"))
    if layer.in_proj_bias is not None:
        fill(layer.in_proj_bias, s, _heads(len(heads), "B"))
    return layer


def _write_multihead(layer: nn.MultiheadAttention) -> Settings:
    if layer.rotary is not None or layer.in_proj_bias is None or not layer.embed_dim == layer.kdim == layer.vdim:
        raise ValueError(
            "gob: expected MultiheadAttention with biases, of one size and without rotary positions, as Go Spago has it"
        )
    size = layer.embed_dim // layer.num_heads
    scale = 1 / math.sqrt(size)
    sizes = dict.fromkeys(("QuerySize", "KeySize", "ValueSize"), size)
    flags = remembered(layer).get("Flags", {})
    heads: list[dict[str, Any]] = [
        {
            "Config": {"InputSize": layer.embed_dim, "ScaleFactor": scale, **sizes, **flags},
            "ScaleFactor": constant(scale, layer.in_proj_weight.dtype),
        }
        for _ in range(layer.num_heads)
    ]
    for source, last in ((layer.in_proj_weight, "W"), (layer.in_proj_bias, "B")):
        for path, part in split(source, _heads(layer.num_heads, last)).items():
            _, head, name, _ = path.split(".")
            heads[int(head)].setdefault(name, {})[last] = part
    return {"Heads": heads, "OutputMerge": to_data(layer.out_proj)}


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}.{k}" for k in range(count)]


def _heads(count: int, last: str) -> list[str]:
    """The parameters of all heads in the order of in_proj."""
    return [f"{head}.{part}.{last}" for part in ("Query", "Key", "Value") for head in _numbered("Heads", count)]


def _read_batch_norm(s: Fields) -> nn.BatchNorm:
    momentum = number_at(s, "Momentum") if s["Momentum"] is not None else 0.9
    layer = nn.BatchNorm(s.rows("W"), momentum=1 - momentum, as_in_go=True, dtype=s.matrix("W").dtype)
    assert layer.weight is not None
    assert layer.bias is not None
    for target, name in ((layer.weight, "W"), (layer.bias, "B"), (layer.running_mean, "Mean")):
        fill(target, s, [name])
    fill(layer.running_var, s, ["StdDev"])
    layer.running_var.value = np.square(layer.running_var.value)
    return layer


def _write_batch_norm(layer: nn.BatchNorm) -> Settings:
    if layer.weight is None or layer.bias is None:
        raise ValueError("gob: expected BatchNorm with weight and bias, as Go Spago has it")
    deviation = nn.Buffer(np.sqrt(layer.running_var.value))
    return {
        **split(layer.weight, ["W"]),
        **split(layer.bias, ["B"]),
        **split(layer.running_mean, ["Mean"]),
        **split(deviation, ["StdDev"]),
        "Momentum": constant(1 - layer.momentum, layer.weight.dtype),
    }


def _read_wrapped(s: Fields) -> nn.Module:
    inner = s["Model"]
    if inner is None:
        s.refuse("a Model", "none")
    module: nn.Module = from_data(inner, f"{s.place}, Model")
    remember(module, Wrapper=next(name for name, kind in REGISTERED.items() if kind is s.struct.type))
    return module


def _flatten_settings(layer: nn.Flatten) -> Settings:
    if layer.start_axis not in (0, 1) or layer.end_axis != -1:
        raise ValueError(f"gob: expected Flatten of all axes, or of all but the batch, as Go Spago has it, got {layer}")
    return {}


def _read_pooling(s: Fields, dtype: Any) -> nn.MaxPool2d:
    return nn.MaxPool2d((s["Rows"], s["Columns"]))


def _pooling_settings(layer: nn.MaxPool2d) -> Settings:
    size, stride, padding, dilation = (
        (value, value) if isinstance(value, int) else tuple(value)
        for value in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    )
    if stride != size or padding != (0, 0) or dilation != (1, 1) or layer.ceil_mode:
        raise ValueError(f"gob: expected MaxPool2d whose windows tile the matrix, as in Go Spago, got {layer}")
    return {"Rows": size[0], "Columns": size[1]}


LAYERS: dict[str, tuple[type[nn.Module] | None, Layer | Special]] = {
    **COMPOSITES,
    "flatten.Model": (nn.Flatten, Layer(lambda s, dtype: nn.Flatten(0), plain(), _flatten_settings)),
    "pooling.MaxPooling": (nn.MaxPool2d, Layer(_read_pooling, plain(), _pooling_settings)),
    "activation.Model": (nn.Activation, Special(read_activation, write_activation)),
    "crf.Model": (nn.CRF, Special(_read_crf, _write_crf)),
    "convolution1d.Model": (nn.Conv1d, Special(read_convolution, write_convolution)),
    "convolution2d.Model": (nn.Conv2d, Special(read_convolution, write_convolution)),
    "birnn.Model": (nn.BiRNN, Special(_read_birnn, _write_birnn)),
    "batchnorm.Model": (nn.BatchNorm, Special(_read_batch_norm, _write_batch_norm)),
    "selfattention.SelfAttention": (None, Special(_read_wrapped, lambda layer: {})),
    "selfattention.CrossAttention": (None, Special(_read_wrapped, lambda layer: {})),
    "selfattention.Model": (nn.SelfAttention, Special(_read_attention, _write_attention)),
    "multiheadattention.SelfAttention": (None, Special(_read_wrapped, lambda layer: {})),
    "multiheadattention.CrossAttention": (None, Special(_read_wrapped, lambda layer: {})),
    "multiheadattention.Model": (nn.MultiheadAttention, Special(_read_multihead, _write_multihead)),
    "linear.Model": (
        nn.Linear,
        Layer(_linear, lambda layer: {"weight": ["W"]} | ({} if layer.bias is None else {"bias": ["B"]})),
    ),
    "lstm.Model": (
        nn.LSTM,
        Layer(
            lambda s, dtype: nn.LSTM(
                s.columns("WIn"), s.rows("WIn"), refined_gates=s["UseRefinedGates"], rng=s.rng, dtype=dtype
            ),
            plain(
                weight_ih="WIn WFor WCand WOut", weight_hh="WInRec WForRec WCandRec WOutRec", bias="BIn BFor BCand BOut"
            ),
            lambda layer: {"UseRefinedGates": layer.refined_gates},
        ),
    ),
    "gru.Model": (
        nn.GRU,
        Layer(
            _recurrent(nn.GRU, "WRes"),
            # Go's partition gate is 1 - z, and 1 - σ(a) = σ(-a).
            plain(weight_ih="WRes -WPart WCand", weight_hh="WResRec -WPartRec WCandRec", bias="BRes -BPart BCand"),
        ),
    ),
    "srn.Model": (nn.SRN, Layer(_recurrent(nn.SRN, "W"), plain(weight_ih="W", weight_hh="WRec", bias="B"))),
    "cfn.Model": (
        nn.CFN,
        Layer(
            _recurrent(nn.CFN, "WIn"), plain(weight_ih="WIn WFor WCand", weight_hh="WInRec WForRec", bias="BIn BFor")
        ),
    ),
    "ran.Model": (
        nn.RAN,
        Layer(
            _recurrent(nn.RAN, "WIn"),
            plain(weight_ih="WIn WFor WCand", weight_hh="WInRec WForRec", bias="BIn BFor BCand"),
        ),
    ),
    "ltm.Model": (
        nn.LTM,
        Layer(
            lambda s, dtype: nn.LTM(s.columns("W1"), rng=s.rng, dtype=dtype),
            plain(weight="W1 W2 W3", weight_c="WCell"),
        ),
    ),
    "tpr.Model": (
        nn.TPR,
        Layer(
            _tpr,
            plain(weight_ih="WInS WInR", weight_hh="WRecS WRecR", bias="BS BR", symbol_vectors="S", role_vectors="R"),
            sizes=lambda layer: (layer.symbol_vectors.shape[1], layer.role_vectors.shape[1]),
        ),
    ),
    "horn.Model": (
        nn.HORN,
        Layer(
            _horn,
            lambda layer: {
                "weight_ih": ["W"],
                "weight_hh": [f"WRec.{k}" for k in range(layer.order)],
                "bias": ["B"],
            },
        ),
    ),
    "indrnn.Model": (
        nn.IndRNN,
        Layer(
            lambda s, dtype: nn.IndRNN(s.columns("W"), s.rows("W"), activation=activation(s), rng=s.rng, dtype=dtype),
            plain(weight_ih="W", weight_hh="WRec", bias="B"),
            lambda layer: {"Activation": number_of(layer.activation)},
        ),
    ),
    "deltarnn.Model": (
        nn.DeltaRNN,
        Layer(
            _recurrent(nn.DeltaRNN, "W"),
            plain(
                weight_ih="W", weight_hh="WRec", bias="B", bias_p="BPart", alpha="Alpha", beta_1="Beta1", beta_2="Beta2"
            ),
        ),
    ),
    "mist.Model": (
        nn.MIST,
        Layer(
            lambda s, dtype: nn.MIST(s.columns("Wx"), s.rows("Wx"), s["NumOfDelays"], rng=s.rng, dtype=dtype),
            plain(weight_ih="Wax Wrx Wx", weight_hh="Wah Wrh Wh", bias="Ba Br B"),
            lambda layer: {"NumOfDelays": layer.delays},
        ),
    ),
    "rla.Model": (
        nn.RLA,
        Layer(
            lambda s, dtype: nn.RLA(s.columns("Wk"), rng=s.rng, dtype=dtype),
            plain(weight="Wk Wv Wq", bias="Bk Bv Bq"),
            lambda layer: {"Config": {"InputSize": layer.input_size}},
        ),
    ),
    "slstm.Model": (
        nn.SentenceStateLSTM,
        Layer(
            _sentence_state,
            lambda layer: {
                "weight_context": [f"{gate}.W" for gate in _GATES],
                "weight_input": [f"{gate}.U" for gate in _GATES],
                "weight_sentence": [f"{gate}.V" for gate in _GATES],
                "bias": [f"{gate}.B" for gate in _GATES],
                "sentence_weight_sentence": [f"{gate}.W" for gate in _SENTENCE_GATES],
                "sentence_weight_words": [f"{gate}.U" for gate in _SENTENCE_GATES],
                "sentence_bias": [f"{gate}.B" for gate in _SENTENCE_GATES],
                "start": ["StartH"],
                "end": ["EndH"],
                "initial": ["InitValue"],
            },
            lambda layer: {
                "Config": {
                    "InputSize": layer.input_size,
                    "OutputSize": layer.hidden_size,
                    "Steps": layer.updates + 1,
                }
            },
        ),
    ),
    "highway.Model": (
        nn.Highway,
        Layer(
            lambda s, dtype: nn.Highway(s.columns("WIn"), activation=activation(s), rng=s.rng, dtype=dtype),
            plain(weight_t="WT", bias_t="BT", weight_h="WIn", bias_h="BIn"),
            lambda layer: {"Activation": number_of(layer.activation)},
        ),
    ),
    "conv1x1.Model": (
        nn.Conv1x1,
        Layer(
            lambda s, dtype: nn.Conv1x1(s.columns("W"), s.rows("W"), rng=s.rng, dtype=dtype),
            plain(weight="W", bias="B"),
            lambda layer: {"Config": {"InputChannels": layer.in_channels, "OutputChannels": layer.out_channels}},
        ),
    ),
    "sqrdist.Model": (
        nn.SquaredDistance,
        Layer(
            lambda s, dtype: nn.SquaredDistance(s.columns("B"), s.rows("B"), rng=s.rng, dtype=dtype),
            plain(weight="B"),
        ),
    ),
    "dropout.Model": (
        nn.Dropout,
        Layer(lambda s, dtype: nn.Dropout(s["P"]), plain(), lambda layer: {"P": float(layer.p)}),
    ),
    "rmsnorm.Model": (
        nn.RMSNorm,
        Layer(
            lambda s, dtype: nn.RMSNorm(s.rows("W"), eps=1e-10, bias=True, eps_outside=True, dtype=dtype),
            plain(weight="W", bias="B"),
        ),
    ),
    "scalenorm.Model": (
        nn.ScaleNorm,
        Layer(lambda s, dtype: nn.ScaleNorm(s.rows("Gain"), dtype=dtype), plain(gain="Gain")),
    ),
    "fixnorm.Model": (nn.FixNorm, Layer(lambda s, dtype: nn.FixNorm(), plain())),
    "layernormsimple.Model": (nn.LayerNormSimple, Layer(lambda s, dtype: nn.LayerNormSimple(), plain())),
    "adanorm.Model": (
        nn.AdaNorm,
        Layer(
            lambda s, dtype: nn.AdaNorm(number_at(s, "Scale")),
            plain(),
            lambda layer: {"Scale": constant(layer.scale, np.float64)},
        ),
    ),
    "layernorm.Model": (
        nn.LayerNorm,
        Layer(
            lambda s, dtype: nn.LayerNorm(s.rows("W"), eps=number_at(s, "Eps"), dtype=dtype),
            plain(weight="W", bias="B"),
            lambda layer: {"Eps": constant(layer.eps, layer.weight.dtype)},
        ),
    ),
}


# Classes of users


@dataclass(frozen=True)
class Declared:
    """The class that a Go struct of a user corresponds to, and its attributes by Go field."""

    cls: type[Any]
    attributes: Mapping[str, str]

    def read(self, s: Fields) -> Any:
        """An object with these attributes, which `__init__` has not seen."""
        result: Any = object.__new__(self.cls)
        for name, attribute in self.attributes.items():
            setattr(result, attribute, from_data(s[name], f"{s.place}, {name}"))
        return result

    def write(self, source: Any) -> Settings:
        """The fields of Go's struct."""
        return {name: to_data(getattr(source, attribute)) for name, attribute in self.attributes.items()}


_BY_TYPE: dict[int, Layer | Special | Declared] = {}
_BY_CLASS: dict[type[Any], tuple[str, Layer | Special | Declared]] = {}


def model(name: str, fields: Mapping[str, tuple[str, str]]) -> Callable[[M], M]:
    """Declare the Go struct that a class corresponds to.

    Objects are made without `__init__`: attributes that are not listed must have defaults in the class.

    Args:
        name: The name that Go registers it by; see `declare`.
        fields: For each exported field of the struct, in order, its Go type and the attribute of the class. An embedded
            `nn.Module` comes first by itself.

    Examples:
        >>> from spago import nn
        >>> from spago.nn import gob
        >>> @gob.model("*toys.Residual", {"Inner": ("nn.StandardModel", "inner"), "Times": ("int", "times")})
        ... class Residual(nn.Module):
        ...     def __init__(self, inner, times):
        ...         self.inner, self.times = inner, times
        >>> residual = gob.loads_model(gob.dumps_model(Residual(nn.Linear(2, 2), times=3)), "*toys.Residual")
        >>> residual.times, type(residual.inner).__name__
        (3, 'Linear')
    """

    def declared(cls: M) -> M:
        module = {"Module": "nn.Module"} if issubclass(cls, nn.Module) else {}
        kind = declare(name, module | {field: go for field, (go, _) in fields.items()})
        codec = Declared(cls, {field: attribute for field, (_, attribute) in fields.items()})
        _BY_TYPE[id(kind)] = codec
        _BY_CLASS[cls] = name, codec
        return cls

    return declared


def _register_layers() -> None:
    for name, (cls, codec) in LAYERS.items():
        _BY_TYPE[id(STRUCTS[name])] = codec
        if cls is not None:
            _BY_CLASS[cls] = f"*{name}", codec


_register_layers()


# Data and layers


def from_data(value: Any, place: str = "gob") -> Any:
    """Make layers and parameters of the plain data that `load` gives; the rest stays as it is.

    A column becomes a parameter of one axis.

    Raises:
        FormatError: The data fit no layer.
    """
    if isinstance(value, Struct):
        return _layer_of(value, place)
    if isinstance(value, Param | Buffer):
        return _variable_of(value, place)
    if isinstance(value, Interface):
        return value
    if is_list(value):
        return [from_data(element, f"{place}.{i}") for i, element in enumerate(value)]
    if is_mapping(value):
        return {key: from_data(element, f"{place}.{key}") for key, element in value.items()}
    return value


def _layer_of(struct: Struct, place: str) -> Any:
    codec = _BY_TYPE.get(id(struct.type))
    if codec is None:
        return struct
    try:
        return codec.read(Fields(struct, place))
    except FormatError:
        raise
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        # What a constructor makes of sizes and settings that go not together is one thing or another.
        raise FormatError(f"{place}: expected a {struct.type.name} of sound sizes, got {str(error)[:500]}") from error


def _variable_of(value: Param | Buffer, place: str) -> Any:
    if value.value is None:
        raise FormatError(f"{place}: expected a parameter with a value, got none")
    matrix = value.value if value.value.shape[1] != 1 else value.value.reshape(-1)
    if isinstance(value, Buffer):
        return nn.Buffer(matrix, name=value.name)
    param = nn.Param(matrix, name=value.name)
    fill(param, Fields(Struct(ANY, {"it": value}), place), ["it"])
    return param


def to_data(value: Any) -> Any:  # noqa: PLR0911 - a case a line
    """Make the plain data that `save` takes of layers and parameters; the rest stays as it is.

    Raises:
        ValueError: Go Spago has no such layer.
    """
    if isinstance(value, nn.Param):
        ((_, param),) = split(value, ["it"]).items()
        param.name = value.name
        return param
    if isinstance(value, nn.Buffer):
        return Buffer(split(value, ["it"])["it"].value, value.name)
    if is_list(value):
        return [to_data(element) for element in value]
    if isinstance(value, Struct | Interface):
        return value
    if is_mapping(value):
        return {key: to_data(element) for key, element in value.items()}
    if type(value) in _BY_CLASS:
        name, codec = _BY_CLASS[type(value)]
        if isinstance(value, nn.Conv2d) and is_flat(value):
            name = "*convolution1d.Model"
        struct = Struct(REGISTERED[name], codec.write(value), name)
        wrapper = remembered(value).get("Wrapper") if isinstance(value, nn.Module) else None
        return struct if wrapper is None else Struct(REGISTERED[wrapper], {"Model": struct}, wrapper)
    if isinstance(value, nn.Sequential) and len(value) == 2:
        layer, function = value
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            name = "*convolution1d.Model" if is_flat(layer) else "*convolution2d.Model"
            return Struct(REGISTERED[name], write_convolution(layer, function), name)
    if isinstance(value, nn.Module):
        raise ValueError(f"gob: expected a layer that Go Spago has, or one declared by gob.model, got {value}")
    if callable(value):
        kind = REGISTERED["*activation.Model"]
        return Struct(kind, {"Activation": number_of(value)}, "*activation.Model")
    return value


def load_model(path: PathLike, kind: str | None = None, *, memory_limit: int | None = None) -> Any:
    """Read a model that Go Spago has written.

    Gates are stacked as our layers have them, and the state of an optimizer comes along. Go's GELU is the approximation
    by tanh; parameters of its activations become settings. An `embeddings.Model` stays a `Struct`, as its vectors are
    not in the file.

    A file does not say of which kind it is. What is guessed from the names of its fields is right save for models with
    the same names: `rmsnorm` is taken for `linear`; models without fields, such as `flatten` and `fixnorm`, for none.
    For these, and for classes of users, kind is needed.

    Args:
        path: The file.
        kind: The Go type, such as `*lstm.Model`, as for Go's `nn.LoadFromFile`.
        memory_limit: Bytes that may be used; see `load`.

    Raises:
        FormatError: The file is damaged, or has a model of another kind, or one for which there is no layer.
        OSError: The file cannot be read.
    """
    return _model_of(load(path, kind or known_kind, memory_limit=memory_limit), str(path))


def loads_model(data: bytes, kind: str | None = None, *, memory_limit: int | None = None) -> Any:
    """Read a model from a gob stream; see `load_model`."""
    return _model_of(loads(data, kind or known_kind, memory_limit=memory_limit), "gob")


def _model_of(data: Any, place: str) -> Any:
    try:
        result = from_data(data, place)
    except RecursionError:
        raise FormatError(f"{place}: expected models less deep inside one another") from None
    if callable(result) and not isinstance(result, nn.Module):  # an activation
        return nn.Activation(result.__name__)
    if isinstance(result, nn.Module | nn.Param | nn.Buffer) or type(result) in _BY_CLASS:
        return result
    name = result.type.name if isinstance(result, Struct) else type(result).__name__
    raise FormatError(
        f"{place}: expected a model that is also a layer here, got {name}; give its kind, or read it by gob.load"
    )


def save_model(model: Any, path: PathLike, *, interface: bool = False) -> None:
    """Write a model that Go Spago reads with `nn.LoadFromFile`.

    A shared parameter is written as often as it occurs, as Go does.

    Args:
        model: A layer, parameter or buffer, or an object of a class declared by `model`.
        path: The file, replaced if it exists.
        interface: Whether it is put into an interface, as Go's `nn.Dump` does for a variable of interface type.

    Raises:
        ValueError: A part of it is nothing that Go Spago has.
        OSError: The file cannot be written.
    """
    pieces = encode(to_data(model), interface=interface)
    write(pieces, path)


def dumps_model(model: Any, *, interface: bool = False) -> bytes:
    """Return the gob stream of a model; see `save_model`."""
    return b"".join(encode(to_data(model), interface=interface))
