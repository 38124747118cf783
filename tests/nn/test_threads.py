"""What is still being computed by other threads sees the parameters as they were when it was asked for."""

from __future__ import annotations

import time

import numpy as np
import pytest

from spago import ag, losses, nn, optim
from spago.ag._rules import Unary
from spago.ag._threads import LARGE, LARGE_SUM
from spago.mat import Array

N = LARGE // 8 + 1


@ag.elementwise
def slow(x: Array) -> Unary:
    time.sleep(0.05)
    return x + 1, lambda g: g


@pytest.mark.parametrize("change", ["step", "load"])
def test_a_queued_result_does_not_see_a_later_change(change: str) -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Param(np.zeros(N))

    before, model = ag.get_num_threads(), Scale()
    ag.set_num_threads(2)
    try:
        model.weight.acc_grad(np.ones(N))
        y = slow(model.weight)
        if change == "step":
            optim.SGD(model, learning_rate=1.0).step()
        else:
            model.load_state_dict({"weight": np.full(N, -1.0)})
        np.testing.assert_array_equal(y.value, np.ones(N))
        np.testing.assert_array_equal(model.weight.value, np.full(N, -1.0))
    finally:
        ag.set_num_threads(before)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_large_batches_are_reduced_as_small_ones_are(reduction: losses.Reduction) -> None:
    before, (x, y) = ag.get_num_threads(), np.random.default_rng(0).normal(size=(2, LARGE_SUM // 8 + 1))
    ag.set_num_threads(2)
    try:
        prediction = ag.var(x, requires_grad=True)
        loss = losses.mse(ag.tanh(prediction), y, reduction=reduction)
        loss.backward()
    finally:
        ag.set_num_threads(before)
    squares = (np.tanh(x) - y) ** 2
    expected = {"mean": squares.mean(), "sum": squares.sum(), "none": squares}[reduction]
    np.testing.assert_allclose(loss.value, expected, rtol=1e-12)
    share = 1 / x.size if reduction == "mean" else 1.0
    np.testing.assert_allclose(prediction.grad, share * 2 * (np.tanh(x) - y) * (1 - np.tanh(x) ** 2), rtol=1e-9)
