"""Cross-entropy over a large vocabulary: the last step of every language model."""

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag, losses
from spago.mat import Array

Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@workload(
    "cross-entropy of {B}×{V}, forward and backward",
    cases=[dict(B=64, V=32_000), dict(B=64, V=100)],
    goals={"PyTorch": 1, "NumPy": 1 / 1.2},
)
def cross_entropy(B: int, V: int) -> Inputs:
    """Scores and the right classes."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((B, V), np.float32), rng.integers(0, V, B)


@cross_entropy.side("spago")
def _(scores: Array, classes: Integers) -> Run:
    x = ag.var(scores, requires_grad=True)

    def run() -> Results:
        x.zero_grad()
        loss = losses.cross_entropy(x, classes)
        loss.backward()
        return loss.value, x.grad

    return run


@cross_entropy.side("NumPy")
def _(scores: Array, classes: Integers) -> Run:
    rows = np.arange(len(scores))

    def run() -> Results:
        p = scores - scores.max(axis=-1, keepdims=True)
        right = p[rows, classes]
        np.exp(p, out=p)
        total = p.sum(axis=-1)
        loss = (np.log(total) - right).mean()
        p /= (total * np.float32(len(rows)))[:, None]
        p[rows, classes] -= np.float32(1 / len(rows))
        return loss, p

    return run


@cross_entropy.side("PyTorch")
def _(scores: Array, classes: Integers) -> Run:
    import torch

    x, right = torch.tensor(scores, requires_grad=True), torch.tensor(classes)

    def run() -> Results:
        x.grad = None
        loss = torch.nn.functional.cross_entropy(x, right)
        loss.backward()
        return loss, x.grad

    return run
