"""Einstein's summation convention."""

from __future__ import annotations

from itertools import chain
from string import ascii_letters
from typing import Any

import numpy as np

from spago.ag._node import Node, Operand
from spago.ag._rules import Joint, operator
from spago.mat import Array, ShapeError


def einsum(subscripts: str, *operands: Operand) -> Node:
    """Sum of products over named axes, as `numpy.einsum` has it, with `...` and with axes named twice.

    Args:
        subscripts: The axes of each operand, and after `->` those of the result; without `->`, the axes that are named
            once, in alphabetical order.
        operands: Any shapes that the names fit; an axis of size 1 is broadcast.

    Raises:
        ShapeError: When the names do not fit the shapes.

    Examples:
        >>> from spago import ag
        >>> a, b = ag.var([[1.0, 2.0]]), ag.var([[3.0, 4.0]])
        >>> ag.einsum("td,sd->ts", a, b).value
        array([[11.]], dtype=float32)
    """
    y: Node = _einsum(*operands, subscripts=subscripts)
    return y


@operator
def _einsum(*xs: Array, subscripts: str) -> Joint:
    terms, out = _parse(subscripts, xs)
    y = _contract(terms, xs, out)

    def gradient(i: int, g: Array) -> Array:
        """The gradient is a sum of products too: operand i and the result change places."""
        names = "".join(dict.fromkeys(terms[i]))
        others = [(terms[j], x) for j, x in enumerate(xs) if j != i]
        known = set(chain(out, *(term for term, _ in others)))
        # Over an axis that operand i alone has, and the result has not, the gradient is constant.
        sizes = dict(zip(terms[i], xs[i].shape, strict=True))
        ones = [(name, np.ones(sizes[name], g.dtype)) for name in names if name not in known]
        factors = [(out, g), *others, *ones]
        d = _contract([term for term, _ in factors], [x for _, x in factors], names)
        # An axis of size 1 was broadcast: the gradient is summed along it here, or repeated along that of the others.
        shape = tuple(sizes[name] for name in names)
        d = np.broadcast_to(np.sum(d, _axes_of_one(shape), keepdims=True), shape)
        if len(names) == len(terms[i]):
            return d
        # An axis named twice selects a diagonal: everything beside it has gradient 0.
        full = np.zeros(xs[i].shape, g.dtype)
        diagonal: Array = np.einsum(f"{terms[i]}->{names}", full)
        diagonal[...] = d
        return full

    return y, lambda g, needs: tuple(gradient(i, g) if need else None for i, need in enumerate(needs))


def _axes_of_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i, n in enumerate(shape) if n == 1)


def _contract(terms: list[str], xs: Any, out: str) -> Array:
    # The order of products and the use of matrix products are worth finding out only where there is work to save.
    large = len(xs) > 1 and sum(x.size for x in xs) > 1000
    y: Array = np.einsum(f"{','.join(terms)}->{out}", *xs, optimize=large)
    return y


def _parse(subscripts: str, xs: tuple[Array, ...]) -> tuple[list[str], str]:
    """Return the axes of operands and result, one letter an axis, `...` replaced by letters.

    Raises:
        ShapeError: When the names do not fit the shapes.
    """
    text = subscripts.replace(" ", "")
    left, arrow, out = text.partition("->")
    terms = left.split(",")
    shapes = [x.shape for x in xs]
    problem = ShapeError(f"Einsum: expected subscripts that fit shapes {shapes}, got {subscripts!r}")
    if len(terms) != len(xs) or not set(text.replace("...", "")) <= set(ascii_letters + ",->"):
        raise problem
    free = [name for name in ascii_letters if name not in text]
    hidden = [x.ndim - len(term.replace("...", "")) for term, x in zip(terms, xs, strict=True)]
    if any(n < 0 or (n and "..." not in term) for n, term in zip(hidden, terms, strict=True)):
        raise problem
    rest = free[: max((n for n, term in zip(hidden, terms, strict=True) if "..." in term), default=0)]
    named = "".join(terms).replace("...", "")
    if not arrow:
        out = "..." * ("..." in left) + "".join(sorted(name for name in set(named) if named.count(name) == 1))
    terms = [term.replace("...", "".join(rest[len(rest) - n :])) for n, term in zip(hidden, terms, strict=True)]
    out = out.replace("...", "".join(rest))
    sizes: dict[str, int] = {}
    for name, size in zip("".join(terms), chain.from_iterable(shapes), strict=True):
        if sizes.setdefault(name, size) == 1:
            sizes[name] = size
        if size not in (1, sizes[name]):
            raise problem
    if len(set(out)) < len(out) or not set(out) <= set(sizes):
        raise problem
    return terms, out
