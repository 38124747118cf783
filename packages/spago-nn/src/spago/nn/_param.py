"""What a module holds between two calls: parameters, which training changes, and buffers, which it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spago.ag import Variable
from spago.mat import Array


@dataclass(slots=True)
class Payload:
    """What an optimizer keeps with a parameter from one step to the next.

    Attributes:
        label: The method that the state belongs to, such as `Adam`.
        arrays: The state by the names of the paper, such as `m` and `v`.
    """

    label: str
    arrays: dict[str, Array] = field(default_factory=dict[str, Array])


class Trainable(Protocol):
    """What an optimizer updates: an `nn.Param`, or the rows of an embedding store that were used since the last step.

    Attributes:
        value: The array, which the optimizer changes in place.
        payload: The optimizer's state, or None before its first step.
    """

    value: Array
    payload: Payload | None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def requires_grad(self) -> bool:
        """Whether it is to be trained."""
        ...

    @property
    def grad(self) -> Any:
        """The gradient, of the shape of the value, or None."""
        ...

    @grad.setter
    def grad(self, grad: Array | None) -> None: ...

    def zero_grad(self) -> None:
        """Forget the gradient."""
        ...

    def commit(self) -> None:
        """Make an update of value and payload lasting; called once after each."""
        ...


class ParameterSource(Protocol):
    """What is no module but has parameters of its own, such as the embeddings of `spago.embeddings`."""

    def parameters(self) -> Iterable[Trainable]:
        """What there is to train now; may differ from step to step."""
        ...

    def zero_grad(self) -> None:
        """Forget the gradients."""
        ...


class Param(Variable):
    """A leaf of the graph that training changes.

    A copy and a pickle hold value, name, `requires_grad` and payload, but no gradient and no graph.

    Args:
        value: Any shape; an array of float32 or float64 is held, not copied.
        requires_grad: False freezes the parameter.
        name: What it is called in pictures and messages.
        dtype: float32 or float64, to convert to.

    Examples:
        >>> from spago import nn
        >>> weight = nn.Param([1.0, 2.0])
        >>> (weight * weight).backward()
        >>> weight.grad
        array([2., 4.], dtype=float32)
    """

    __slots__ = ("payload",)

    def __init__(
        self,
        value: npt.ArrayLike,
        *,
        requires_grad: bool = True,
        name: str = "",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(value, requires_grad=requires_grad, name=name, dtype=dtype)
        self.payload: Payload | None = None

    def commit(self) -> None:
        """Nothing is left to do: an update in place is all there is for a parameter in memory."""

    def replace_value(self, value: npt.ArrayLike) -> None:
        """Put another array in place of the value, of any shape, and forget gradient and payload."""
        array = Variable(value).value
        self.zero_grad()
        self.payload = None
        self.value = array

    def to(self, dtype: npt.DTypeLike) -> None:
        """Convert value, gradient and payload to float32 or float64."""
        grad = self.grad
        self.value = _converted(self.value, dtype)
        self.grad = grad
        if self.payload is not None:
            arrays = {name: _converted(array, dtype) for name, array in self.payload.arrays.items()}
            self.payload = Payload(self.payload.label, arrays)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"grad": None, "payload": self.payload}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.payload = state["payload"]


class Buffer(Variable):
    """A leaf of the graph that belongs to a module's state but is not trained, such as a running mean.

    It is saved and loaded with the parameters. Training code changes `value` itself.

    Args:
        value: Any shape; an array of float32 or float64 is held, not copied.
        name: What it is called in pictures and messages.
        dtype: float32 or float64, to convert to.
    """

    __slots__ = ()

    def __init__(self, value: npt.ArrayLike, *, name: str = "", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(value, requires_grad=False, name=name, dtype=dtype)

    def to(self, dtype: npt.DTypeLike) -> None:
        """Convert the value to float32 or float64."""
        self.value = _converted(self.value, dtype)


def _converted(array: Array, dtype: npt.DTypeLike) -> Array:
    if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"to: expected dtype float32 or float64, got {np.dtype(dtype)}")
    return array.astype(dtype, copy=False)
