"""Gradients of weights that are used many times: products that are collected and taken at once."""

from __future__ import annotations

import numpy as np
import pytest

from spago import ag
from spago.mat import Array

OUT, IN = 40, 30
"""A weight large enough for its products to be collected."""


def random(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("rows", [(), (1,), (5,), (2, 3), (100,)])
@pytest.mark.parametrize("uses", [1, 2, 300])
def test_the_gradient_is_the_sum_over_all_uses(rows: tuple[int, ...], uses: int) -> None:
    weight, bias = ag.var(random(OUT, IN), requires_grad=True), ag.var(random(OUT), requires_grad=True)
    xs, gs = random(uses, *rows, IN, seed=2), random(uses, *rows, OUT, seed=3)
    ys = ag.stack([ag.linear(x, weight, bias) for x in xs])
    for times in (1, 2):
        ys.backward(gs)
        np.testing.assert_allclose(
            weight.grad, times * gs.reshape(-1, OUT).T @ xs.reshape(-1, IN), rtol=1e-12, atol=1e-12
        )
        np.testing.assert_allclose(bias.grad, times * gs.reshape(-1, OUT).sum(axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("first", [True, False])
def test_other_gradients_of_the_weight_are_added(first: bool) -> None:
    weight, x = ag.var(random(OUT, IN), requires_grad=True), random(IN)
    parts = [ag.sum(ag.linear(x, weight)), ag.sum(weight * weight), ag.sum(weight[0])]
    total = ag.sum(ag.linear(x, weight))
    for part in parts if first else reversed(parts):
        total = total + part
    total.backward()
    expected = 2 * np.outer(np.ones(OUT), x) + 2 * weight.value
    expected[0] += 1
    np.testing.assert_allclose(weight.grad, expected, rtol=1e-13)


def test_a_weight_that_was_computed_gets_an_array() -> None:
    base = ag.var(random(OUT, IN), requires_grad=True)
    weight = base * 2.0
    xs = random(3, IN, seed=2)
    ag.sum(ag.stack([ag.linear(x, weight) for x in xs])).backward()
    np.testing.assert_allclose(base.grad, 2 * np.outer(np.ones(OUT), xs.sum(axis=0)), rtol=1e-13)


def test_a_narrow_weight_gets_a_narrow_gradient() -> None:
    weight = ag.var(random(OUT, IN).astype(np.float32), requires_grad=True)
    (ag.sum(ag.linear(random(IN), weight)) + ag.sum(ag.linear(random(2, IN), weight))).backward()
    assert weight.grad.dtype == np.float32


def test_the_gradient_is_not_an_array_of_the_graph() -> None:
    weight, x, g = ag.var(random(OUT, IN), requires_grad=True), random(1, IN), random(1, OUT)
    ag.linear(x, weight).backward(g)
    before = g.copy(), x.copy()
    weight.grad[...] = 0
    np.testing.assert_array_equal(g, before[0])
    np.testing.assert_array_equal(x, before[1])


def test_a_gradient_that_is_infinite_is_found_where_it_arises() -> None:
    weight = ag.var(random(OUT, IN), requires_grad=True)
    with ag.detect_anomaly(), pytest.raises(ag.GraphError, match="Linear"):
        ag.linear(np.ones(IN), weight).backward(np.full(OUT, np.inf))
