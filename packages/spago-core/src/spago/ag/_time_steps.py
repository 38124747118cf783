"""Time steps, for truncated back-propagation and for pictures that show a sequence step by step."""

from __future__ import annotations

from bisect import bisect_right

from spago.ag._node import Node, Operator, Variable, Wrapper, numbers


class TimeStepHandler:
    """Marks where in the creation order of nodes each time step begins.

    Step 0 begins when the handler is made. Several handlers can be in use at once.

    Truncated back-propagation, `ag.backward(y, time_steps=handler, back_steps=n)`, does not pass through operators
    of time step `handler.current - n` or earlier. Such an operator still receives and keeps the gradient that arrives
    from later ones. Leaves are never cut off. A negative n means no truncation.

    Examples:
        >>> from spago import ag
        >>> w = ag.var(2.0, requires_grad=True)
        >>> steps, h = ag.TimeStepHandler(), w * 1.0
        >>> for _ in range(3):
        ...     steps.next()
        ...     h = h * w
        >>> ag.backward(h, time_steps=steps, back_steps=1)
        >>> float(w.grad)
        8.0
    """

    def __init__(self) -> None:
        self._starts = [next(numbers)]

    @property
    def current(self) -> int:
        """The number of the current time step, from 0."""
        return len(self._starts) - 1

    def next(self) -> None:
        """Begin the next time step: nodes created from now on belong to it."""
        self._starts.append(next(numbers))

    def step_of(self, node: Node) -> int:
        """Return the time step in which node was created; 0 for parameters and other lasting leaves."""
        if type(node) not in (Variable, Wrapper) and not isinstance(node, Operator):
            return 0
        return max(0, bisect_right(self._starts, node.number) - 1)

    def start_of(self, step: int) -> float:
        """Return the creation number at which a step begins; -1 for the first, ∞ for those to come."""
        if step <= 0:
            return -1
        return self._starts[step] if step < len(self._starts) else float("inf")
