"""AdaGrad."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spago.mat import Array
from spago.optim._blocks import Update
from spago.optim._optimizer import Optimizer, Params, Rate
from spago.optim._weight_decay import decayed


class AdaGrad(Optimizer):
    """AdaGrad: each element has its own rate, the smaller the more gradient it has seen.

        m ← m + g²
        w ← w - α g / (√m + ε)

    Args:
        params: A model, its parameters, or groups; see `Optimizer`.
        learning_rate: α, a number or a schedule.
        eps: ε. 1e-10 as in PyTorch; the reference has 1e-8.
        weight_decay: λ of an L2 penalty: λ w is added to g.
        **common: `clip_norm`, `clip_value`, `on_nan`; see `Optimizer`.

    Source:
        J. Duchi, E. Hazan, Y. Singer (2011), "Adaptive Subgradient Methods for Online Learning and Stochastic
        Optimization", J. Mach. Learn. Res. 12, 2121-2159, figure 1.
    """

    label = "AdaGrad"

    def __init__(
        self,
        params: Params,
        learning_rate: Rate = 1e-2,
        *,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(params, dict(learning_rate=learning_rate, eps=eps, weight_decay=weight_decay), **common)

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The sum of squares."""
        return ("m",)

    def rule(self, settings: Mapping[str, Any], learning_rate: float, t: int) -> Update:
        """Return the update of one step; the equations are in the class."""
        eps, weight_decay = settings["eps"], settings["weight_decay"]

        def update(w: Array, g: Array, m: Array, *scratch: Array) -> None:
            a, b = scratch
            g = decayed(g, w, weight_decay, b)
            m += np.multiply(g, g, out=a)
            np.sqrt(m, out=a)
            a += eps
            np.divide(g, a, out=a)
            a *= learning_rate
            w -= a

        return update
