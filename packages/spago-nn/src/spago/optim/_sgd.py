"""Stochastic gradient descent."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spago.mat import Array
from spago.optim._blocks import Update
from spago.optim._optimizer import Optimizer, Params, Rate
from spago.optim._weight_decay import decayed


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ and Nesterov's look-ahead.

        v ← μ v + α g
        w ← w - v              with momentum
        w ← w - (μ v + α g)    with Nesterov's

    The velocity v is made of steps: a smaller learning rate α slows down what comes, not what is under way. In PyTorch
    it is made of gradients, and α applies to all of it: v ← μ v + g, w ← w - α v (or w - α (μ v + g)). As long as α
    does not change, both are the same; `rate_in_velocity=False` is PyTorch's.

    Args:
        params: A model, its parameters, or groups; see `Optimizer`.
        learning_rate: α, a number or a schedule.
        momentum: μ, from 0 to below 1.
        nesterov: Whether the step is that of the next velocity.
        weight_decay: λ of an L2 penalty: λ w is added to g.
        rate_in_velocity: Whether v is made of steps (True) or of gradients.
        **common: `clip_norm`, `clip_value`, `on_nan`; see `Optimizer`.

    Source:
        I. Sutskever, J. Martens, G. Dahl, G. Hinton (2013), "On the importance of initialization and momentum in deep
        learning", section 2.

    Examples:
        >>> from spago import nn, optim
        >>> w = nn.Param([1.0, 2.0])
        >>> optimizer = optim.SGD(w, learning_rate=0.5)
        >>> (w * w).backward()
        >>> optimizer.step()
        True
        >>> w.value
        array([0., 0.], dtype=float32)
    """

    label = "SGD"

    def __init__(
        self,
        params: Params,
        learning_rate: Rate = 1e-3,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        rate_in_velocity: bool = True,
        **common: Any,
    ) -> None:
        settings = {
            "learning_rate": learning_rate,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "rate_in_velocity": rate_in_velocity,
        }
        super().__init__(params, settings, **common)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError for a setting that is out of range."""
        super().check(settings)
        if not 0 <= settings["momentum"] < 1:
            raise ValueError(f"SGD: expected momentum from 0 to below 1, got {settings['momentum']}")
        if settings["nesterov"] and not settings["momentum"]:
            raise ValueError("SGD: expected momentum above 0 with nesterov=True, got 0")

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The velocity, when there is momentum."""
        return ("v",) if settings["momentum"] else ()

    def rule(self, settings: Mapping[str, Any], learning_rate: float, t: int) -> Update:
        """Return the update of one step; the equations are in the class."""
        momentum, nesterov, weight_decay = settings["momentum"], settings["nesterov"], settings["weight_decay"]
        into_velocity, into_step = (learning_rate, 1.0) if settings["rate_in_velocity"] else (1.0, learning_rate)

        def plain(w: Array, g: Array, *scratch: Array) -> None:
            a, b = scratch
            w -= np.multiply(decayed(g, w, weight_decay, b), learning_rate, out=a)

        def with_momentum(w: Array, g: Array, v: Array, *scratch: Array) -> None:
            a, b = scratch
            g = decayed(g, w, weight_decay, a)
            if into_velocity != 1:
                g = np.multiply(g, into_velocity, out=a)
            v *= momentum
            v += g
            step = v
            if nesterov:
                step = np.multiply(v, momentum, out=b)
                step += g
            if into_step != 1:
                step = np.multiply(step, into_step, out=b)
            w -= step

        return with_momentum if momentum else plain
