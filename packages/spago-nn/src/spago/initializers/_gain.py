"""By how much weights must be larger in front of an activation."""

import math
from collections.abc import Callable
from typing import Any

_GAINS = {"relu": math.sqrt(2.0), "tanh": 5.0 / 3.0}

# fmt: off
_OTHERS = frozenset([
    "celu", "elu", "gelu", "hardsigmoid", "hardtanh", "identity", "leakyrelu", "linear", "logsoftmax", "mish",
    "positiveelu", "selu", "sigmoid", "silu", "softmax", "softplus", "softshrink", "softsign", "sparsemax", "swish",
    "swishb", "tan", "threshold",
])
# fmt: on


def gain(activation: str | Callable[..., Any], slope: float | None = None) -> float:
    """Return the factor for weights in front of an activation: √2 for ReLU, 5/3 for tanh, 1 for all others.

    PyTorch has ¾ for SELU, and √(2 / (1 + slope²)) for leaky ReLU; the latter is returned when slope is given.

    Args:
        activation: A name, such as "tanh" or "log_softmax", or the function itself, such as `ag.tanh`.
        slope: That of a leaky ReLU below 0.

    Raises:
        ValueError: When no activation has that name.

    Examples:
        >>> from spago import ag, initializers
        >>> initializers.gain("sigmoid"), initializers.gain(ag.tanh)
        (1.0, 1.6666666666666667)
    """
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", "")
    key = name.replace("_", "").lower()
    if isinstance(activation, str) and key not in _GAINS and key not in _OTHERS:
        raise ValueError(f"gain: expected the name of an activation, such as 'relu' or 'tanh', got {activation!r}")
    if slope is not None:
        return math.sqrt(2.0 / (1.0 + slope**2))
    return _GAINS.get(key, 1.0)
