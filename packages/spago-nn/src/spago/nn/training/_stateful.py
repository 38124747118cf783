"""What training consists of, as far as loops and checkpoints must know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard


class Stateful(Protocol):
    """What goes on as if it had never stopped once it is given its state back: optimizers, schedules, mini-batches.

    A state consists of what JSON has, with text as keys, and of arrays of floats, integers and booleans.
    """

    def state_dict(self) -> Mapping[str, Any]:
        """Return all that decides what comes next."""
        ...

    def load_state_dict(self, state: Any) -> object:
        """Take over such a state; when it does not fit, raise an error and change nothing."""
        ...


class Optimizer(Stateful, Protocol):
    """What `fit` needs of an optimizer: the methods of `spago.optim` have it."""

    def step(self) -> bool:
        """Update the parameters, clear their gradients, and return whether an update was made."""
        ...

    def zero_grad(self) -> None:
        """Clear the gradients."""
        ...


def is_stateful(x: Any) -> TypeGuard[Stateful]:
    """True for what has a state to save."""
    return hasattr(x, "state_dict") and hasattr(x, "load_state_dict")
