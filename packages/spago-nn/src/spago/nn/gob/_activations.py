"""The activations of Go Spago by number, and ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spago import ag
from spago.nn.gob._parts import Fields

_ACTIVATIONS: tuple[str, ...] = (
    *("identity", "tan", "tanh", "sigmoid", "hard_sigmoid", "hard_tanh", "softsign", "relu", "celu", "gelu", "elu"),
    *("positive_elu", "swish_b", "swish", "silu", "mish", "leaky_relu", "selu", "softplus", "softshrink", "threshold"),
    *("softmax", "log_softmax", "sparsemax"),
)
_LEARNED = frozenset(("celu", "elu", "swish_b", "leaky_relu", "selu", "softplus", "softshrink", "threshold"))
"""Those have parameters in Go, and numbers here."""


def activation(s: Fields) -> Callable[..., Any]:
    """The function that the field `Activation` of a struct means.

    Raises:
        FormatError: There is none, or it has parameters.
    """
    number: int = s["Activation"]
    name: str = _ACTIVATIONS[number] if 0 <= number < len(_ACTIVATIONS) else ""
    if not hasattr(ag, name) or name in _LEARNED:
        s.refuse("an activation without parameters", name or f"number {number}")
    function: Callable[..., Any] = getattr(ag, name)
    return function


def number_of(function: Any) -> int:
    """The number of one of our functions.

    Raises:
        ValueError: Go Spago has it not, or with parameters.
    """
    for number, name in enumerate(_ACTIVATIONS):
        if function is getattr(ag, name, None) and name not in _LEARNED:
            return number
    raise ValueError(f"gob: expected an activation of ag that Go Spago has without parameters, got {function}")
