"""Adapters of the optimizers, of clipping, and of learning rates that decay."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from golden import Case, Result, adapter
from spago import nn, optim
from spago.mat import Array

Config = dict[str, Any]


def _adam_settings(c: Config) -> Config:
    return {
        "learning_rate": c["step_size"],
        "betas": (c["beta1"], c["beta2"]),
        "eps": c["epsilon"],
        "as_reference": True,
    }


OPTIMIZERS: dict[str, Callable[[list[nn.Param], Config], optim.Optimizer]] = {
    "sgd": lambda ps, c: optim.SGD(ps, c["lr"], momentum=c["momentum"], nesterov=c["nesterov"]),
    "adagrad": lambda ps, c: optim.AdaGrad(ps, c["lr"], eps=c["epsilon"]),
    "rmsprop": lambda ps, c: optim.RMSProp(ps, c["lr"], eps=c["epsilon"], decay=c["decay"]),
    "adam": lambda ps, c: optim.Adam(ps, **_adam_settings(c)),
    "adam_w": lambda ps, c: optim.AdamW(ps, weight_decay=c["lambda"], **_adam_settings(c)),
    "radam": lambda ps, c: optim.RAdam(ps, **_adam_settings(c)),
    "lamb": lambda ps, c: optim.LAMB(ps, weight_decay=c["lambda"], **_adam_settings(c)),
}

COUNTS = {"adam": "inc_example", "adam_w": "inc_example", "lamb": "inc_example", "radam": "inc_batch"}
"""What advances the reference's time, which is 1 at first; a step does not."""


@adapter("optimizer", *OPTIMIZERS)
def _trajectory(case: Case) -> Result:
    config = case.config
    parameters = [nn.Param(value, name=name) for name, value in case.params.items()]
    optimizer = OPTIMIZERS[case.name](parameters, config)
    time = 1
    after: list[list[Array]] = [[] for _ in parameters]
    for calls, *gradients in zip(config["calls"], *case.inputs, strict=True):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        for call in calls:
            time += call == COUNTS.get(case.name)
            if call == "do":
                _clip(parameters, config)
                optimizer.steps = time - 1
                optimizer.step()
        for parameter, values in zip(parameters, after, strict=True):
            values.append(parameter.value.copy())
    return Result(after)


@adapter("clipper", "clip_value")
def _clip_value(case: Case) -> Result:
    return _clipped(case, {"clip_value": case.config["value"]})


@adapter("clipper", "clip_norm")
def _clip_norm(case: Case) -> Result:
    return _clipped(case, {"clip_max_norm": case.config["max_norm"], "clip_norm_type": case.config["norm_type"]})


def _clipped(case: Case, config: Config) -> Result:
    parameters = [nn.Param(np.zeros_like(gradient)) for gradient in case.inputs[0]]
    for parameter, gradient in zip(parameters, case.inputs[0], strict=True):
        parameter.grad = gradient
    _clip(parameters, config)
    return Result([[parameter.grad for parameter in parameters]])


def _clip(parameters: Sequence[nn.Param], config: Config) -> None:
    if "clip_value" in config:
        optim.clip_by_value(parameters, config["clip_value"])
    elif "clip_max_norm" in config:
        p = math.inf if config["clip_norm_type"] == "Inf" else config["clip_norm_type"]
        optim.clip_by_norm(parameters, config["clip_max_norm"], p, eps=1e-7)


@adapter("decay", "exponential")
def _exponential(case: Case) -> Result:
    c = case.config
    return _decayed(case, optim.ExponentialDecay(c["init"], c["final"], c["iter"]).decay)


@adapter("decay", "hyperbolic")
def _hyperbolic(case: Case) -> Result:
    c = case.config
    return _decayed(case, optim.HyperbolicDecay(c["init"], c["final"], c["rate"]).decay)


def _decayed(case: Case, decay: Callable[[float, int], float]) -> Result:
    rate: float = case.config["lr"]
    rates: list[float] = []
    for t in case.inputs[0]:
        rates.append(decay(rate, int(t)))
        if case.config["mode"] == "chained":
            rate = rates[-1]
    return Result([np.array(rates)])
