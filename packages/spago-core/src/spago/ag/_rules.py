"""How a rule, a plain function on arrays, becomes an operator of the graph.

A rule takes arrays and returns the result with what is needed to go back: a pullback takes the gradient g of the result
and returns that of an operand. Three forms:

    @unary     rule(x, ...)    -> y, pullback
    @binary    rule(a, b, ...) -> y, pullback of a, pullback of b      (NumPy's broadcasting; numbers as operands)
    @operator  rule(*arrays, ...) -> y, pullback(g, needs) -> gradients of all operands

`@elementwise` is `@unary`, and `@pairwise` is `@binary`, for what treats each element for itself.

A pullback returns a new array, or g, or a view of g; it never writes into g, and never returns an array that it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, update_wrapper
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np

from spago.ag._anomaly import check_result
from spago.ag._gradients import Parts
from spago.ag._modes import mode
from spago.ag._node import Constant, JointPullback, Node, Operand, Operator, Pullback, as_array, numbers
from spago.ag._queue import queue
from spago.ag._threads import line
from spago.mat import Array, ShapeError

P = ParamSpec("P")
R = TypeVar("R")

Unary: TypeAlias = tuple[Array, Pullback]
"""What a unary rule returns: the result, and the pullback of its operand."""

Binary: TypeAlias = tuple[Array, Pullback, Pullback]
"""What a binary rule returns: the result, and the pullbacks of its two operands."""

Joint: TypeAlias = tuple[Array, JointPullback]
"""What the rule of a general operator returns: the result, and one pullback for all operands."""

_ndarray = np.ndarray
_new = object.__new__


class Rule:
    """What all results of one operator have in common.

    Attributes:
        name: What to call it in pictures, such as `LogSoftmax`.
        function: The operator, as users call it.
        broadcasts: Whether operands are broadcast, so that their gradients must be summed back to their shapes.
        elementwise: Whether each element of the result comes from those at its place, and has their dtype.
    """

    __slots__ = ("broadcasts", "elementwise", "function", "name")

    def __init__(self, name: str, *, broadcasts: bool = False, elementwise: bool = False) -> None:
        self.name = name
        self.broadcasts = broadcasts
        self.elementwise = elementwise
        self.function: Callable[..., Any] | None = None

    def __repr__(self) -> str:
        return f"Rule({self.name})"


def unary(rule: Callable[Concatenate[Array, P], Unary]) -> Callable[Concatenate[Operand, P], Node]:
    """Make an operator of one operand from a rule that returns the result and one pullback.

    Examples:
        >>> import numpy as np
        >>> from spago import ag
        >>> @ag.unary
        ... def cube(x):
        ...     return x**3, lambda g: g * 3 * x**2
        >>> x = ag.var([1.0, 2.0], requires_grad=True)
        >>> cube(x).backward()
        >>> x.grad
        array([ 3., 12.], dtype=float32)
    """
    about = Rule(display_name(rule))

    def operator(x: Operand, /, *args: P.args, **kwargs: P.kwargs) -> Node:
        if not isinstance(x, Node):
            x = leaf(x, about)
        y, pullback = rule(x.value, *args, **kwargs)
        return record(about, y, (x,), (pullback,), x.requires_grad)

    about.function = operator
    update_wrapper(operator, rule)
    return operator


def elementwise(rule: Callable[Concatenate[Array, P], Unary]) -> Callable[Concatenate[Operand, P], Node]:
    """Make an operator of one operand, as `unary`, whose rule treats each element for itself.

    The result has the shape and dtype of the operand. So a large one can be computed by another thread.
    """
    about = Rule(display_name(rule), elementwise=True)

    def operator(x: Operand, /, *args: P.args, **kwargs: P.kwargs) -> Node:
        if not isinstance(x, Node):
            x = leaf(x, about)
        if (line.unfinished and x.queued) or x.value.nbytes > line.large:
            return _queue_unary(about, x, lambda array: rule(array, *args, **kwargs))
        y, pullback = rule(x.value, *args, **kwargs)
        return record(about, y, (x,), (pullback,), x.requires_grad)

    about.function = operator
    update_wrapper(operator, rule)
    return operator


def binary(rule: Callable[Concatenate[Array, Array, P], Binary]) -> Callable[Concatenate[Operand, Operand, P], Node]:
    """Make an operator of two operands, broadcast as NumPy does, from a rule that returns the result and two pullbacks.

    Python numbers are taken as they are, so that they never promote a dtype; arrays are taken as constants. Gradients
    are summed over the axes along which their operands were broadcast.

    Examples:
        >>> from spago import ag
        >>> @ag.binary
        ... def scaled_difference(a, b, scale=2.0):
        ...     return scale * (a - b), lambda g: scale * g, lambda g: -scale * g
        >>> scaled_difference(ag.var([3.0, 4.0]), 1.0).value
        array([4., 6.], dtype=float32)
    """
    return _binary(rule, Rule(display_name(rule), broadcasts=True))


def pairwise(rule: Callable[Concatenate[Array, Array, P], Binary]) -> Callable[Concatenate[Operand, Operand, P], Node]:
    """Make an operator of two operands, as `binary`, whose rule treats each pair of elements for itself.

    The result has the shape that the operands broadcast to, and the dtype that they promote to. So a large one can be
    computed by another thread.
    """
    return _binary(rule, Rule(display_name(rule), broadcasts=True, elementwise=True))


def _binary(
    rule: Callable[Concatenate[Array, Array, P], Binary], about: Rule
) -> Callable[Concatenate[Operand, Operand, P], Node]:
    simple = _without_settings(rule, about)

    def operator(a: Operand, b: Operand, /, *args: P.args, **kwargs: P.kwargs) -> Node:
        return _without_settings(lambda x, z: rule(x, z, *args, **kwargs), about)(a, b)

    # Passing settings on costs a sum or product a sixth of its time, and they have none.
    chosen: Any = operator if _takes_settings(rule) else simple
    about.function = chosen
    update_wrapper(chosen, rule)
    return cast("Callable[Concatenate[Operand, Operand, P], Node]", chosen)


def _takes_settings(rule: Callable[..., Any]) -> bool:
    parameters = signature(rule).parameters.values()
    return len(parameters) > 2 or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def _without_settings(rule: Callable[[Array, Array], Binary], about: Rule) -> Callable[[Operand, Operand], Node]:
    queues = about.elementwise

    def operator(a: Operand, b: Operand, /) -> Node:
        if queues and line.unfinished and (getattr(a, "queued", False) or getattr(b, "queued", False)):
            return _queue_binary(about, a, b, rule)
        if isinstance(a, Node):
            x, need_a = a.value, a.requires_grad
            # Looking at the first operand alone costs a small operator half as much as looking at both.
            if queues and x.nbytes > line.large_sum:
                return _queue_binary(about, a, b, rule)
        else:
            x, need_a = constant(a, about), False
        if isinstance(b, Node):
            z, need_b = b.value, b.requires_grad
        else:
            z, need_b = constant(b, about), False
        try:
            y, pullback_a, pullback_b = rule(x, z)
        except ValueError as error:
            raise _shape_error(about, x, z, error) from None
        pullbacks = (pullback_a if need_a else None, pullback_b if need_b else None)
        return record(about, y, (a, b), pullbacks, need_a or need_b)

    return operator


def _queue_unary(about: Rule, x: Node, rule: Callable[[Array], Unary]) -> Node:
    """Return the node of a large result, which is computed when its turn comes."""
    return queue(about, (x,), rule)


def _queue_binary(about: Rule, a: Any, b: Any, rule: Callable[[Array, Array], Binary]) -> Node:
    """Return the node of a large result, which is computed when its turn comes."""
    operands = tuple(x if isinstance(x, Node) else constant(x, about) for x in (a, b))
    try:
        return queue(about, operands, rule)
    except ValueError as error:
        raise _shape_error(about, a, b, error) from None


def operator(rule: Callable[..., tuple[Any, JointPullback]], *, name: str = "") -> Callable[..., Any]:
    """Make an operator of any number of operands from a rule whose gradients share work.

    The rule's positional arguments are the operands (nodes or arrays, or None for one that may be left out, whose
    annotation says `| None`), its keyword arguments are settings. It returns the result and `pullback(g, needs)`, which
    returns one gradient an operand, None where `needs` says that none is asked for.

    A rule may return a tuple of results. The operator then returns a tuple of nodes, and g is a tuple with None for the
    results that no gradient has reached.

    Examples:
        >>> from spago import ag
        >>> @ag.operator
        ... def fused_multiply_add(a, b, c):
        ...     return a * b + c, lambda g, needs: (g * b, g * a, g)
        >>> a, b, c = (ag.var(v, requires_grad=True) for v in (2.0, 3.0, 4.0))
        >>> fused_multiply_add(a, b, c).item()
        10.0
    """
    about = Rule(name or display_name(rule))
    required = _required(rule)

    def operator(*operands: Any, **settings: Any) -> Any:
        nodes: list[Node | None] = []
        arrays: list[Array | None] = []
        needs = False
        for x in operands:
            if x is None:
                _check_left_out(len(nodes), required, about)
                nodes.append(None)
                arrays.append(None)
            else:
                node: Node = x if isinstance(x, Node) else leaf(x, about)
                nodes.append(node)
                arrays.append(node.value)
                needs = needs or node.requires_grad
        y, pullback = rule(*arrays, **settings)
        if isinstance(y, tuple):
            parts = cast("tuple[Array, ...]", y)
            hidden = record(about, parts[0], tuple(nodes), pullback, needs)
            return tuple(_result(hidden, i, len(parts), part) for i, part in enumerate(parts))
        return record(about, y, tuple(nodes), pullback, needs)

    about.function = operator
    update_wrapper(operator, rule)
    return operator


def _required(rule: Callable[..., Any]) -> list[bool]:
    """Return for each operand of a rule whether it must be there; what follows is like the last one."""
    parameters = [p for p in signature(rule).parameters.values() if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    return [p.annotation is not p.empty and "None" not in str(p.annotation) for p in parameters]


def _check_left_out(i: int, required: list[bool], about: Rule) -> None:
    """Check that operand i may be None.

    Raises:
        TypeError: Names the operator and the place.
    """
    if required[min(i, len(required) - 1)]:
        raise TypeError(f"{about.name}: expected a node or an array for operand {i}, got None")


def record(rule: Rule, value: Array, operands: tuple[Any, ...], pullbacks: Any, requires_grad: bool) -> Operator:
    """Return the node of a result."""
    # NumPy gives scalars, not arrays, for operands of shape ().
    if type(value) is not _ndarray:
        value = np.asarray(value)
    node: Operator = _new(Operator)
    node.value = value
    node.number = next(numbers)
    node.rule = rule
    node._operands = operands
    node._held = None
    if requires_grad:
        node.requires_grad = True
        node._pullbacks = pullbacks
    else:
        node.requires_grad = False
        node._pullbacks = None
    if not mode.plain:
        _observe(node)
    return node


def _observe(node: Operator) -> None:
    """Do what the current thread's modes ask for with a new result."""
    if mode.note is not None:
        mode.note(node)
    if mode.anomaly:
        check_result(node)
    if not mode.recording:
        node.requires_grad = False
        node._operands, node._pullbacks = (), None


def leaf(x: Any, about: Rule) -> Node:
    """Return the constant leaf for an operand that is no node."""
    return Constant(constant_array(x, about))


def constant(x: Any, about: Rule) -> Any:
    """Return what a binary rule gets for an operand that is no node: a Python number as it is, or an array."""
    if type(x) is float or type(x) is int:
        return x
    return constant_array(x, about)


def constant_array(x: Any, about: Rule) -> Array:
    """Return an operand that is no node as an array of float32 or float64.

    Raises:
        TypeError: Names the operator, and says what came.
    """
    try:
        return as_array(x)
    except TypeError as error:
        raise TypeError(f"{about.name}: {error}") from error


def display_name(rule: Callable[..., Any]) -> str:
    """Return the name of an operator for pictures: `log_softmax` becomes `LogSoftmax`."""
    return "".join(word[:1].upper() + word[1:] for word in rule.__name__.split("_"))


def _result(hidden: Operator, index: int, count: int, value: Array) -> Operator:
    """Return the node of one of several results; its gradient becomes one part of that of the hidden operator."""

    def pullback(g: Array) -> Parts:
        return Parts(index, count, g)

    return record(_rule_of_result(hidden.rule.name, index), value, (hidden,), (pullback,), hidden.requires_grad)


@lru_cache(maxsize=1024)
def _rule_of_result(name: str, index: int) -> Rule:
    return Rule(f"{name}[{index}]")


def _shape_error(about: Rule, a: Any, b: Any, error: ValueError) -> ValueError:
    if isinstance(error, ShapeError):
        return error
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = np.shape(a), np.shape(b)
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return ShapeError(f"{about.name}: expected shapes that broadcast, got {shapes[0]} and {shapes[1]}")
    return error
