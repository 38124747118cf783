"""The loss of the softmax policy gradient."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from spago import ag


def spg(log_probs: ag.Operand | Sequence[ag.Operand], rewards: ag.Operand | Sequence[ag.Operand]) -> ag.Node:
    """Loss of the softmax policy gradient: -Σ_t a_t ⊙ r_t, over the steps of an episode.

    Args:
        log_probs: Logarithms a_t of the probabilities of the actions taken, shape (T, ...) or a sequence of T.
        rewards: What each action was worth, r_t, of the same shapes.

    Returns:
        Shape (...), that of one step.

    Raises:
        ShapeError: When the shapes or the numbers of steps differ, or there is no step.

    Source:
        N. Ding, R. Soricut (2017), "Cold-Start Reinforcement Learning with Softmax Policy Gradient", arXiv:1709.09346.
    """
    if isinstance(log_probs, Sequence) and isinstance(rewards, Sequence):
        _check(len(log_probs) == len(rewards) > 0, len(log_probs), len(rewards))
        return -reduce(ag.add, map(_product, log_probs, rewards))
    if isinstance(log_probs, Sequence) or isinstance(rewards, Sequence):
        raise TypeError("spg: expected two sequences or two arrays, got one of each")
    products = _product(log_probs, rewards)
    _check(products.ndim > 0 and len(products) > 0, np.shape(log_probs), np.shape(rewards))
    return -ag.sum(products, axis=0)


def _product(a: ag.Operand, r: ag.Operand) -> ag.Node:
    _check(np.shape(a) == np.shape(r), np.shape(a), np.shape(r))
    return ag.mul(a, r)


def _check(fits: bool, a: Any, r: Any) -> None:
    if not fits:
        raise ag.ShapeError(f"spg: expected a reward for each log-probability, over at least one step, got {a} and {r}")
