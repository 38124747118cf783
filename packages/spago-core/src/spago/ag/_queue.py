"""Element-wise operators on large arrays, whose results other threads compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spago.ag._anomaly import caller
from spago.ag._modes import mode
from spago.ag._node import GraphError, Node, Operator, QueuedOperator, QueuedValue, numbers, queued_value
from spago.ag._threads import Task, line


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
                f"declared to work element by element, got {y.dtype} and {y.shape}; use @unary or @product"
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
