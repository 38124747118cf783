"""The nodes of the graph: leaves, and the results of operators."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from spago.mat import Array, ShapeError
from spago.mat.addons import mimebundle

if TYPE_CHECKING:
    from spago.ag._queue import QueuedValue
    from spago.ag._reductions import Axis
    from spago.ag._rules import Rule

Pullback: TypeAlias = Callable[[Array], Any]
"""From the gradient of a result to that of one operand."""

JointPullback: TypeAlias = Callable[[Any, tuple[bool, ...]], tuple[Any, ...]]
"""From the gradient of a result to those of all operands; the flags say which of them are asked for."""

numbers = itertools.count()
"""Creation numbers. An operator is created after its operands, so descending order is a right order for backward."""

LOCK = threading.RLock()
"""Held while a node gets its value or gradient from one of several threads: a moment, or the sum of two gradients."""

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class GraphError(RuntimeError):
    """A graph is used in a way that it cannot serve: backward where nothing needs a gradient, a released node."""


def as_array(value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
    """Return value as an array of float32 or float64.

    An array keeps its dtype and is not copied; Python numbers, and lists of them, become float32.

    Raises:
        TypeError: For an array of another dtype, and for what is no array at all.
    """
    if dtype is not None:
        if np.dtype(dtype) not in FLOATS:
            raise TypeError(f"expected dtype float32 or float64, got {np.dtype(dtype)}")
        return np.asarray(value, dtype=dtype)
    if hasattr(value, "dtype"):
        array: Array = np.asarray(value)
        if array.dtype not in FLOATS:
            raise TypeError(
                f"expected an array of float32 or float64, got {array.dtype} of shape {array.shape}; "
                "convert it with .astype(np.float32)"
            )
        return array
    kind = type(value).__name__
    if isinstance(value, list | tuple) and any(isinstance(x, Node) for x in cast("Sequence[Any]", value)):
        raise TypeError("expected a number or an array, got a sequence of nodes; join them with ag.stack or ag.concat")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"expected a number or an array, got {kind}: {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected a number or an array, got {kind}")
    return array.astype(np.float32)


class Node:
    """One value in the graph.

    Attributes:
        value: The array.
        requires_grad: Whether backward computes a gradient for this node.
        number: Creation number; an operator's is larger than those of its operands.
    """

    __slots__ = ("__weakref__", "number", "requires_grad", "value")

    value: Array
    requires_grad: bool
    number: int

    # Whether the value is still being computed by another thread; reading it waits.
    queued = False

    # Whether gradients that are zero but for some rows arrive as such, by `_receive_rows`, and not as arrays.
    takes_rows = False

    # NumPy must leave `array + node` to __radd__ here, instead of adding the node to each element.
    __array_ufunc__ = None

    @property
    def name(self) -> str:
        """What the node is called in pictures and messages."""
        raise NotImplementedError

    @property
    def grad(self) -> Any:
        """The gradient that the node holds, an array of the value's shape and dtype, or None."""
        raise NotImplementedError

    @property
    def operands(self) -> tuple[Node, ...]:
        """The nodes that this one was computed from; none for a leaf."""
        return ()

    @property
    def is_leaf(self) -> bool:
        """Whether the node was given, not computed."""
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of axes of the value."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """The number of elements of the value."""
        return self.value.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value: float32 or float64."""
        return self.value.dtype

    @property
    def has_grad(self) -> bool:
        """Whether the node holds a gradient."""
        return self.grad is not None

    def item(self) -> float:
        """Return the only element as a Python float.

        Raises:
            ShapeError: When the value has not exactly one element.
        """
        if self.value.size != 1:
            raise ShapeError(f"item: expected a value of one element, got shape {self.shape}; index it first")
        return float(self.value.item())

    def acc_grad(self, grad: npt.ArrayLike) -> None:
        """Add to the gradient of this node; nothing happens where none is required.

        Raises:
            ShapeError: When grad has not the shape of the value.
        """
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradient."""
        raise NotImplementedError

    def retain_grad(self) -> None:
        """Keep the gradient in `grad` when a backward passes through. A leaf does so in any case."""

    def _as_gradient(self, grad: npt.ArrayLike) -> Array:
        """Return grad as an array that is known to fit this node."""
        array: Array = np.asarray(grad, dtype=self.value.dtype)
        if array.shape != self.value.shape:
            raise ShapeError(
                f"{self.name or type(self).__name__}: expected a gradient of shape {self.value.shape}, "
                f"that of the value, got {array.shape}"
            )
        return array

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is None:
            return np.asarray(self.value, dtype=dtype)
        return np.array(self.value, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        if self.value.ndim == 0:
            raise TypeError("a node of shape () has no length")
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return self.item()

    def __repr__(self) -> str:
        summary = _summary(self.value)
        label = f" {self.name!r}" if self.name else ""
        grad = ", requires_grad" if self.requires_grad else ""
        return f"<{type(self).__name__}{label} {self.dtype}{self.shape}{grad}: {summary}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mimebundle(self)

    if TYPE_CHECKING:  # Python's operators on nodes; _syntax.py says what each of them is.
        T: Node

        def backward(self, grad: npt.ArrayLike | None = None) -> None: ...
        def __add__(self, other: Operand) -> Node: ...
        def __radd__(self, other: Operand) -> Node: ...
        def __sub__(self, other: Operand) -> Node: ...
        def __rsub__(self, other: Operand) -> Node: ...
        def __mul__(self, other: Operand) -> Node: ...
        def __rmul__(self, other: Operand) -> Node: ...
        def __truediv__(self, other: Operand) -> Node: ...
        def __rtruediv__(self, other: Operand) -> Node: ...
        def __pow__(self, exponent: Operand) -> Node: ...
        def __rpow__(self, base: Operand) -> Node: ...
        def __matmul__(self, other: Operand) -> Node: ...
        def __rmatmul__(self, other: Operand) -> Node: ...
        def __neg__(self) -> Node: ...
        def __abs__(self) -> Node: ...
        def __getitem__(self, index: Any) -> Node: ...
        def __lt__(self, other: Operand) -> npt.NDArray[np.bool_]: ...
        def __le__(self, other: Operand) -> npt.NDArray[np.bool_]: ...
        def __gt__(self, other: Operand) -> npt.NDArray[np.bool_]: ...
        def __ge__(self, other: Operand) -> npt.NDArray[np.bool_]: ...
        def __iter__(self) -> Iterator[Node]: ...
        def abs(self) -> Node: ...
        def argmax(self, axis: int | None = None) -> Any: ...
        def argmin(self, axis: int | None = None) -> Any: ...
        def astype(self, dtype: npt.DTypeLike) -> Node: ...
        def clip(self, low: npt.ArrayLike | None = None, high: npt.ArrayLike | None = None) -> Node: ...
        def cumsum(self, axis: int = -1) -> Node: ...
        def dot(self, other: Operand) -> Node: ...
        def exp(self) -> Node: ...
        def flatten(self) -> Node: ...
        def log(self) -> Node: ...
        def max(self, axis: Axis = None, *, keepdims: bool = False) -> Node: ...
        def mean(self, axis: Axis = None, *, keepdims: bool = False) -> Node: ...
        def min(self, axis: Axis = None, *, keepdims: bool = False) -> Node: ...
        def prod(self, axis: Axis = None, *, keepdims: bool = False) -> Node: ...
        def repeat(self, repeats: int, axis: int = -1) -> Node: ...
        def reshape(self, *shape: Any) -> Node: ...
        def sqrt(self) -> Node: ...
        def squeeze(self, axis: Axis = None) -> Node: ...
        def std(self, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Node: ...
        def sum(self, axis: Axis = None, *, keepdims: bool = False) -> Node: ...
        def swapaxes(self, axis1: int, axis2: int) -> Node: ...
        def take(self, indices: npt.ArrayLike, axis: int = 0) -> Node: ...
        def transpose(self, *axes: Any) -> Node: ...
        def variance(self, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Node: ...


Operand: TypeAlias = Node | Array | float
"""What an operator takes: a node, or a constant array or Python number."""


class Variable(Node):
    """A leaf: a value that was given."""

    __slots__ = ("_grad", "_name")

    def __init__(
        self,
        value: npt.ArrayLike,
        *,
        requires_grad: bool = False,
        name: str = "",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self.value = as_array(value, dtype)
        self.requires_grad = requires_grad
        self.number = next(numbers)
        self._name = name
        self._grad: Any = None

    @property
    def name(self) -> str:
        """What the variable is called in pictures and messages; may be empty."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    @property
    def grad(self) -> Any:
        """The sum of the gradients that have arrived since the last `zero_grad`, or None."""
        return self._grad

    @grad.setter
    def grad(self, grad: npt.ArrayLike | None) -> None:
        self._grad = None if grad is None else self._as_gradient(grad)

    def acc_grad(self, grad: npt.ArrayLike) -> None:
        """Add to the gradient; the first one is copied. Safe from several threads at once.

        Raises:
            ShapeError: When grad has not the shape of the value.
        """
        if self.requires_grad:
            with LOCK:
                self._receive(self._as_gradient(grad), False)

    def _receive(self, grad: Array, owned: bool) -> None:
        """Add a gradient that is known to fit, while LOCK is held; an owned one may be kept without a copy."""
        if self._grad is None:
            self._grad = grad if owned else grad.copy()
        else:
            # Not in place: whoever read `grad` before keeps what was read.
            self._grad = self._grad + grad if self._grad.ndim else np.asarray(self._grad + grad)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._grad = None

    def __getstate__(self) -> dict[str, Any]:
        return {"value": self.value, "requires_grad": self.requires_grad, "name": self._name, "grad": self._grad}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.value, self.requires_grad = state["value"], state["requires_grad"]
        self._name, self._grad = state["name"], state["grad"]
        self.number = next(numbers)


def var(
    value: npt.ArrayLike,
    *,
    requires_grad: bool = False,
    name: str = "",
    dtype: npt.DTypeLike | None = None,
) -> Variable:
    """Make a leaf of the graph.

    Args:
        value: Any shape. Arrays of float32 and float64 are held, not copied; Python numbers become float32.
        requires_grad: Whether backward computes a gradient for it.
        name: What to call it in pictures and messages.
        dtype: float32 or float64, to convert to.

    Raises:
        TypeError: For arrays of another dtype.

    Examples:
        >>> from spago import ag
        >>> x = ag.var([1.0, 2.0], requires_grad=True)
        >>> (x * x).backward()
        >>> x.grad
        array([2., 4.], dtype=float32)
    """
    return Variable(value, requires_grad=requires_grad, name=name, dtype=dtype)


class Constant(Node):
    """A leaf that an operator was given as a plain array or number. It never has a gradient."""

    __slots__ = ()

    def __init__(self, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> None:
        self.value = as_array(value, dtype)
        self.requires_grad = False
        self.number = next(numbers)

    @property
    def name(self) -> str:
        """Empty: a constant is known by its value."""
        return ""

    @property
    def grad(self) -> None:
        """None."""
        return None

    def acc_grad(self, grad: npt.ArrayLike) -> None:
        """Nothing happens: a constant needs no gradient."""

    def zero_grad(self) -> None:
        """Nothing happens: a constant has no gradient."""


class Wrapper(Node):
    """A leaf that shows another node's value and lets no gradient through; made by `ag.stop_grad`."""

    __slots__ = ("wrapped",)

    def __init__(self, wrapped: Node) -> None:
        self.wrapped = wrapped
        self.value = wrapped.value
        self.requires_grad = False
        self.number = next(numbers)

    @property
    def name(self) -> str:
        """The name of the wrapped node."""
        return self.wrapped.name

    @property
    def grad(self) -> None:
        """None; the wrapped node keeps its own gradient."""
        return None

    def acc_grad(self, grad: npt.ArrayLike) -> None:
        """Nothing happens: the gradient stops here."""

    def zero_grad(self) -> None:
        """Nothing happens: the wrapped node keeps its gradient."""


def stop_grad(node: Node) -> Wrapper:
    """Return a leaf with the value of node, through which no gradient flows."""
    return Wrapper(node)


class Operator(Node):
    """The result of an operator, computed when it was created.

    Operators are made by functions such as `ag.add`, never directly. Their gradients are dropped as they are consumed;
    `retain_grad` keeps that of one node.
    """

    __slots__ = ("_held", "_operands", "_pullbacks", "rule")

    rule: Rule
    _operands: tuple[Any, ...]
    _pullbacks: tuple[Pullback | None, ...] | JointPullback | QueuedValue | None
    _held: _HeldGradient | None

    @property
    def name(self) -> str:
        """The name of the operator, such as `Add` or `LogSoftmax`."""
        return self.rule.name

    @property
    def operands(self) -> tuple[Node, ...]:
        """The nodes that this one was computed from, in the order of the operator's arguments."""
        dtype = self.dtype
        return tuple(
            operand if isinstance(operand, Node) else Constant(operand, None if hasattr(operand, "dtype") else dtype)
            for operand in self._operands
            if operand is not None
        )

    @property
    def is_leaf(self) -> bool:
        """False."""
        return False

    @property
    def grad(self) -> Any:
        """What `acc_grad` put here for the next backward and what `retain_grad` kept of the last one, or None."""
        held = self._held
        if held is None:
            return None
        if held.seed is None or held.kept is None:
            return held.kept if held.seed is None else held.seed
        return held.seed + held.kept

    def acc_grad(self, grad: npt.ArrayLike) -> None:
        """Add to the output gradient with which the next backward starts from, or passes through, this node.

        Raises:
            ShapeError: When grad has not the shape of the value.
        """
        if self.requires_grad:
            array = self._as_gradient(grad)
            held = self._hold()
            held.seed = array.copy() if held.seed is None else np.asarray(held.seed + array)

    def zero_grad(self) -> None:
        """Forget the gradient, seeded or retained."""
        if self._held is not None:
            self._held.seed = self._held.kept = None

    def retain_grad(self) -> None:
        """Keep the gradient of this node in `grad` when a backward passes through it."""
        self._hold().retain = True

    def _hold(self) -> _HeldGradient:
        if self._held is None:
            self._held = _HeldGradient()
        return self._held

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy or a pickle of a result is its value: a leaf that drags no graph along.
        return _restore_result, (self.value, self.name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return _restore_result(self.value.copy(), self.name)


def _restore_result(value: Array, name: str) -> Variable:
    return Variable(value, name=name)


class ReleasedOperator(Operator):
    """What `release_graph` turns an operator into: it has forgotten its value, operands and gradient."""

    __slots__ = ()

    @property
    def operands(self) -> tuple[Node, ...]:
        """None: they were released."""
        return ()

    def __repr__(self) -> str:
        return f"<ReleasedOperator {self.rule.name!r}>"


def _released(node: ReleasedOperator) -> Array:
    raise GraphError(f"{node.rule.name}: the value of this node was released by release_graph; compute it again")


VALUE: Any = Node.__dict__["value"]
"""The slot, which a property of a subclass may hide."""

# Not in the class body: to a type checker a property there contradicts the slot of the same name.
setattr(ReleasedOperator, VALUE.__name__, property(_released))


class _HeldGradient:
    """The gradients that an operator keeps from one backward to the next."""

    __slots__ = ("kept", "retain", "seed")

    def __init__(self) -> None:
        self.seed: Any = None
        self.kept: Any = None
        self.retain = False


def _summary(value: Array) -> str:
    return np.array2string(value, precision=4, threshold=8, edgeitems=2, separator=", ").replace("\n", "")
