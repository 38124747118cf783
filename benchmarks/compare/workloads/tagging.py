"""Loss and gradient of a conditional random field, beside the straightforward way in PyTorch."""

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag, nn
from spago.mat import Array

Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@workload(
    "CRF, {B} sentences of up to {T} words, {K} tags, loss and gradient",
    cases=[dict(B=32, T=40, K=20)],
    goals={"PyTorch": 3},
    tolerance=1e-4,
)
def crf(B: int, T: int, K: int) -> Inputs:
    """Scores, tags and lengths; then the scores of transitions, starts and ends."""
    rng = np.random.default_rng(1)
    scores, transitions, start, end = (
        rng.standard_normal(shape, np.float32) for shape in ((B, T, K), (K, K), (K,), (K,))
    )
    lengths = rng.integers(T // 2, T, B, endpoint=True)
    lengths[0] = T
    return scores, rng.integers(0, K, (B, T)), lengths, (transitions, start, end)


@crf.side("spago")
def _(scores: Array, tags: Integers, lengths: Integers, parameters: tuple[Array, ...]) -> Run:
    layer = nn.CRF(scores.shape[-1])
    for parameter, value in zip(layer.parameters(), parameters, strict=True):
        parameter.value[...] = value
    x = ag.var(scores, requires_grad=True)

    def run() -> Results:
        layer.zero_grad()
        x.zero_grad()
        loss = layer(x, tags, lengths)
        loss.backward()
        return loss.value, x.grad, *(parameter.grad for parameter in layer.parameters())

    return run


@crf.side("PyTorch")
def _(scores: Array, tags: Integers, lengths: Integers, parameters: tuple[Array, ...]) -> Run:
    import torch

    from benchmarks.tagger.twin import CRF

    layer = CRF(scores.shape[-1])
    for parameter, value in zip(layer.parameters(), parameters, strict=True):
        parameter.data = torch.tensor(value)
    x, right, counts = torch.tensor(scores, requires_grad=True), torch.tensor(tags), torch.tensor(lengths)

    def run() -> Results:
        layer.zero_grad()
        x.grad = None
        loss = layer.loss(x, right, counts)
        loss.backward()
        return loss, x.grad, *(parameter.grad for parameter in layer.parameters())

    return run
