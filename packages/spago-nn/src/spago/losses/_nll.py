"""The negative log-likelihood."""

from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.losses._reduction import Reduction, reduce
from spago.losses._targets import class_targets
from spago.mat import Array, ShapeError


def nll(
    log_probs: ag.Operand,
    targets: ag.Node | npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    ignore_index: int | None = -100,
    reduction: Reduction = "mean",
) -> ag.Node:
    """Negative log-likelihood: -w_c · log_probs_c for target c, or -Σ_k y_k · log_probs_k for a distribution y.

    As in PyTorch, unlike in the reference, logarithms come in: `ag.log_softmax(scores)`, or `ag.log(probabilities)`.
    From scores, `cross_entropy` is the same in one operator.

    Args:
        log_probs: Logarithms of probabilities, shape (..., K).
        targets: Classes, integers in [0, K), shape (...); or distributions over them, a node or an array of floats of
            shape (..., K). A node receives a gradient when it asks for one.
        weight: For classes, what each counts, shape (K,).
        ignore_index: For classes, the target of items that do not count.
        reduction: "mean" divides by the sum of the weights of the targets, or by the number of distributions.

    Raises:
        ValueError: For a target that is no class.
        ShapeError: When the shapes do not fit.

    Examples:
        >>> from spago import ag, losses
        >>> losses.nll(ag.var([[-1.0, -2.0], [-3.0, -4.0]]), [0, 1]).item()
        2.5
    """
    if isinstance(targets, ag.Node):
        return _distribution_nll(log_probs, targets, reduction)
    given: npt.NDArray[Any] = np.asarray(targets)
    if given.dtype.kind == "f" and given.size:
        return _distribution_nll(log_probs, given, reduction)
    return _class_nll(log_probs, given, weight, ignore_index, reduction)


@ag.unary
def _class_nll(
    log_probs: Array,
    targets: npt.ArrayLike,
    weight: npt.ArrayLike | None,
    ignore_index: int | None,
    reduction: Reduction,
) -> ag.Unary:
    target = class_targets(log_probs, targets, weight, ignore_index, "nll")
    x = log_probs.reshape(-1, log_probs.shape[-1])
    items = np.arange(len(x))
    weights: Any = 1 if target.weights is None else target.weights
    losses: Array = -weights * x[items, target.classes]
    if target.ignored is not None:
        losses[target.ignored] = 0
    loss, share = reduce(losses.reshape(log_probs.shape[:-1]), reduction, "nll", target.count)

    def pullback(g: Any) -> Array:
        d = np.zeros_like(x)
        d[items, target.classes] = np.reshape(g * -share, -1) * weights
        return d.reshape(log_probs.shape)

    return loss, pullback


@ag.binary
def _distribution_nll(log_probs: Array, y: Array, reduction: Reduction) -> ag.Binary:
    if np.shape(log_probs) != np.shape(y) or not np.ndim(y):
        raise ShapeError(
            f"nll: expected log-probabilities and distributions of one shape (..., K), "
            f"got {np.shape(log_probs)} and {np.shape(y)}; classes are integers"
        )
    loss, share = reduce(-np.add.reduce(y * log_probs, axis=-1), reduction, "nll")
    per_item = reduction == "none"

    def along(g: Any) -> Any:
        return (g[..., None] if per_item else g) * -share

    return loss, lambda g: along(g) * y, lambda g: along(g) * log_probs
