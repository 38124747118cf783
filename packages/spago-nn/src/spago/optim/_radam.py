"""RAdam."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spago.mat import Array
from spago.optim._blocks import Update
from spago.optim._moments import MomentMethod, update_moments
from spago.optim._weight_decay import decayed


class RAdam(MomentMethod):
    """Rectified Adam: the size of the gradient counts only when enough of it has been seen, and then less at first.

        m ← β₁ m + (1 - β₁) g,  m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) g²
        ρ∞ = 2 / (1 - β₂) - 1,  ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
        w ← w - α r m̂ √(1 - β₂ᵗ) / (√v + ε)  where r² = (ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ),  if ρ > 5
        w ← w - α m̂                          else

    The paper has ρ > 4; its authors' code and PyTorch have 5, for r is too small just above 4. The reference goes on
    to divide by √v below 4, with r = 1, and corrects ε as Adam does: `as_reference=True`.

    Args:
        params: A model, its parameters, or groups; see `Optimizer`.
        learning_rate: α, a number or a schedule.
        betas: β₁ and β₂, from 0 to below 1.
        eps: ε.
        weight_decay: λ of an L2 penalty: λ w is added to g.
        as_reference: Whether the rule is that of the reference.
        **common: `clip_norm`, `clip_value`, `on_nan`; see `Optimizer`.

    Source:
        L. Liu et al. (2020), "On the Variance of the Adaptive Learning Rate and Beyond", arXiv:1908.03265, algorithm 2.
    """

    label = "RAdam"

    def rule(self, settings: Mapping[str, Any], learning_rate: float, t: int) -> Update:
        """Return the update of one step; the equations are in the class."""
        betas, eps, weight_decay = settings["betas"], settings["eps"], settings["weight_decay"]
        alpha = learning_rate / (1 - betas[0] ** t)
        root = math.sqrt(1 - betas[1] ** t)
        r = rectification(betas[1], t, 4.0 if settings["as_reference"] else 5.0)
        if settings["as_reference"]:
            eps, r = eps * root, r or 1.0

        def update(w: Array, g: Array, m: Array, v: Array, *scratch: Array) -> None:
            a, b = scratch
            update_moments(m, v, decayed(g, w, weight_decay, b), betas, a)
            if r is None:
                np.multiply(m, alpha, out=a)
            else:
                np.sqrt(v, out=a)
                a += eps
                np.divide(m, a, out=a)
                a *= alpha * r * root
            w -= a

        return update


def rectification(beta2: float, t: int, threshold: float) -> float | None:
    """Return r of step t, or None when ρ is not above the threshold."""
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    if rho <= threshold:
        return None
    return math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
