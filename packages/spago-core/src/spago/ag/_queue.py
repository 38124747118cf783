"""Element-wise operators on large arrays, whose results other threads compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from spago.ag._anomaly import caller
from spago.ag._modes import mode
from spago.ag._node import LOCK, VALUE, GraphError, Node, Operator, numbers
from spago.ag._threads import Task, line
from spago.mat import Array


class QueuedOperator(Operator):
    """A result that another thread may still be computing.

    Asking for its value waits; from then on the node is a plain `Operator`.
    """

    __slots__ = ()

    queued = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the value will have."""
        shape: tuple[int, ...] = queued_value(self).shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes that the value will have."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements that the value will have."""
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that the value will have."""
        dtype: np.dtype[Any] = queued_value(self).dtype
        return dtype


@dataclass(frozen=True, slots=True)
class QueuedValue:
    """What stands in the place of a queued operator's pullbacks until they are there.

    Attributes:
        task: Gives the value and the pullbacks.
        shape: Of the value.
        dtype: Of the value.
    """

    task: Task
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def queued_value(node: Operator) -> QueuedValue | Array:
    """Return what stands for the value of a queued operator, or the value if it is there by now."""
    waiting = node._pullbacks
    return waiting if isinstance(waiting, QueuedValue) else node.value


def await_value(node: Any) -> Array:
    """Return the value of a queued operator, once it is there."""
    waiting = node._pullbacks
    if type(waiting) is QueuedValue:
        value, pullbacks = waiting.task.result()
        with LOCK:
            if type(node._pullbacks) is QueuedValue:
                VALUE.__set__(node, value)
                node._pullbacks = pullbacks if node.requires_grad else None
                node.__class__ = Operator
    array: Array = VALUE.__get__(node)
    return array


# Not in the class body: to a type checker a property there contradicts the slot of the same name.
setattr(QueuedOperator, VALUE.__name__, property(await_value))


def worth_queueing(node: Operator, g: Any) -> bool:
    """Whether the pullbacks of an operator with a large value are to be run by other threads."""
    rule = node.rule
    return rule.elementwise and (not rule.broadcasts or type(g) is Task or node.value.nbytes > line.large_sum)


def queue(about: Any, operands: tuple[Any, ...], rule: Callable[..., Any]) -> Operator:
    """Return the node of a result that is yet to be computed.

    Args:
        about: The `Rule` of the operator.
        operands: Nodes, arrays and numbers.
        rule: From their arrays, gives the value and a pullback for each operand.

    Raises:
        ValueError: When the shapes do not broadcast.
    """
    values = [queued_value(x) if isinstance(x, QueuedOperator) else getattr(x, "value", x) for x in operands]
    # Python numbers have neither shape nor dtype: they broadcast to any, and promote none.
    shape = np.broadcast_shapes(*(getattr(value, "shape", ()) for value in values))
    dtype = np.result_type(*(getattr(value, "dtype", value) for value in values))
    needs = [isinstance(x, Node) and x.requires_grad for x in operands]
    site = caller()

    def compute(*_: Any) -> Any:
        try:
            y, *pullbacks = rule(*(x.value if isinstance(x, Node) else x for x in operands))
        except Exception as error:
            raise GraphError(f"{about.name}, created at {site}, failed: {error}") from error
        if y.shape != shape or y.dtype != dtype:
            raise GraphError(
                f"{about.name}, created at {site}: expected a result of {dtype} and shape {shape}, for its rule was "
                f"declared to work element by element, got {y.dtype} and {y.shape}; use @unary or @binary"
            )
        return y, tuple(p if need else None for p, need in zip(pullbacks, needs, strict=True))

    waiting = [value.task for value in values if isinstance(value, QueuedValue)]
    node: QueuedOperator = object.__new__(QueuedOperator)
    node.number = next(numbers)
    node.rule = about
    node._held = None
    node.requires_grad = any(needs) and mode.recording
    node._operands = operands if mode.recording else ()
    node._pullbacks = QueuedValue(Task(compute, waiting), shape, dtype)
    return node
