"""Dropout."""

from __future__ import annotations

from spago.ag._node import Node, Operand
from spago.ag._rules import Rule, Unary, leaf, unary
from spago.mat import Array, rand

_RULE = Rule("Dropout")
"""The name in messages about what is no operand."""


def dropout(x: Operand, p: float = 0.5, *, rng: rand.LockedRand | None = None) -> Node:
    """Set each element to 0 with probability p, and divide the others by 1 - p.

    With p = 0 the result is x itself.

    Args:
        x: Any shape.
        p: Probability of a zero, from 0 to 1.
        rng: Where random numbers come from, one an element in row-major order; by default the generator of the process,
            see `mat.rand.manual_seed`.

    Raises:
        ValueError: When p is no probability.

    Source: N. Srivastava et al. (2014), "Dropout", Journal of Machine Learning Research 15, section 4.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"Dropout: expected a probability p from 0 to 1, got {p}")
    node = x if isinstance(x, Node) else leaf(x, _RULE)
    if p == 0:
        return node
    # Drawn here, not in the rule, so that the order of draws is that of the calls.
    mask = (rng or rand.default_rng()).bernoulli(node.shape, p, node.dtype)
    if p < 1:
        mask *= 1 / (1 - p)
    return _dropout(node, mask)


@unary
def _dropout(x: Array, mask: Array) -> Unary:
    return x * mask, lambda g: g * mask
