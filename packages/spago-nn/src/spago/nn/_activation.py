"""Activation: an activation function by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand
from spago.nn._module import Module
from spago.nn._param import Param

_FUNCTIONS: dict[str, Callable[..., Node]] = {
    function.__name__.replace("_", ""): function
    for function in (
        *(ag.identity, ag.tan, ag.tanh, ag.sigmoid, ag.log_sigmoid, ag.hard_sigmoid, ag.hard_tanh, ag.softsign),
        *(ag.relu, ag.leaky_relu, ag.elu, ag.positive_elu, ag.celu, ag.selu, ag.gelu, ag.silu, ag.swish_b, ag.mish),
        *(ag.softplus, ag.softshrink, ag.threshold, ag.softmax, ag.log_softmax, ag.sparsemax),
    )
} | {"swish": ag.swish}
"""By the name without underscores."""


class Activation(Module):
    """An activation function by its name: y = f(x).

    All are functions of `ag` as well, where their formulas are: identity, tan, tanh, sigmoid, log_sigmoid,
    hard_sigmoid, hard_tanh, softsign, relu, leaky_relu, elu, positive_elu, celu, selu, gelu, silu and its other name
    swish, swish_b, mish, softplus, softshrink, threshold, softmax, log_softmax, sparsemax.

    Shapes:
        x, y: any; with at least one axis for softmax, log_softmax and sparsemax
        beta: (), 1 at first, the steepness of swish_b, which is learned; None for all others

    Args:
        name: The function, written in any case, with or without underscores: `leaky_relu` or `LeakyReLU`.
        dtype: That of beta, float32 or float64.
        settings: Those of the function, such as `alpha=0.2` for leaky_relu or `approximate="tanh"` for gelu.

    Raises:
        ValueError: When there is no such function.
        TypeError: When the function has no such setting, or a setting is missing.

    Examples:
        >>> from spago import ag, nn
        >>> nn.Activation("LeakyReLU", alpha=0.5)(ag.var([-2.0, 2.0])).value
        array([-1.,  2.], dtype=float32)
    """

    def __init__(self, name: str, *, dtype: npt.DTypeLike = np.float32, **settings: Any) -> None:
        function = _FUNCTIONS.get(name.lower().replace("_", ""))
        if function is None:
            names = ", ".join(sorted(function.__name__ for function in _FUNCTIONS.values()))
            raise ValueError(f"Activation: expected one of {names}, got {name!r}")
        self.function = function
        self.beta = None
        if function is ag.swish_b:
            self.beta = Param(settings.pop("beta", 1.0), name="beta", dtype=dtype)
        operands = (None,) if self.beta is None else (None, None)
        try:
            inspect.signature(function).bind(*operands, **settings)
        except TypeError as error:
            raise TypeError(f"Activation: expected the settings of {function.__name__}: {error}") from None
        self.settings = settings

    def forward(self, x: Operand) -> Node:
        """Return y for x."""
        return self.function(x, self.beta) if self.beta is not None else self.function(x, **self.settings)

    def extra_repr(self) -> str:
        """The name and the settings."""
        return ", ".join([self.function.__name__, *(f"{name}={value}" for name, value in self.settings.items())])
