"""Adapters of layers that map each position by itself."""

from golden import Case, Result, adapter
from spago import ag, nn
from spago.mat.rand import LockedRand


@adapter("model", "linear")
def _linear(case: Case) -> Result:
    linear = nn.Linear(case.config["in"], case.config["out"], dtype=case.params["w"].dtype)
    linear.load_state_dict({"weight": case.params["w"], "bias": case.params["b"]})
    assert linear.bias is not None
    linear.bias.requires_grad = case.config.get("bias_grad", True)
    return _run(case, linear, {"w": linear.weight, "b": linear.bias})


@adapter("model", "dropout")
def _dropout(case: Case) -> Result:
    return _run(case, nn.Dropout(case.config["p"], rng=LockedRand(case.config["seed"])), {})


def _run(case: Case, layer: nn.Module, params: dict[str, nn.Param]) -> Result:
    xs = ag.var(case.inputs[0], requires_grad=True)
    ys = layer(xs)
    assert case.output_grads is not None
    # A layer that changes nothing returns its input, through which a gradient passes by being put there.
    ys.acc_grad(case.output_grads[0])
    ys.backward()
    return Result([ys.value], [xs.grad], {name: param.grad for name, param in params.items()})
