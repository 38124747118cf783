"""What holds for operators whatever their input."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from operator_table import SAMPLES, Floats, Sample
from spago import ag

numbers = st.floats(-100, 100, allow_subnormal=False)
shapes = npst.array_shapes(min_dims=1, max_dims=3, max_side=4)
arrays = npst.arrays(np.float64, shapes, elements=numbers)
rows = npst.arrays(np.float64, st.integers(1, 8), elements=numbers)
matrices = npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=numbers)


def gradient(f: Any, x: Floats, g: Any = None) -> Floats:
    """The gradient of f at x."""
    node = ag.var(x, requires_grad=True)
    f(node).backward(g)
    return np.asarray(node.grad)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_gradients_are_linear_in_the_output_gradient(sample: Sample) -> None:
    rng = np.random.default_rng(3)

    def gradients(weights: list[Floats]) -> list[Any]:
        nodes = [ag.var(x, requires_grad=True) for x in sample.operands()]
        ag.backward_many([(y * w).sum() for y, w in zip(sample.run(*nodes), weights, strict=True)])
        return [x.grad for x in nodes]

    shapes = [y.shape for y in sample.run(*sample.operands())]
    first, second = ([rng.standard_normal(s) for s in shapes] for _ in range(2))
    both = gradients([2 * a - 3 * b for a, b in zip(first, second, strict=True)])
    for total, a, b in zip(both, gradients(first), gradients(second), strict=True):
        np.testing.assert_allclose(total, 2 * a - 3 * b, rtol=1e-11, atol=1e-12)


# Softmax and its relatives


@given(rows, numbers)
def test_softmax_and_sparsemax_ignore_a_shift(x: Floats, shift: float) -> None:
    for f in (ag.softmax, ag.sparsemax, ag.log_softmax):
        np.testing.assert_allclose(f(x + shift).value, f(x).value, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ag.sum(gradient(f, x, np.arange(len(x)) + 0.5)).value, 0, atol=1e-12)


@given(rows, numbers)
def test_logsumexp_moves_with_a_shift(x: Floats, shift: float) -> None:
    np.testing.assert_allclose(ag.logsumexp(x + shift).value, ag.logsumexp(x).value + shift, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradient(ag.logsumexp, x), ag.softmax(x).value, rtol=1e-12)


@given(arrays, st.data())
def test_probabilities_sum_to_one_along_the_axis(x: Floats, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    for f in (ag.softmax, ag.sparsemax):
        y = f(x, axis=axis).value
        assert (y >= 0).all()
        np.testing.assert_allclose(y.sum(axis=axis), 1, rtol=1e-13)
    np.testing.assert_allclose(np.exp(ag.log_softmax(x, axis=axis).value), ag.softmax(x, axis=axis).value, rtol=1e-12)


@given(rows)
def test_no_point_of_the_simplex_is_nearer_than_sparsemax(x: Floats) -> None:
    y = ag.sparsemax(x).value
    np.testing.assert_allclose(ag.sparsemax(y).value, y, rtol=1e-12, atol=1e-15)
    for corner in np.eye(len(x)):
        # Optimality: the angle between x - y and any way inwards is not acute.
        assert np.dot(x - y, corner - y) <= 1e-10 * (1 + np.abs(x).max())


@given(rows, st.randoms(use_true_random=False))
def test_permuting_scores_permutes_results(x: Floats, random: Any) -> None:
    order = random.sample(range(len(x)), len(x))
    for f in (ag.softmax, ag.sparsemax, ag.log_softmax, ag.sparsemax_loss):
        np.testing.assert_allclose(f(x[order]).value, f(x).value[order], rtol=1e-12, atol=1e-11)


# Broadcasting


@given(npst.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3), st.integers(0, 2**32 - 1))
def test_broadcasting_is_the_same_as_repeating(broadcast: npst.BroadcastableShapes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (rng.uniform(0.5, 2, shape) for shape in broadcast.input_shapes)
    g = rng.standard_normal(broadcast.result_shape)
    for f in (ag.add, ag.sub, ag.mul, ag.div, ag.pow, ag.maximum, ag.minimum, ag.swish_b):
        short = [ag.var(v, requires_grad=True) for v in (x, y)]
        f(*short).backward(g)
        long = [ag.var(v, requires_grad=True) for v in (x, y)]
        f(*(ag.broadcast_to(v, broadcast.result_shape) for v in long)).backward(g)
        for a, b in zip(short, long, strict=True):
            np.testing.assert_allclose(a.grad, b.grad, rtol=1e-12, atol=1e-13)


@given(st.integers(1, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_a_batched_product_is_the_products_of_the_batch(b: int, n: int, d: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((b, n, d)), rng.standard_normal((b, d, m))
    g = rng.standard_normal((b, n, m))
    nodes = [ag.var(x, requires_grad=True), ag.var(y, requires_grad=True)]
    z = ag.matmul(*nodes)
    z.backward(g)
    for i in range(b):
        one = [ag.var(x[i], requires_grad=True), ag.var(y[i], requires_grad=True)]
        product = ag.matmul(*one)
        product.backward(g[i])
        np.testing.assert_allclose(z.value[i], product.value, rtol=1e-12, atol=1e-13)
        for whole, part in zip(nodes, one, strict=True):
            np.testing.assert_allclose(np.asarray(whole.grad)[i], part.grad, rtol=1e-12, atol=1e-13)


# There and back


@given(arrays, st.data())
def test_what_is_taken_apart_can_be_put_together(x: Floats, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    n = x.shape[axis]
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=3)))
    sizes = np.diff([0, *cuts, n]).tolist()
    there_and_back: list[Callable[[ag.Node], ag.Node]] = [
        lambda v: ag.concat(ag.split(v, sizes, axis=axis), axis=axis),
        lambda v: ag.stack(ag.unstack(v, axis=axis), axis=axis),
        lambda v: ag.roll(ag.roll(v, 3, axis=axis), -3, axis=axis),
        lambda v: ag.flip(ag.flip(v, axis), axis),
        lambda v: ag.squeeze(ag.expand_dims(v, axis), axis),
        lambda v: ag.swapaxes(ag.swapaxes(v, 0, axis), 0, axis),
        lambda v: ag.reshape(ag.flatten(v), x.shape),
        lambda v: ag.pad(v, 2)[(np.s_[2:-2],) * x.ndim],
        lambda v: ag.take(v, range(n), axis=axis),
    ]
    for f in there_and_back:
        g = np.arange(x.size).reshape(x.shape).astype(float)
        node = ag.var(x, requires_grad=True)
        y = f(node)
        y.backward(g)
        np.testing.assert_array_equal(y.value, x)
        np.testing.assert_array_equal(node.grad, g)


@given(arrays, st.data())
def test_an_order_of_axes_and_its_inverse(x: Floats, data: st.DataObject) -> None:
    axes = data.draw(st.permutations(range(x.ndim)))
    y = ag.transpose(ag.transpose(x, axes), np.argsort(axes).tolist())
    np.testing.assert_array_equal(y.value, x)


# Selections


@given(arrays, st.data())
def test_indexing_is_that_of_numpy_and_its_gradient_lands_where_it_came_from(x: Floats, data: st.DataObject) -> None:
    index = data.draw(
        st.one_of(
            npst.basic_indices(x.shape, allow_newaxis=True, allow_ellipsis=True),
            npst.integer_array_indices(x.shape),
            npst.arrays(np.bool_, x.shape),
        )
    )
    expected = x[index]
    g = np.arange(expected.size).reshape(expected.shape) + 1.0
    d = np.zeros_like(x)
    np.add.at(d, index, g)

    node = ag.var(x, requires_grad=True)
    y = node[index]
    y.backward(g)

    np.testing.assert_array_equal(y.value, expected)
    np.testing.assert_array_equal(node.grad, d)


@given(matrices, st.lists(st.integers(0, 4), max_size=6))
def test_looking_up_rows_is_a_product_with_one_hot_rows(x: Floats, indices: list[int]) -> None:
    assume(all(i < len(x) for i in indices))
    one_hot = np.eye(len(x))[indices].reshape(-1, len(x))
    g = np.arange(len(indices) * x.shape[1]).reshape(len(indices), x.shape[1]) + 1.0
    np.testing.assert_allclose(gradient(lambda v: ag.take(v, indices), x, g), one_hot.T @ g, rtol=1e-13)
    np.testing.assert_array_equal(ag.take(x, indices).value, one_hot @ x)


# Reductions


@given(arrays, st.data())
def test_reducing_axis_by_axis_is_reducing_all_at_once(x: Floats, data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True))
    for f, tolerance in ((ag.sum, 1e-9), (ag.mean, 1e-9), (ag.max, 0), (ag.min, 0), (ag.logsumexp, 1e-9)):
        stepwise: ag.Node = ag.var(x)
        for axis in axes:
            stepwise = f(stepwise, axis=axis, keepdims=True)
        np.testing.assert_allclose(f(x, axis=axes, keepdims=True).value, stepwise.value, rtol=tolerance, atol=tolerance)


@given(arrays)
def test_the_gradient_of_a_maximum_goes_to_one_element(x: Floats) -> None:
    for f in (ag.max, ag.min):
        d = gradient(f, x)
        assert sorted(d.ravel())[-1] == d.sum() == 1
        assert x.ravel()[d.argmax()] == f(x).value


@given(rows, numbers)
def test_variance_ignores_a_shift_and_is_never_negative(x: Floats, shift: float) -> None:
    y = ag.variance(x).value
    assert y >= 0
    np.testing.assert_allclose(ag.variance(x + shift).value, y, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ag.std(x).value ** 2, y, rtol=1e-12, atol=1e-12)


# Sums of products


@st.composite
def sums_of_products(draw: st.DrawFn) -> tuple[str, list[Floats]]:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    names = "abcd"[: len(sizes)]
    terms = draw(st.lists(st.lists(st.sampled_from(names), max_size=3), min_size=1, max_size=3))
    used = sorted(set().union(*terms))
    out = draw(st.lists(st.sampled_from(used), unique=True)) if used else []
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    xs = [rng.standard_normal([sizes[names.index(name)] for name in term]) for term in terms]
    return ",".join(map("".join, terms)) + "->" + "".join(out), xs


@given(sums_of_products())
def test_any_sum_of_products_has_the_value_of_numpy_and_the_right_gradient(case: tuple[str, list[Floats]]) -> None:
    subscripts, xs = case
    np.testing.assert_allclose(ag.einsum(subscripts, *xs).value, np.einsum(subscripts, *xs), rtol=1e-12, atol=1e-13)
    ag.gradcheck(lambda *nodes: ag.einsum(subscripts, *nodes), xs)


# Graphs


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 10), st.integers(0, 10)), min_size=1, max_size=12))
def test_any_graph_has_the_right_gradient(plan: list[tuple[int, int, int]]) -> None:
    operators: list[Any] = [
        *(ag.add, ag.sub, ag.mul, lambda a, b: ag.tanh(a) + b[0], lambda a, b: ag.softmax(a) * b),
        *(
            lambda a, b: ag.concat([a[:1], b[1:]]),
            lambda a, b: a.T @ b * 0.1 + a,
            lambda a, b: ag.split(a + b, 3)[1] - a,
        ),
    ]

    def build(x: ag.Node, y: ag.Node) -> list[ag.Node]:
        nodes = [x, y]
        for kind, i, j in plan:
            a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
            nodes.append(ag.sin(operators[kind](a, b)))
        return [nodes[-1], nodes[len(nodes) // 2]]

    ag.gradcheck(build, [[0.5, -0.3, 0.2], [0.1, 0.4, -0.6]], rtol=1e-4, atol=1e-6)


@given(rows)
def test_backward_from_many_roots_is_backward_from_each(x: Floats) -> None:
    def losses(v: ag.Node) -> list[ag.Node]:
        h = ag.tanh(v)
        return [h.sum(), (h * h).sum(), ag.logsumexp(h + v)]

    at_once, one_by_one = ag.var(x, requires_grad=True), ag.var(x, requires_grad=True)
    ag.backward_many(losses(at_once))
    for loss in losses(one_by_one):
        loss.backward()
    np.testing.assert_allclose(at_once.grad, one_by_one.grad, rtol=1e-12, atol=1e-12)
