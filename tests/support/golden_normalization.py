"""Adapters of normalization layers."""

from collections.abc import Callable

import numpy as np

from golden import Case, Result, adapter
from spago import ag, nn

LAYERS: dict[str, Callable[..., nn.Module]] = {
    "layer_norm": lambda size, eps, **s: nn.LayerNorm(size, eps=eps, **s),
    "layer_norm_simple": lambda dtype: nn.LayerNormSimple(),
    "rms_norm": lambda size, **s: nn.RMSNorm(size, bias=True, eps=1e-10, eps_outside=True, **s),
    "scale_norm": lambda size, **s: nn.ScaleNorm(size, **s),
    "fix_norm": lambda dtype: nn.FixNorm(),
    "ada_norm": lambda scale, dtype: nn.AdaNorm(scale),
}

NAMES = {"w": "weight", "b": "bias", "gain": "gain"}


@adapter("model", *LAYERS)
def _normalization(case: Case) -> Result:
    layer = LAYERS[case.name](**case.config, dtype=case.dtype)
    layer.load_state_dict({NAMES[name]: array for name, array in case.params.items()})
    return _run(case, layer)


@adapter("model", "batch_norm_training", "batch_norm_inference")
def _batch_norm(case: Case) -> Result:
    size, momentum = case.config["size"], case.config["momentum"]
    layer = nn.BatchNorm(size, momentum=1 - momentum, as_in_go=True, dtype=case.dtype or "float64")
    layer.train(case.name == "batch_norm_training")
    before = case.decoded("buffers")
    running = {"running_mean": before["mean"], "running_var": np.square(before["std_dev"])}
    layer.load_state_dict({**{NAMES[name]: array for name, array in case.params.items()}, **running})
    result = _run(case, layer)
    after = {
        "mean": layer.running_mean.value,
        "std_dev": np.sqrt(layer.running_var.value),
        "momentum": np.asarray(1 - layer.momentum, case.dtype),
    }
    return Result(result.outputs, result.input_grads, result.param_grads, buffers_after=after)


def _run(case: Case, layer: nn.Module) -> Result:
    xs = [ag.var(x, requires_grad=True) for x in case.inputs]
    ys = [layer(x) for x in xs]
    assert case.output_grads is not None
    for y, g in zip(ys, case.output_grads, strict=True):
        y.acc_grad(g)
    ag.backward_many(ys)
    state = dict(layer.named_parameters())
    return Result([y.value for y in ys], [x.grad for x in xs], {name: state[NAMES[name]].grad for name in case.params})
