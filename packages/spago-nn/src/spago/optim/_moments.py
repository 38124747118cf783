"""What the methods have in common that average the gradient and its square: Adam, AdamW, RAdam, LAMB."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spago.mat import Array
from spago.optim._optimizer import Optimizer, Params, Rate


class MomentMethod(Optimizer):
    """Base of the methods that average the gradient and its square.

    Args:
        params: A model, its parameters, or groups; see `Optimizer`.
        learning_rate: α, a number or a schedule.
        betas: β₁ and β₂, from 0 to below 1.
        eps: ε.
        weight_decay: λ.
        as_reference: Whether the rule is that of the reference where it differs.
        **common: `clip_norm`, `clip_value`, `on_nan`; see `Optimizer`.
    """

    def __init__(
        self,
        params: Params,
        learning_rate: Rate = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        as_reference: bool = False,
        **common: Any,
    ) -> None:
        settings = {
            "learning_rate": learning_rate,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "as_reference": as_reference,
        }
        super().__init__(params, settings, **common)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError for a setting that is out of range."""
        super().check(settings)
        betas = settings["betas"]
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{self.name}: expected two betas from 0 to below 1, got {betas}")

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The averages of the gradient and of its square."""
        return "m", "v"


def update_moments(m: Array, v: Array, g: Array, betas: tuple[float, float], a: Array) -> None:
    """Update m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g², computing in a."""
    beta1, beta2 = betas
    m *= beta1
    m += np.multiply(g, 1 - beta1, out=a)
    np.multiply(g, g, out=a)
    a *= 1 - beta2
    v *= beta2
    v += a
