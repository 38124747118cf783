"""The activations of Go Spago by number, and ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from spago import ag
from spago.nn._activation import Activation
from spago.nn.gob._codec import number_at, remember, remembered
from spago.nn.gob._parts import Fields, fill, split
from spago.nn.gob._values import Param

_ACTIVATIONS: tuple[str, ...] = (
    *("identity", "tan", "tanh", "sigmoid", "hard_sigmoid", "hard_tanh", "softsign", "relu", "celu", "gelu", "elu"),
    *("positive_elu", "swish_b", "swish", "silu", "mish", "leaky_relu", "selu", "softplus", "softshrink", "threshold"),
    *("softmax", "log_softmax", "sparsemax"),
)
_WITH_PARAMS = frozenset(("celu", "elu", "swish_b", "leaky_relu", "selu", "softplus", "softshrink", "threshold"))
"""Those have parameters in Go; here they have settings, in the same order, and swish_b a parameter."""
_GELU = {"approximate": "tanh"}  # the reference has no other


def activation(s: Fields) -> Callable[..., Any]:
    """The function that the field `Activation` of a struct means; GELU is a module, for its setting.

    Raises:
        FormatError: There is none, or it has parameters.
    """
    number: int = s["Activation"]
    name: str = _ACTIVATIONS[number] if 0 <= number < len(_ACTIVATIONS) else ""
    if not name or name in _WITH_PARAMS:
        s.refuse("an activation without parameters", name or f"number {number}")
    return Activation(name, **_GELU) if name == "gelu" else getattr(ag, name)


def number_of(function: Any) -> int:
    """The number of one of our functions, or of a module that is one.

    Raises:
        ValueError: Go Spago has it not, or with parameters.
    """
    settings: dict[str, Any] = {}
    if isinstance(function, Activation):
        function, settings = function.function, function.settings
    for number, name in enumerate(_ACTIVATIONS):
        if function is getattr(ag, name) and name not in _WITH_PARAMS and settings == (_GELU if name == "gelu" else {}):
            return number
    hint = '; it has Activation("gelu", approximate="tanh")' if function is ag.gelu else ""
    raise ValueError(
        f"gob: expected an activation of ag that Go Spago has without parameters, got {function}{hint}"
    ) from None


def read_activation(s: Fields) -> Any:
    """A function, or an `nn.Activation` where there are parameters."""
    count = len(s["Params"])
    if not count:
        return activation(s)
    number: int = s["Activation"]
    name = _ACTIVATIONS[number] if 0 <= number < len(_ACTIVATIONS) else ""
    names = _settings(name)
    if count != len(names):
        s.refuse(f"{len(names)} parameters of {name or f'number {number}'}", f"{count}")
    dtype = s.matrix("Params.0").dtype
    values = {setting: number_at(s, f"Params.{k}") for k, setting in enumerate(names)}
    layer = Activation(name, **values, dtype=dtype)
    if layer.beta is not None:
        fill(layer.beta, s, ["Params.0"])
    remember(layer, Dtype=dtype)
    return layer


def write_activation(layer: Activation) -> dict[str, Any]:
    """The fields of Go's struct."""
    name = layer.function.__name__
    if name not in _WITH_PARAMS:
        return {"Activation": number_of(layer)}
    if layer.beta is not None:
        params = list(split(layer.beta, ["Params"]).values())
    else:
        dtype = remembered(layer).get("Dtype", np.float32)
        values = [layer.settings.get(setting, default) for setting, default in _settings(name).items()]
        params = [Param(np.full((1, 1), value, dtype), "Params", requires_grad=False) for value in values]
    return {"Activation": _ACTIVATIONS.index(name), "Params": params}


def _settings(name: str) -> dict[str, Any]:
    """What an activation takes beside x, with its defaults."""
    if name not in _WITH_PARAMS:
        return {}
    parameters = list(inspect.signature(getattr(ag, name)).parameters.values())[1:]
    return {parameter.name: parameter.default for parameter in parameters}
