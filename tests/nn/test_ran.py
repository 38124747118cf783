"""The importance of inputs in a recurrent additive network."""

from __future__ import annotations

import numpy as np
import pytest

from layer_table import batch
from spago import ag, nn
from spago.mat import ShapeError

B, T, D, H = 2, 5, 3, 4


def a_ran() -> nn.RAN:
    rng = np.random.default_rng(1)
    ran = nn.RAN(D, H, dtype=np.float64)
    for parameter in ran.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    return ran


def test_constant_gates_give_powers() -> None:
    """Gates i = 0.5 and f = 0.731…: an input weighs half at its own step, and less by f with each one more."""
    ran = nn.RAN(1, 1, dtype=np.float64)
    for parameter in ran.parameters():
        parameter.value[...] = 0
    ran.bias.value[1] = 1
    f = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(
        ran.importance(np.ones((3, 1))), [[0.5, 0, 0], [0.5 * f, 0.5, 0], [0.5 * f * f, 0.5 * f, 0.5]], rtol=1e-14
    )


def test_with_one_unit_it_is_the_share_of_each_input_in_the_cell() -> None:
    rng = np.random.default_rng(2)
    ran = nn.RAN(D, 1, dtype=np.float64)
    for parameter in ran.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    xs = batch(T, D)
    candidates = ran.project(ag.var(xs)).value[:, 2]
    cells, state = [], None
    for x in xs:
        state = ran.next(x, state)
        cells.append(state.c.item())
    np.testing.assert_allclose(ran.importance(xs) @ candidates, cells, rtol=1e-12)


def test_a_batch_is_its_sequences_one_by_one() -> None:
    ran, xs = a_ran(), batch(B, T, D)
    weights = ran.importance(xs)
    assert weights.shape == (B, T, T)
    for b in range(B):
        np.testing.assert_allclose(weights[b], ran.importance(xs[b]), rtol=1e-12)


def test_steps_that_follow_do_not_matter() -> None:
    ran, xs = a_ran(), batch(T, D)
    np.testing.assert_allclose(ran.importance(xs)[:3, :3], ran.importance(xs[:3]), rtol=1e-12)


def test_it_keeps_the_dtype() -> None:
    assert nn.RAN(D, H).importance(batch(T, D).astype(np.float32)).dtype == np.float32


def test_wrong_sequences_are_named() -> None:
    with pytest.raises(
        ShapeError, match=r"RAN: expected xs of shape \(T, 3\) or \(B, T, 3\) for input_size, got \(5, 2\)"
    ):
        a_ran().importance(batch(T, 2))
