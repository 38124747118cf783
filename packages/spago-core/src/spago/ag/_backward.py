"""The engine: gradients flow from the roots to the leaves, in descending order of creation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from heapq import heappop, heappush
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.ag._anomaly import check_gradient
from spago.ag._gradients import Outer, OuterSum, Parts, RowGradient, RowSelections, Scatter, sum_to_shape
from spago.ag._modes import mode
from spago.ag._node import LOCK, GraphError, Node, Operator, ReleasedOperator, Variable
from spago.ag._queue import await_value, worth_queueing
from spago.ag._threads import Task, line
from spago.ag._time_steps import TimeStepHandler
from spago.mat import Array, ShapeError

ndarray: Any = np.ndarray


def backward(
    root: Node,
    grad: npt.ArrayLike | None = None,
    *,
    time_steps: TimeStepHandler | None = None,
    back_steps: int | None = None,
) -> None:
    """Propagate gradients from root to the leaves it was computed from, where they accumulate.

    The gradient that root starts with is grad; or what was put on it by `acc_grad`; or ones. Gradients of results on
    the way are dropped as they are consumed, unless `retain_grad` asked for them. A leaf as root is left alone. Nothing
    changes in any leaf when an error occurs on the way.

    Args:
        root: A node of any shape.
        grad: The gradient of root, of its shape.
        time_steps: With back_steps, truncated back-propagation; see `TimeStepHandler`.
        back_steps: How many time steps to go back.

    Raises:
        GraphError: When root needs no gradient, when a gradient is given to a node that already has one from
            `acc_grad`, when part of the graph was released, or when a rule returns too many or too few gradients.
        ShapeError: When grad has not the shape of root.

    Examples:
        >>> from spago import ag
        >>> a, b = ag.var(2.0, requires_grad=True), ag.var(5.0, requires_grad=True)
        >>> ag.backward(a * b, 0.5)
        >>> float(a.grad), float(b.grad)
        (2.5, 1.0)
    """
    if not root.requires_grad:
        raise GraphError(
            f"{root.name or type(root).__name__}: expected a node that requires a gradient for backward, got one of "
            f"shape {root.shape} that does not; was it made inside no_grad, or from leaves without requires_grad=True?"
        )
    if not isinstance(root, Operator):
        return
    seeded = root._held is not None and root._held.seed is not None
    if grad is None:
        seed = None if seeded else _ones_like(root.value)
    elif seeded:
        raise GraphError(
            f"{root.rule.name}: a gradient was passed to backward, but the node already has one from acc_grad; "
            "pass none, or call zero_grad first"
        )
    else:
        seed = root._as_gradient(grad)
    pass_ = _Pass()
    pass_.start(root, seed)
    pass_.run(_cut(time_steps, back_steps))
    pass_.deliver()


def backward_many(
    roots: Iterable[Node],
    *,
    time_steps: TimeStepHandler | None = None,
    back_steps: int | None = None,
) -> None:
    """Propagate gradients from several roots at once; each part of the graph is passed once.

    Each root starts with what `acc_grad` put on it, else with ones. A root that another root depends on receives its
    start and what flows to it. A root that is listed twice counts once.

    Raises:
        GraphError: As `backward`.
    """
    pass_ = _Pass()
    for root in dict.fromkeys(roots):
        if isinstance(root, Operator) and root.requires_grad:
            seeded = root._held is not None and root._held.seed is not None
            pass_.start(root, None if seeded else _ones_like(root.value))
    pass_.run(_cut(time_steps, back_steps))
    pass_.deliver()


def release_graph(*roots: Node) -> None:
    """Forget values, operands and gradients of all results that roots were computed from, roots included.

    Leaves stay as they are. A graph is freed anyway when its last node is; this frees it while nodes are still held.
    """
    stack: list[Any] = list(roots)
    while stack:
        node = stack.pop()
        if isinstance(node, Operator) and not isinstance(node, ReleasedOperator):
            stack.extend(node._operands)
            if node.queued:
                await_value(node)
            del node.value
            node._operands, node._pullbacks, node._held = (), None, None
            node.__class__ = ReleasedOperator


def _ones_like(value: Any) -> Any:
    if not value.ndim:
        return value.dtype.type(1)
    ones = np.empty(value.shape, value.dtype)
    ones.fill(1)
    return ones


def _cut(time_steps: TimeStepHandler | None, back_steps: int | None) -> float:
    """Return the creation number below which no operator is propagated through."""
    if time_steps is None or back_steps is None or back_steps < 0:
        return -1
    return time_steps.start_of(time_steps.current - back_steps + 1)


Visit: TypeAlias = tuple[int, Any]
"""An operator whose turn will come, behind its creation number negated."""


class _Pass:
    """One backward pass: the gradients that have arrived at nodes and have not been passed on yet.

    Attributes:
        gradients: By node. When all operators have passed theirs on, what is left are those of the leaves.
        owned: The nodes whose gradient is an array of this pass alone, which can be added to in place.
        heap: The operators among the nodes, behind their creation numbers negated: the latest comes first.
        kept: Gradients that nodes asked to keep, or at which the pass is cut off.
        used: The operators whose gradients from `acc_grad` went into this pass.
    """

    def __init__(self) -> None:
        self.gradients: dict[Any, Any] = {}
        self.owned: set[Any] = set()
        self.heap: list[Visit] = []
        self.kept: list[tuple[Any, Any]] = []
        self.used: list[Any] = []

    def start(self, root: Operator, seed: Any) -> None:
        """Put a gradient on a root; None where the root has one of its own from `acc_grad`."""
        self.gradients[root] = np.zeros_like(root.value) if seed is None else seed
        self.visit(root)

    def run(self, cut: float) -> None:
        """Run the pullbacks of all operators that gradients reach, the latest first."""
        note = mode.note_backward
        if note is None:
            self.propagate(cut, heappop)
            return

        def noting_pop(heap: list[Visit]) -> Visit:
            visit = heappop(heap)
            note(visit[1])
            return visit

        try:
            self.propagate(cut, noting_pop)
        finally:
            note(None)

    def propagate(self, cut: float, pop: Callable[[list[Visit]], Visit]) -> None:  # noqa: PLR0912, PLR0915 - in line, for its speed
        """Run the pullbacks in the order in which `pop` takes operators from the heap."""
        gradients, owned, heap = self.gradients, self.owned, self.heap
        watched = mode.anomaly
        large = float("inf") if watched else line.large
        pullbacks: Any
        d: Any
        while heap:
            _, node = pop(heap)
            g = gradients.pop(node)
            if node._held is not None:
                g = g.result() if type(g) is Task else g
                g = self.hold(node, g, cut_off=node.number < cut)
            if node.number < cut:
                self.kept.append((node, g.result() if type(g) is Task else g))
                continue
            if node.value.nbytes > large or type(g) is Task:
                if worth_queueing(node, g) and node._pullbacks is not None:
                    self.queue(node, g)
                    continue
                g = g.result() if type(g) is Task else g
            pullbacks = node._pullbacks
            shared = False
            joint = type(pullbacks) is not tuple
            if joint:
                pullbacks, shared = _joint_gradients(node, g)
            for operand, pullback in zip(node._operands, pullbacks):  # noqa: B905 - strict=True costs 0.1 µs a node
                if pullback is None:
                    continue
                d = pullback if joint else pullback(g)
                if type(d) is not ndarray and (type(d) is Scatter or type(d) is Outer or type(d) is Parts):
                    if watched and not isinstance(d, Parts):
                        check_gradient(node, operand, d.values)
                    self.add(operand, d)
                    continue
                # An array that this pullback made is no one else's, unless a view of it is.
                fresh = d is not g and d.base is None and not shared
                value = operand.value
                if d.shape != value.shape:
                    d = _fit(node, operand, d)
                if d.dtype is not value.dtype:
                    d = d.astype(value.dtype)
                if watched:
                    check_gradient(node, operand, d)
                before = gradients.get(operand)
                if before is not None:
                    # Most nodes in between are used once; what is used often is a leaf, and its sum of this pass.
                    if type(before) is ndarray and operand in owned and before.ndim:
                        np.add(before, d, before)
                    else:
                        self.add(operand, d)
                    continue
                gradients[operand] = d
                if fresh:
                    owned.add(operand)
                if isinstance(operand, Operator):
                    heappush(heap, (-operand.number, operand))

    def queue(self, node: Operator, g: Any) -> None:
        """Let other threads run the pullbacks of a large element-wise result."""
        pullbacks: Any = node._pullbacks
        for operand, pullback in zip(node._operands, pullbacks, strict=True):
            if pullback is None:
                continue
            run = partial(_fitting_gradient, node, operand, pullback)
            self.add(operand, Task(run, [g]) if type(g) is Task else Task(partial(run, g)))

    def visit(self, node: Any) -> None:
        """Have the pullbacks of an operator run when its turn comes; a leaf is at the end of its way."""
        if isinstance(node, Operator):
            heappush(self.heap, (-node.number, node))

    def add(self, node: Any, d: Any) -> None:
        """Add d to what has arrived at node so far."""
        gradients, owned = self.gradients, self.owned
        before: Any = gradients.get(node)
        if node not in gradients:
            self.visit(node)
        if type(d) is Scatter and node.takes_rows and self.add_rows(node, before, d):
            return
        if type(d) is Outer:
            if not isinstance(node, Operator) and (before is None or type(before) is OuterSum):
                gradients.setdefault(node, OuterSum()).add(d)
                return
            d = d.values.astype(node.dtype, copy=False)
            if before is None:
                gradients[node] = d
                owned.add(node)
                return
        if type(before) is RowSelections or type(before) is OuterSum:
            before = self.made_dense(node, before)
        if isinstance(before, Task) or isinstance(d, Task):
            self.add_later(node, before, d)
        elif type(d) is Parts:
            gradients[node] = d if before is None else before.merged(d)
        elif type(d) is Scatter:
            if before is None or node not in owned:
                # The array that came first may be shared with another operand: write to a copy of it.
                before = gradients[node] = np.zeros_like(node.value) if before is None else np.array(before)
                owned.add(node)
            d.add_to(before)
        elif node in owned and before.ndim:
            before += d
        else:
            gradients[node] = before + d
            owned.add(node)

    def add_rows(self, node: Any, before: Any, d: Scatter) -> bool:
        """Note d with the rows that have arrived at a leaf so far; False when what has arrived is more than rows."""
        rows = d.rows(node.shape) if before is None or type(before) is RowSelections else None
        if rows is None:
            return False
        selections = self.gradients.setdefault(node, RowSelections())
        selections.parts.append((rows, d.values.astype(node.dtype, copy=False)))
        return True

    def made_dense(self, leaf: Any, collected: RowSelections | OuterSum) -> Any:
        """Make the gradient of a leaf an array, at which more arrives than rows, or than products."""
        if isinstance(collected, OuterSum):
            dense = collected.dense().astype(leaf.dtype, copy=False)
        else:
            dense = RowGradient.total(collected.parts, leaf.shape).dense()
        self.gradients[leaf] = dense
        self.owned.add(leaf)
        return dense

    def add_later(self, node: Any, before: Any, d: Any) -> None:
        """Add d to what has arrived at node so far, where one of the two is still being computed."""
        if before is None:
            self.gradients[node] = d
        elif isinstance(before, Task) and isinstance(d, Task):
            self.gradients[node] = Task(_sum, [before, d])
        elif isinstance(d, Task):
            self.gradients[node] = Task(partial(_sum, before), [d])
        elif type(d) is Scatter:
            self.gradients[node] = before.result()
            self.add(node, d)
        else:
            self.gradients[node] = Task(partial(_sum, d), [before])
        self.owned.discard(node)

    def hold(self, node: Operator, g: Any, *, cut_off: bool) -> Any:
        """Add what `acc_grad` put on node, and keep the sum where `retain_grad` asks for it."""
        held = node._hold()
        if held.seed is not None:
            g = g + held.seed
            self.used.append(node)
        if held.retain and not cut_off:
            self.kept.append((node, g))
        return g

    def deliver(self) -> None:
        """Hand leaves and nodes their gradients: the first moment at which anything outside this pass changes."""
        if not {ndarray}.issuperset(map(type, self.gradients.values())):
            for leaf, g in self.gradients.items():
                self.gradients[leaf] = self.finished(leaf, g)
        with LOCK:
            for leaf, g in self.gradients.items():
                if type(g) is RowGradient:
                    leaf._receive_rows(g)
                elif isinstance(leaf, Variable):
                    leaf._receive(g, leaf in self.owned)
                else:
                    leaf.acc_grad(g)
        for node in self.used:
            node._held.seed = None
        for node, g in self.kept:
            held = node._hold()
            held.kept = np.array(g) if held.kept is None else np.asarray(held.kept + g)

    def finished(self, leaf: Any, g: Any) -> Array | RowGradient:
        """Return what has arrived at a leaf, where it is not an array yet."""
        if type(g) is RowSelections:
            return RowGradient.total(g.parts, leaf.shape)
        if type(g) is OuterSum:
            self.owned.add(leaf)
            return g.dense().astype(leaf.dtype, copy=False)
        if type(g) is Task:
            g = g.result()
            self.owned.add(leaf)
        return np.asarray(g)


def _joint_gradients(node: Operator, g: Any) -> tuple[list[Any], bool]:
    """Run the pullback of a general operator.

    Returns:
        The gradient of each operand, None where none is needed; and whether two of them share memory, with each other
        or with one that has come from a result, so that they must not be added to in place.
    """
    pullback: Any = node._pullbacks
    if pullback is None:
        raise GraphError(f"{node.rule.name}: its graph was released by release_graph; compute it again")
    needs = tuple([x is not None and x.requires_grad for x in node._operands])
    arrived: list[Any] = g.gradients if type(g) is Parts else []
    gradients: list[Any] = list(pullback(tuple(arrived) or g, needs))
    if len(gradients) != len(needs):
        raise GraphError(f"{node.rule.name}: expected {len(needs)} gradients, one an operand, got {len(gradients)}")
    owners: set[int] = set()
    arrays = 0
    for d in (*arrived, *gradients) if arrived else gradients:
        if isinstance(d, ndarray):
            owners.add(id(d if d.base is None else d.base))
            arrays += 1
    if False in needs:
        gradients = [d if need else None for d, need in zip(gradients, needs, strict=True)]
    return gradients, len(owners) < arrays


def _sum(a: Any, b: Any) -> Any:
    return a + b


def _fitting_gradient(node: Operator, operand: Any, pullback: Any, g: Any) -> Any:
    """Return what a pullback of node gives, in the shape and dtype of its operand."""
    d = pullback(g)
    shared = d is g or d.base is not None
    if d.shape != operand.value.shape:
        d = _fit(node, operand, d)
    # A leaf keeps what it gets.
    return d.astype(operand.value.dtype, copy=shared and not isinstance(operand, Operator))


def _fit(node: Operator, operand: Node, d: Any) -> Any:
    """Return a gradient in the shape of its operand, which was broadcast."""
    if node.rule.broadcasts:
        return sum_to_shape(d, operand.shape)
    raise ShapeError(
        f"{node.rule.name}: expected a gradient of shape {operand.shape} for operand {operand.name or 'without name'}, "
        f"got {d.shape}; a pullback must return the shape of its operand"
    )
