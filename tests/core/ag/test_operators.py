"""What holds for every operator."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from operator_table import SAMPLES, TABLE, Floats, Sample, public_operators
from spago import ag

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)


def leaves(operands: list[Floats]) -> list[ag.Variable]:
    return [ag.var(x, requires_grad=True) for x in operands]


def weights(results: tuple[ag.Node, ...]) -> list[Floats]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(y.shape).astype(y.dtype) for y in results]


def go_back(results: tuple[ag.Node, ...]) -> None:
    for y, g in zip(results, weights(results), strict=True):
        if y.requires_grad:
            y.acc_grad(g)
    ag.backward_many(results)


def gradients_of(sample: Sample, operands: list[Floats]) -> list[Any]:
    nodes = leaves(operands)
    go_back(sample.run(*nodes))
    return [x.grad for x in nodes]


def test_every_operator_has_a_row() -> None:
    assert {row.operator for row in TABLE} == set(public_operators())


@every_sample
def test_value_is_that_of_numpy(sample: Sample) -> None:
    results = sample.run(*sample.operands())

    expected = sample.expected()
    assert [y.shape for y in results] == [z.shape for z in expected]
    assert all(type(y.value) is np.ndarray and y.dtype == np.float64 for y in results)
    for y, z in zip(results, expected, strict=True):
        np.testing.assert_allclose(y.value, z, rtol=1e-12, atol=1e-13)


@every_sample
def test_gradient_is_the_central_difference(sample: Sample) -> None:
    ag.gradcheck(sample.run, sample.operands())


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.row.operator is not ag.astype], ids=str)
def test_float32_stays_float32(sample: Sample) -> None:
    nodes = leaves(sample.operands(np.float32))
    results = sample.run(*nodes)
    go_back(results)

    assert all(y.dtype == np.float32 for y in results)
    for y, z in zip(results, sample.expected(), strict=True):
        np.testing.assert_allclose(y.value, z, rtol=1e-4, atol=1e-5)
    wide_nodes = leaves(sample.operands())
    wide_results = sample.run(*wide_nodes)
    for y, g in zip(wide_results, weights(results), strict=True):
        y.acc_grad(g)
    ag.backward_many(wide_results)
    for x, wide in zip(nodes, wide_nodes, strict=True):
        assert x.grad is not None
        assert x.grad.dtype == np.float32
        assert x.grad.shape == x.shape
        np.testing.assert_allclose(x.grad, wide.grad, rtol=2e-3, atol=1e-4)


@every_sample
def test_operands_that_need_no_gradient_change_nothing_for_the_others(sample: Sample) -> None:
    operands = sample.operands()
    expected = gradients_of(sample, operands)

    for i in range(len(operands)):
        node = ag.var(operands[i], requires_grad=True)
        results = sample.run(*operands[:i], node, *operands[i + 1 :])
        go_back(results)
        np.testing.assert_array_equal(node.grad, expected[i])
    assert not any(y.requires_grad for y in sample.run(*operands))
    assert not any(y.requires_grad for y in sample.run(*map(ag.var, operands)))


def layouts(x: Floats) -> Iterator[Floats]:
    """The same array in other places of memory."""
    yield np.array(x, order="F")
    every_second: tuple[Any, ...] = (*[slice(None, None, 2)] * x.ndim, ...)
    strided = np.full([2 * n for n in x.shape], np.nan)[every_second]
    strided[...] = x
    yield strided
    axes = tuple(range(x.ndim))
    yield np.flip(np.flip(x, axes).copy(), axes)
    read_only = x.copy()
    read_only.flags.writeable = False
    yield read_only


@every_sample
def test_views_and_read_only_arrays_give_the_same_and_stay_as_they_were(sample: Sample) -> None:
    operands = sample.operands()
    expected_values = [y.value for y in sample.run(*operands)]
    expected = gradients_of(sample, operands)

    for arrays in zip(*(layouts(x) for x in operands), strict=True):
        nodes = leaves(list(arrays))
        results = sample.run(*nodes)
        go_back(results)
        for y, z in zip(results, expected_values, strict=True):
            np.testing.assert_allclose(y.value, z, rtol=1e-13, atol=1e-14)
        for x, g, before in zip(nodes, expected, operands, strict=True):
            np.testing.assert_allclose(x.grad, g, rtol=1e-12, atol=1e-13)
            np.testing.assert_array_equal(x.value, before)


@every_sample
def test_an_array_repeated_by_broadcasting_is_an_operand_like_others(sample: Sample) -> None:
    operands = [np.broadcast_to(x.ravel()[:1].reshape(()) if x.size else x, x.shape) for x in sample.operands()]
    expected = [y.value for y in sample.run(*map(np.array, operands))]

    results = sample.run(*leaves(operands))
    go_back(results)

    for y, z in zip(results, expected, strict=True):
        np.testing.assert_allclose(y.value, z, rtol=1e-13, atol=1e-14)


@every_sample
def test_an_operand_used_twice_gets_both_gradients(sample: Sample) -> None:
    operands = sample.operands()
    once = gradients_of(sample, operands)

    nodes = leaves(operands)
    first, second = sample.run(*nodes), sample.run(*nodes)
    both = tuple(y + z for y, z in zip(first, second, strict=True))
    go_back(both)

    for x, g in zip(nodes, once, strict=True):
        np.testing.assert_allclose(x.grad, 2 * g, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if len(s.shapes) == 2 and len(set(s.shapes)) == 1], ids=str)
def test_one_node_as_both_operands_gets_the_sum_of_both_gradients(sample: Sample) -> None:
    x, _ = sample.operands()
    expected = gradients_of(sample, [x, x.copy()])

    node = ag.var(x, requires_grad=True)
    go_back(sample.run(node, node))

    np.testing.assert_allclose(node.grad, expected[0] + expected[1], rtol=1e-14, atol=1e-15)


@every_sample
def test_a_pullback_returns_nothing_that_it_holds_and_writes_into_nothing(sample: Sample) -> None:
    # Operands whose arrays are read-only, behind an operator, so that nothing is a leaf's own array.
    arrays = sample.operands()
    for x in arrays:
        x.flags.writeable = False
    results = sample.run(*leaves(arrays))

    for node in operators_behind(results):
        held = [*held_arrays(node._pullbacks), *(x.value for x in node.operands), node.value]
        before = [x.copy() for x in held]
        g = np.random.default_rng(2).standard_normal(node.shape).astype(node.dtype)
        g.flags.writeable = False
        for x in held:
            x.flags.writeable = False
        first, second = pulled_back(node, g), pulled_back(node, g)
        for d, again in zip(first, second, strict=True):
            np.testing.assert_array_equal(d, again)
            assert not any(np.shares_memory(d, x) for x in held if x is not g)
        for x, y in zip(held, before, strict=True):
            np.testing.assert_array_equal(x, y)


def operators_behind(results: tuple[ag.Node, ...]) -> list[ag.Operator]:
    """Operators that results were computed by, except those with several results."""
    found: list[ag.Operator] = []
    stack: list[ag.Node] = list(results)
    while stack:
        node = stack.pop()
        if isinstance(node, ag.Operator) and node.requires_grad:
            stack.extend(node.operands)
            if isinstance(node._pullbacks, tuple) or not node.name.startswith(("Split", "Unstack")):
                found.append(node)
    return found


def held_arrays(pullbacks: Any) -> Iterator[npt.NDArray[Any]]:
    """The arrays in the closures of pullbacks."""
    for pullback in pullbacks if isinstance(pullbacks, tuple) else (pullbacks,):
        for cell in getattr(pullback, "__closure__", None) or ():
            if isinstance(cell.cell_contents, np.ndarray):
                yield cell.cell_contents


def pulled_back(node: ag.Operator, g: Floats) -> list[Floats]:
    """What the pullbacks of a node make of g, as plain arrays."""
    pullbacks: Any = node._pullbacks
    needs = tuple(x.requires_grad for x in node.operands)
    gradients = [p(g) for p in pullbacks if p] if isinstance(pullbacks, tuple) else pullbacks(g, needs)
    gradients = [getattr(d, "values", d) for d in gradients if d is not None]
    return [np.asarray(d) for d in gradients if not hasattr(d, "gradients")]


@every_sample
def test_without_a_graph_the_values_are_the_same(sample: Sample) -> None:
    nodes = leaves(sample.operands())
    with ag.no_grad():
        results = sample.run(*nodes)

    assert not any(y.requires_grad or y.operands for y in results)
    for y, z in zip(results, sample.run(*nodes), strict=True):
        np.testing.assert_array_equal(y.value, z.value)


@every_sample
def test_an_array_of_integers_is_refused_by_name(sample: Sample) -> None:
    operands = sample.operands()

    with pytest.raises(TypeError, match=r"\w+: expected an array of float32 or float64, got int64 of shape .*astype"):
        sample.run(operands[0].astype(np.int64), *operands[1:])


@pytest.mark.parametrize("row", TABLE, ids=str)
@pytest.mark.parametrize("thing", [None, "3.0", {"a": 1}, {2.0}, 1j], ids=repr)
def test_what_is_no_array_is_refused(row: Any, thing: Any) -> None:
    sample = Sample(row, row.shapes[0])
    others = sample.operands()[1:]

    with pytest.raises((TypeError, ValueError), match="expected") as error:
        sample.run(thing, *others)

    assert isinstance(error.value, TypeError | ag.ShapeError)
