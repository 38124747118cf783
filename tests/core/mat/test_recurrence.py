"""Steps in runs, and products with the weights of gates in the forms that OpenBLAS is fastest in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spago.mat._recurrence import GatesToHidden, HiddenToGates, Run, room_for_gates, runs, with_bias, with_ones

descending = st.lists(st.integers(1, 6), min_size=1, max_size=12).map(lambda sizes: sorted(sizes, reverse=True))


@given(descending, st.integers(1, 20))
def test_runs_are_all_steps_in_order(sizes: list[int], most: int) -> None:
    found = runs(sizes, most)
    assert [run.batch for run in found for _ in range(run.steps)] == sizes
    for before, run in zip([None, *found], found, strict=False):
        assert run.start == (0 if before is None else before.rows.stop)
        assert run.previous == (None if before is None else before.rows.stop - before.batch)
        assert run.steps == 1 or run.steps * run.batch <= most
    assert found[-1].rows.stop == sum(sizes)


@given(descending)
def test_states_before_steps_are_those_after_the_steps_before(sizes: list[int]) -> None:
    outputs, initial = np.arange(2.0 * sum(sizes)).reshape(2, -1, 1), -np.ones((2, sizes[0], 1))
    state = initial
    start = 0
    expected = []
    for n in sizes:
        expected.append(state[:, :n])
        state = outputs[:, start : start + n]
        start += n
    found = [before for run in runs(sizes, most=7) for before in run.before(outputs, initial)]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch", [1, 3])
def test_rows_of_a_run_are_a_view_step_by_step(batch: int) -> None:
    room = room_for_gates((4, 2, 5 * batch, 3), np.dtype(np.float64), batch=batch)
    steps = Run(batch, 3, batch, 0).of(room)
    assert steps.shape == (3, 4, 2, batch, 3)
    assert np.shares_memory(steps, room)
    steps[1] = 7
    assert (room[:, :, 2 * batch : 3 * batch] == 7).all()
    assert batch > 1 or steps[1].flags.c_contiguous


@pytest.mark.parametrize(
    ("layers", "batch", "h", "m", "cuts"),
    # The last two have products of more than 10⁶ multiplications; 130 has no divisor that makes them small.
    [(1, 1, 5, 3, 1), (1, 2, 5, 3, 1), (2, 1, 5, 3, 1), (2, 3, 4, 4, 1), (2, 64, 128, 128, 2), (1, 700, 130, 130, 1)],
)
def test_products_in_every_form_are_the_products(layers: int, batch: int, h: int, m: int, cuts: int) -> None:
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=(3, h, m)) for _ in range(layers)]
    hidden, gates = rng.normal(size=(1, layers, batch, m)), rng.normal(size=(1, 3, layers, batch, h))
    there, back = HiddenToGates(weights, batch), GatesToHidden(weights, batch)
    assert there.cuts == back.cuts == cuts
    assert there.single == back.single == (layers == batch == 1)
    into = np.empty((3, layers, batch, h))
    there.product(there.lefts(hidden)[0], there.weight, there.of(into))
    np.testing.assert_allclose(into, np.einsum("kbm,kghm->gkbh", hidden[0], weights), rtol=1e-10, atol=1e-10)
    result = np.empty((layers, batch, m))
    parts, out = back.of(result)
    back.product(back.lefts(gates)[0], back.weight, out)
    total = result if parts is None else parts.sum(axis=0)
    np.testing.assert_allclose(total, np.einsum("gkbh,kghm->kbm", gates[0], weights), rtol=1e-10, atol=1e-10)


def test_a_column_of_ones_adds_the_bias() -> None:
    rng = np.random.default_rng(1)
    x, weight, bias = rng.normal(size=(6, 3)), rng.normal(size=(2, 40, 3)), rng.normal(size=(2, 40))
    product = with_ones(x) @ with_bias(weight, bias)
    np.testing.assert_allclose(product, x @ weight.swapaxes(1, 2) + bias[:, None], rtol=1e-12, atol=1e-12)
