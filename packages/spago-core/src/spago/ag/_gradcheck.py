"""Checking gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.ag._backward import backward_many
from spago.ag._modes import enable_grad, no_grad
from spago.ag._node import Node, Variable
from spago.mat import Array

Results: TypeAlias = Node | Sequence[Node]
"""What a checked function returns."""


class GradientError(AssertionError):
    """A gradient that central differences do not confirm."""


def gradcheck(
    fn: Callable[..., Results],
    inputs: Sequence[npt.ArrayLike | Node],
    *,
    parameters: Iterable[Node] = (),
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> None:
    """Compare the gradients of a function, as backward computes them, with central differences in float64.

    With random weights w for the elements of the results, and a step h = eps · max(1, |x_i|), each element of each
    input must satisfy

        |d_i - Σ w (fn(x + h e_i) - fn(x - h e_i)) / 2h| ≤ atol + rtol · |d_i|

    where d_i is its gradient after backward with output gradients w. Rounding alone leaves an error of some 1e-10 times
    the size of the results; a wrong formula, one of some size.

    Args:
        fn: Takes one node for each input; returns a node, or several. It must give the same for the same.
        inputs: Arrays and numbers become leaves of float64 that require a gradient. Nodes are taken by their value too;
            those that need no gradient are handed on, and not checked.
        parameters: More leaves to check, which fn uses without being handed them: those of a layer. They must be
            float64, are moved in place, and are put back as they were.
        eps: Size of the step.
        rtol: Tolerance relative to the gradient.
        atol: Absolute tolerance.
        seed: Of the random weights.

    Raises:
        GradientError: Says which element of which operand is off, and by how much.
        TypeError: When a parameter is not float64.

    Examples:
        >>> from spago import ag
        >>> ag.gradcheck(lambda x, y: x * ag.tanh(y), [[1.0, 2.0], [0.5, -0.5]])
        >>> @ag.unary
        ... def wrong(x):
        ...     return x**3, lambda g: g * 2 * x**2
        >>> ag.gradcheck(wrong, [[1.0, 2.0]], seed=2)
        Traceback (most recent call last):
        ...
        spago.ag._gradcheck.GradientError: gradcheck: 2 of 2 elements of operand 0 of shape (2,) are off, ...
    """
    operands = [_operand(x) for x in inputs]
    checked: list[tuple[str, Node]] = [(f"operand {i}", x) for i, x in enumerate(operands) if x.requires_grad]
    checked += [(f"parameter {i}{f' {p.name!r}' if p.name else ''}", p) for i, p in enumerate(parameters)]
    for label, leaf in checked:
        if leaf.dtype != np.float64:
            raise TypeError(
                f"gradcheck: expected float64, got {leaf.dtype} for {label}; differences need the precision"
            )

    def values() -> list[Array]:
        with no_grad():
            return [np.array(y.value) for y in _as_tuple(fn(*operands))]

    rng = np.random.default_rng(seed)
    first = values()
    weights = [rng.standard_normal(y.shape) for y in first]
    if any(not np.array_equal(y, z, equal_nan=True) for y, z in zip(first, values(), strict=True)):
        raise GradientError(
            "gradcheck: expected equal results for equal inputs, got different ones; seed its generator"
        )
    gradients = _gradients(lambda: _as_tuple(fn(*operands)), [leaf for _, leaf in checked], weights)
    problems = [
        _compare(label, gradient, _differences(values, leaf.value, weights, eps), rtol, atol)
        for (label, leaf), gradient in zip(checked, gradients, strict=True)
    ]
    found = [problem for problem in problems if problem]
    if found:
        raise GradientError("gradcheck: " + "; ".join(found))


def _operand(x: npt.ArrayLike | Node) -> Variable:
    requires_grad = x.requires_grad if isinstance(x, Node) else True
    value = x.value if isinstance(x, Node) else x
    return Variable(np.array(value, dtype=np.float64), requires_grad=requires_grad)


def _as_tuple(results: Results) -> tuple[Node, ...]:
    return (results,) if isinstance(results, Node) else tuple(results)


def _gradients(run: Callable[[], tuple[Node, ...]], leaves: list[Node], weights: Sequence[Array]) -> list[Array]:
    """Return the gradients that one backward gives to leaves, and leave no trace in them."""
    before = [leaf.grad for leaf in leaves]
    try:
        for leaf in leaves:
            leaf.zero_grad()
        with enable_grad():
            results = run()
            # Weighted by operators, so that a result may also be a leaf, or listed twice.
            backward_many([(y * w).sum() for y, w in zip(results, weights, strict=True)])
        return [np.zeros_like(leaf.value) if leaf.grad is None else np.array(leaf.grad) for leaf in leaves]
    finally:
        for leaf, gradient in zip(leaves, before, strict=True):
            leaf.zero_grad()
            if gradient is not None:
                leaf.acc_grad(gradient)


def _differences(values: Callable[[], list[Array]], x: Array, weights: Sequence[Array], eps: float) -> Array:
    """Return the central differences of Σ weights · values by each element of x, which is moved in place."""
    d = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        before = float(x[i])
        step = eps * max(1.0, abs(before))
        x[i] = above = before + step
        high = values()
        x[i] = below = before - step
        low = values()
        x[i] = before
        # Differences first: the results are larger than what they change by.
        d[i] = sum(float(np.sum(w * (p - n))) for w, p, n in zip(weights, high, low, strict=True)) / (above - below)
    return d


def _compare(label: str, gradient: Array, expected: Array, rtol: float, atol: float) -> str:
    """Return what is wrong with the gradient of one operand; nothing if it is right."""
    excess: Any = np.abs(gradient - expected) - (atol + rtol * np.abs(gradient))
    off = ~(excess <= 0)  # true for nan
    if not off.any():
        return ""
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(excess), np.inf, excess))), off.shape)
    element = tuple(int(i) for i in worst)
    return (
        f"{int(off.sum())} of {off.size} elements of {label} of shape {off.shape} are off, most of all {element}: "
        f"backward gives {gradient[worst]:.4g}, central differences give {expected[worst]:.4g}, "
        f"a difference of {abs(gradient[worst] - expected[worst]):.2g}"
    )
