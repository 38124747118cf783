"""Losses: how far predictions are from targets, as a node to go backward from.

Predictions are the first argument, targets the second. `reduction` says what becomes of the losses of a batch: their
"mean" (the default), their "sum", or "none" to keep them. Losses of classes are per item, with the classes on the last
axis; those of numbers are per element. Targets are never broadcast to predictions.

Examples:
    >>> from spago import ag, losses
    >>> logits = ag.var([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
    >>> loss = losses.cross_entropy(logits, [0, 1])
    >>> loss.backward()
    >>> logits.grad.shape
    (2, 2)
"""

from spago.losses._cross_entropy import cross_entropy, focal, perplexity
from spago.losses._mae import distance, mae
from spago.losses._mse import mse
from spago.losses._nll import nll
from spago.losses._quantization import norm2_quantization, one_hot_quantization, zero_one_quantization
from spago.losses._reduction import Reduction
from spago.losses._spg import spg

__all__ = [
    "Reduction",
    "cross_entropy",
    "distance",
    "focal",
    "mae",
    "mse",
    "nll",
    "norm2_quantization",
    "one_hot_quantization",
    "perplexity",
    "spg",
    "zero_one_quantization",
]
