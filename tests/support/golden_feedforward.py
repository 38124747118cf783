"""Adapters of feed-forward layers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from golden import Case, Result, adapter
from spago import ag, nn
from spago.mat.rand import LockedRand

SETTINGS: dict[str, tuple[str, ...]] = {
    "celu": ("alpha",),
    "elu": ("alpha",),
    "leaky_relu": ("alpha",),
    "selu": ("alpha", "scale"),
    "soft_plus": ("beta", "threshold"),
    "soft_shrink": ("threshold",),
    "swish_b": ("beta",),
    "threshold": ("threshold", "value"),
}
"""What the reference has as parameters of an activation function, in its order."""


def activation(name: str, *settings: float, dtype: str = "float64") -> nn.Activation:
    """The activation function of a name, as the reference computes it."""
    named: dict[str, Any] = dict(zip(SETTINGS.get(name, ()), settings, strict=True))
    return nn.Activation(name, **({"approximate": "tanh"} if name == "gelu" else named), dtype=dtype)


def dtype_of(case: Case) -> str:
    """The dtype of a case that has arrays."""
    assert case.dtype is not None
    return case.dtype


def run(case: Case, layer: Callable[[Any], ag.Node], params: dict[str, nn.Param]) -> Result:
    """Run a layer on the one input of a case, an array or a list of them, and go back."""
    (given,) = case.inputs
    leaves = [ag.var(x, requires_grad=True) for x in (given if isinstance(given, list) else [given])]
    y = layer(leaves if isinstance(given, list) else leaves[0])
    assert case.output_grads is not None
    (g,) = case.output_grads
    # A layer that changes nothing returns its input, through which a gradient passes by being put there.
    y.acc_grad(np.reshape(g, y.shape))
    y.backward()
    x_grads = [leaf.grad for leaf in leaves]
    return Result(
        [list(y.value) if isinstance(g, list) else y.value],
        [x_grads if isinstance(given, list) else x_grads[0]],
        {name: param.grad for name, param in params.items()},
    )


def run_renamed(case: Case, layer: nn.Module, renamed: Callable[[str], str]) -> Result:
    """Run a layer that has the parameters of a case under other names."""
    layer.load_state_dict({renamed(name): value for name, value in case.params.items()})
    params = dict(layer.named_parameters())
    return run(case, layer, {name: _param(params[renamed(name)]) for name in case.params})


def _param(parameter: Any) -> nn.Param:
    assert isinstance(parameter, nn.Param)
    return parameter


def _long(name: str) -> str:
    """The name of a parameter whose last part the reference abbreviates."""
    *path, last = name.split(".")
    return ".".join([*path, {"w": "weight", "b": "bias"}[last]])


@adapter("model", "linear")
def _linear(case: Case) -> Result:
    linear = nn.Linear(case.config["in"], case.config["out"], dtype=dtype_of(case))
    assert linear.bias is not None
    linear.bias.requires_grad = case.config.get("bias_grad", True)
    return run_renamed(case, linear, _long)


@adapter("model", "dropout")
def _dropout(case: Case) -> Result:
    return run(case, nn.Dropout(case.config["p"], rng=LockedRand(case.config["seed"])), {})


@adapter("model", "highway")
def _highway(case: Case) -> Result:
    highway = nn.Highway(case.config["in"], activation=activation(case.config["activation"]), dtype=dtype_of(case))
    names = {"w_in": "weight_h", "b_in": "bias_h", "w_t": "weight_t", "b_t": "bias_t"}
    return run_renamed(case, highway, lambda name: names[name])


@adapter("model", "flatten")
def _flatten(case: Case) -> Result:
    return run(case, nn.Flatten(0), {})


@adapter("model", "sqr_dist")
def _squared_distance(case: Case) -> Result:
    layer = nn.SquaredDistance(case.config["in"], case.config["rank"], dtype=dtype_of(case))
    return run_renamed(case, layer, lambda name: {"b": "weight"}[name])


@adapter("model", "max_pooling_model")
def _max_pooling(case: Case) -> Result:
    pooling = nn.MaxPool2d((case.config["rows"], case.config["columns"]))
    return run(case, lambda xs: pooling(ag.stack(xs)), {})


@adapter("model", "activation")
def _activation(case: Case) -> Result:
    """All parameters are settings, which get no gradient, save the one of swish_b."""
    settings = [case.params[name].item() for name in sorted(case.params)]
    layer = activation(case.config["activation"], *settings, dtype=dtype_of(case))
    result = run(case, layer, {} if layer.beta is None else {"params.0": layer.beta})
    return Result(result.outputs, result.input_grads, dict.fromkeys(case.params) | dict(result.param_grads or {}))


@adapter("model", "conv1x1")
def _conv1x1(case: Case) -> Result:
    config = case.config
    return run_renamed(
        case, nn.Conv1x1(config["input_channels"], config["output_channels"], dtype=dtype_of(case)), _long
    )


@adapter("model", "convolution1d", "convolution2d")
def _convolution(case: Case) -> Result:
    """The reference has a kernel and a bias for each pair of channels, and adds all the biases."""
    config = case.config
    ins, outs = config["input_channels"], config["output_channels"]
    kernels = np.stack([case.params[f"k.{i}"] for i in range(len(case.params) // 2)])
    biases = np.stack([case.params[f"b.{i}"] for i in range(len(kernels))])
    mask = np.array(config["mask"] or [1] * ins)
    groups = ins if config["depth_wise"] else 1
    # All rows of a matrix are channels to a kernel that moves along columns alone.
    rows = config["kernel_size_x"] if case.name == "convolution1d" else 1
    conv: nn.Conv1d | nn.Conv2d
    shared: dict[str, Any] = {"groups": groups, "mask": np.repeat(mask, rows), "dtype": dtype_of(case)}
    if case.name == "convolution1d":
        conv = nn.Conv1d(ins * rows, outs, config["kernel_size_y"], config["y_stride"], **shared)
    else:
        size, stride = (config["kernel_size_x"], config["kernel_size_y"]), (config["x_stride"], config["y_stride"])
        conv = nn.Conv2d(ins, outs, size, stride, **shared)
    read = np.tile(mask, outs) if groups == 1 else np.ones(outs)
    bias = (biases * read).reshape(outs, -1).sum(axis=1)
    conv.load_state_dict({"weight": kernels.reshape(conv.weight.shape), "bias": bias})

    def layer(xs: list[ag.Node]) -> ag.Node:
        x = ag.stack(xs)
        y: ag.Node = conv(x if case.name == "convolution2d" else x.reshape(ins * rows, -1))
        activated: ag.Node = activation(config["activation"])(y)
        return activated

    result = run(case, layer, {})
    assert conv.weight.grad is not None
    assert conv.bias is not None
    assert conv.bias.grad is not None
    return Result(result.outputs, result.input_grads, _of_pairs(conv.weight.grad, conv.bias.grad, kernels, read))


def _of_pairs(
    weight_grad: npt.NDArray[Any], bias_grad: npt.NDArray[Any], kernels: npt.NDArray[Any], read: npt.NDArray[Any]
) -> dict[str, Any]:
    """The gradients of a kernel and a bias for each pair of channels; 0 for those of a channel that is not read."""
    of_kernels = weight_grad.reshape(kernels.shape)
    of_biases = np.repeat(bias_grad, len(kernels) // len(bias_grad)) * read
    assert not of_kernels[read == 0].any()
    return {f"k.{i}": g for i, g in enumerate(of_kernels)} | {f"b.{i}": g for i, g in enumerate(of_biases)}


@adapter("model", "sgu")
def _sgu(case: Case) -> Result:
    return run_renamed(case, _new_sgu(case), _long)


@adapter("initializer", "sgu_init")
def _sgu_init(case: Case) -> Result:
    """Normalization starts at 0 in the reference, and is not part of what it initializes."""
    layer = _new_sgu(case, rng=LockedRand(case.config["seed"]))
    zeros = {f"norm.{name}": np.zeros_like(case.params[f"norm.{name}"]) for name in ("w", "b")}
    proj = {"proj.w": layer.proj.weight.value, "proj.b": layer.state_dict()["proj.bias"]}
    return Result(params={**zeros, **proj})


def _new_sgu(case: Case, **settings: Any) -> nn.SGU:
    config = case.config
    gate = activation(config["activation"])
    settings |= {"init_eps": config["init_eps"], "eps": 1e-12, "dtype": dtype_of(case)}
    return nn.SGU(config["dim"], config["dim_seq"], activation=gate, **settings)


@adapter("model", "gmlp")
def _gmlp(case: Case) -> Result:
    config = case.config
    layer = nn.GMLP(
        config["dim"],
        config["seq_len"],
        config["depth"],
        ff_mult=config["ff_mult"],
        activation=activation("gelu"),
        gate_activation=activation(config["activation"]),
        eps=1e-12,
        dtype=dtype_of(case),
    )
    parts = {
        "pre_norm.block.layers.0": "linear_in",
        "pre_norm.block.layers.2": "sgu",
        "pre_norm.block.layers.3": "linear_out",
        "pre_norm.norm": "norm",
    }

    def renamed(name: str) -> str:
        theirs = next(part for part in parts if part in name)
        return _long(name.replace(theirs, parts[theirs]))

    return run_renamed(case, layer, renamed)


@adapter("model", "mlp_mixer")
def _mixer_block(case: Case) -> Result:
    config = case.config
    layer = nn.MixerBlock(
        config["input_size"],
        config["channels"],
        token_hidden=config["hidden_size_token_mixer"],
        channel_hidden=config["hidden_size_channel_mixer"],
        token_activation=activation(config["act_function_token_mixer"]),
        channel_activation=activation(config["act_function_channel_mixer"]),
        eps=config["eps"],
        dtype=dtype_of(case),
    )
    return run_renamed(
        case, layer, lambda name: _long(name.replace("_layer_norm", "_norm").replace("_mixer_ff.layers", "_mixer"))
    )
