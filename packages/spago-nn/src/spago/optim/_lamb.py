"""LAMB."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spago.mat import Array
from spago.optim._blocks import Columns, Update, run
from spago.optim._clipping import joint_norm
from spago.optim._moments import MomentMethod, update_moments
from spago.optim._optimizer import Params, Rate


class LAMB(MomentMethod):
    """LAMB: the direction of AdamW, made as long as the parameter it changes, times the learning rate.

        m ← β₁ m + (1 - β₁) g,   m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) g²,  v̂ = v / (1 - β₂ᵗ)
        u = m̂ / (√v̂ + ε) + λ w
        w ← w - α ‖w‖ / ‖u‖ u    with 1 for the quotient where a norm is 0; norms are over the whole parameter

    The reference has m and v in u where m̂ and v̂ are here, and their correction √(1 - β₂ᵗ) / (1 - β₁ᵗ), 0.3 at first,
    as a factor of α: `as_reference=True`. Where the gradient is that of some rows, norms are over these. Needs memory
    for one more array for each parameter of a group.

    Args:
        params: A model, its parameters, or groups; see `Optimizer`.
        learning_rate: α, a number or a schedule.
        betas: β₁ and β₂, from 0 to below 1.
        eps: ε. 1e-6 as the paper's code has it; the reference has 1e-8.
        weight_decay: λ. 0.01 as the paper has it; the reference has 0.1.
        as_reference: Whether the rule is that of the reference.
        **common: `clip_norm`, `clip_value`, `on_nan`; see `Optimizer`.

    Source:
        Y. You et al. (2020), "Large Batch Optimization for Deep Learning", arXiv:1904.00962, algorithm 2.
    """

    label = "LAMB"

    def __init__(
        self,
        params: Params,
        learning_rate: Rate = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        as_reference: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(
            params,
            learning_rate,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            as_reference=as_reference,
            **common,
        )

    def rule(self, settings: Mapping[str, Any], learning_rate: float, t: int) -> Update:
        """Return the update of m and v, which computes u as well; the equations are in the class."""
        betas, eps, weight_decay = settings["betas"], settings["eps"], settings["weight_decay"]
        correction1, correction2 = _corrections(betas, t) if not settings["as_reference"] else (1.0, 1.0)

        def update(w: Array, g: Array, m: Array, v: Array, u: Array, *scratch: Array) -> None:
            a = scratch[0]
            update_moments(m, v, g, betas, a)
            np.sqrt(v, out=a)
            a += eps * correction2
            np.divide(m, a, out=u)
            u *= correction2 / correction1
            u += np.multiply(w, weight_decay, out=a)

        return update

    def update(self, settings: Mapping[str, Any], learning_rate: float, t: int, columns: Columns) -> None:
        """Update all parameters of a group: u first, then each parameter by its own norms."""
        values, directions = columns[0], [np.empty_like(value) for value in columns[0]]
        run(self.rule(settings, learning_rate, t), [*columns, directions])
        if settings["as_reference"]:
            correction1, correction2 = _corrections(settings["betas"], t)
            learning_rate *= correction2 / correction1
        for w, u in zip(values, directions, strict=True):
            length, size = joint_norm([u]), joint_norm([w])
            u *= learning_rate * (size / length if size and length else 1.0)
            w -= u


def _corrections(betas: tuple[float, float], t: int) -> tuple[float, float]:
    """Return 1 - β₁ᵗ and √(1 - β₂ᵗ)."""
    return 1 - betas[0] ** t, math.sqrt(1 - betas[1] ** t)
