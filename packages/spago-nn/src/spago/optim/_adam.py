"""Adam, and AdamW, whose weight decay is apart from the gradient."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spago.mat import Array
from spago.optim._blocks import Update
from spago.optim._moments import MomentMethod, update_moments
from spago.optim._optimizer import Params, Rate
from spago.optim._weight_decay import decayed


class Adam(MomentMethod):
    """Adam: steps of about the size of the learning rate, along the average gradient over its average size.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        w ← w - α m̂ / (√v̂ + ε)    where m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)

    The reference adds ε to √v instead of √v̂, which makes it larger at first, by up to 1 / √(1 - β₂) = 32:
    `as_reference=True` does so too. (Its first moment is called v, its second m.)

    Args:
        params: A model, its parameters, or groups; see `Optimizer`.
        learning_rate: α, a number or a schedule.
        betas: β₁ and β₂, from 0 to below 1.
        eps: ε.
        weight_decay: λ of an L2 penalty: λ w is added to g. See `AdamW`.
        as_reference: Whether ε is that of the reference.
        **common: `clip_norm`, `clip_value`, `on_nan`; see `Optimizer`.

    Source:
        D. P. Kingma, J. Ba (2015), "Adam: A Method for Stochastic Optimization", arXiv:1412.6980, algorithm 1; the
        reference's ε is that of the end of section 2.
    """

    label = "Adam"

    def rule(self, settings: Mapping[str, Any], learning_rate: float, t: int) -> Update:
        """Return the update of one step; the equations are in the class."""
        weight_decay = settings["weight_decay"]
        betas, alpha, eps = settings["betas"], *corrected(settings, learning_rate, t)

        def update(w: Array, g: Array, m: Array, v: Array, *scratch: Array) -> None:
            a, b = scratch
            update_moments(m, v, decayed(g, w, weight_decay, b), betas, a)
            np.sqrt(v, out=a)
            a += eps
            np.divide(m, a, out=a)
            a *= alpha
            w -= a

        return update


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: weights shrink at one rate, however large their gradients are.

        w ← (1 - α λ) w - α m̂ / (√v̂ + ε)    with m̂ and v̂ as in `Adam`

    The reference scales the decay by the bias correction √(1 - β₂ᵗ) / (1 - β₁ᵗ), 0.3 at first, as well:
    `as_reference=True` does so too, and has the ε of the reference's Adam.

    Args:
        params: A model, its parameters, or groups; see `Optimizer`.
        learning_rate: α, a number or a schedule.
        betas: β₁ and β₂, from 0 to below 1.
        eps: ε.
        weight_decay: λ.
        as_reference: Whether decay and ε are those of the reference.
        **common: `clip_norm`, `clip_value`, `on_nan`; see `Optimizer`.

    Source:
        I. Loshchilov, F. Hutter (2019), "Decoupled Weight Decay Regularization", arXiv:1711.05101, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        learning_rate: Rate = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
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
        """Return the update of one step; the equations are in the class."""
        alpha, _ = corrected(settings, learning_rate, t)
        step = Adam.rule(self, {**settings, "weight_decay": 0.0}, learning_rate, t)
        shrinkage = settings["weight_decay"] * (alpha if settings["as_reference"] else learning_rate)

        def update(w: Array, g: Array, m: Array, v: Array, *scratch: Array) -> None:
            w *= 1 - shrinkage
            step(w, g, m, v, *scratch)

        return update


def corrected(settings: Mapping[str, Any], learning_rate: float, t: int) -> tuple[float, float]:
    """Return α' and ε' with which α m̂ / (√v̂ + ε) = α' m / (√v + ε'); for the reference, ε itself."""
    beta1, beta2 = settings["betas"]
    root = math.sqrt(1 - beta2**t)
    return learning_rate * root / (1 - beta1**t), settings["eps"] * (1 if settings["as_reference"] else root)
