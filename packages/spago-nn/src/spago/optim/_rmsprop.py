"""RMSProp."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spago.mat import Array
from spago.optim._blocks import Update
from spago.optim._optimizer import Optimizer, Params, Rate
from spago.optim._weight_decay import decayed


class RMSProp(Optimizer):
    """RMSProp: each element has its own rate, the smaller the larger its gradient has been lately.

        v ← d v + (1 - d) g²
        w ← w - α g / (√v + ε)

    Args:
        params: A model, its parameters, or groups; see `Optimizer`.
        learning_rate: α, a number or a schedule. 0.01 as in PyTorch; the reference has 0.001.
        decay: d, from 0 to below 1. 0.99 as in PyTorch; the reference has 0.95.
        eps: ε.
        weight_decay: λ of an L2 penalty: λ w is added to g.
        **common: `clip_norm`, `clip_value`, `on_nan`; see `Optimizer`.

    Source:
        T. Tieleman, G. Hinton (2012), "Neural Networks for Machine Learning", lecture 6e.
    """

    label = "RMSProp"

    def __init__(
        self,
        params: Params,
        learning_rate: Rate = 1e-2,
        *,
        decay: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **common: Any,
    ) -> None:
        settings = dict(learning_rate=learning_rate, decay=decay, eps=eps, weight_decay=weight_decay)
        super().__init__(params, settings, **common)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError for a setting that is out of range."""
        super().check(settings)
        if not 0 <= settings["decay"] < 1:
            raise ValueError(f"RMSProp: expected decay from 0 to below 1, got {settings['decay']}")

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The average of squares."""
        return ("v",)

    def rule(self, settings: Mapping[str, Any], learning_rate: float, t: int) -> Update:
        """Return the update of one step; the equations are in the class."""
        decay, eps, weight_decay = settings["decay"], settings["eps"], settings["weight_decay"]

        def update(w: Array, g: Array, v: Array, *scratch: Array) -> None:
            a, b = scratch
            g = decayed(g, w, weight_decay, b)
            np.multiply(g, g, out=a)
            a *= 1 - decay
            v *= decay
            v += a
            np.sqrt(v, out=a)
            a += eps
            np.divide(g, a, out=a)
            a *= learning_rate
            w -= a

        return update
