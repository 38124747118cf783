"""Adapters of the losses."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from golden import Case, Result, adapter
from spago import ag, losses

Config = dict[str, Any]


def _items(c: Config, x: ag.Node) -> int:
    """What a sequence's loss is divided by: the number of items where the reference takes the mean, else 1."""
    return len(x) if c["reduce_mean"] else 1


def _reduction(c: Config) -> losses.Reduction:
    return "mean" if c["reduce_mean"] else "sum"


# The reference has no mean over weights: reduction="sum" keeps the weight of a single item.
LOSSES: dict[str, Callable[..., ag.Node]] = {
    "mae": lambda c, x, y: losses.mae(x, y, _reduction(c)),
    "mse": lambda c, x, y: losses.mse(x, y, _reduction(c), scale=0.5),
    "mae_seq": lambda c, x, y: losses.mae(x, y, "sum") / _items(c, x),
    "mse_seq": lambda c, x, y: losses.mse(x, y, "sum", scale=0.5 / _items(c, x)),
    "nll": lambda _, x, y: losses.nll(ag.log(x), y),
    "cross_entropy": lambda c, x: losses.cross_entropy(x, c["c"]),
    "cross_entropy_seq": lambda c, x: losses.cross_entropy(x, c["target"], reduction=_reduction(c)),
    "weighted_cross_entropy": lambda c, x: losses.cross_entropy(x, c["c"], weight=c["weights"], reduction="sum"),
    "focal_loss": lambda c, x: losses.focal(x, c["c"], c["gamma"]),
    "weighted_focal_loss": lambda c, x: losses.focal(x, c["c"], c["gamma"], weight=c["weights"], reduction="sum"),
    "perplexity": lambda c, x: losses.perplexity(x, c["c"]),
    "zero_one_quantization": lambda _, x: losses.zero_one_quantization(x),
    "norm2_quantization": lambda _, x: losses.norm2_quantization(x),
    "one_hot_quantization": lambda c, x: losses.one_hot_quantization(x, c["q"]),
    "distance": lambda c, x: losses.distance(x, c["target"]),
}


@adapter("loss", *LOSSES)
def _loss(case: Case) -> Result:
    inputs = [ag.var(x, requires_grad=True) for x in case.inputs]
    loss = LOSSES[case.name](case.decoded("config"), *inputs)
    _backward(loss, case)
    return Result([loss.value], [x.grad for x in inputs])


@adapter("loss", "spg")
def _spg(case: Case) -> Result:
    actions, rewards = ([ag.var(x, requires_grad=True) for x in sequence] for sequence in case.inputs)
    loss = losses.spg(actions, rewards)
    _backward(loss, case)
    return Result([loss.value], [_gradients(actions), _gradients(rewards)])


def _gradients(steps: Sequence[ag.Node]) -> list[Any]:
    return [x.grad for x in steps]


def _backward(loss: ag.Node, case: Case) -> None:
    if case.output_grads is not None:
        loss.backward(np.reshape(case.output_grads[0], loss.shape))
