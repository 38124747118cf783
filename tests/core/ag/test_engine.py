"""Backward: what arrives at leaves, what stays on results, and what errors leave behind."""

from typing import Any

import numpy as np
import pytest

from spago import ag
from spago.mat import Array


def leaf(*values: float) -> ag.Variable:
    return ag.var(np.array(values if len(values) > 1 else values[0]), requires_grad=True)


def grad(node: ag.Node) -> Any:
    """The gradient, of which a type checker must not remember what it was before."""
    return node.grad


def broken(x: ag.Operand) -> ag.Node:
    """An operator whose pullback fails."""

    def pullback(g: Array) -> Array:
        raise ZeroDivisionError("broken on purpose")

    return ag.unary(lambda x: (x.copy(), pullback))(x)


# Output gradients


def test_without_an_output_gradient_backward_starts_from_ones() -> None:
    x = leaf(1.0, 2.0)
    ag.backward(x * x)
    assert grad(x).tolist() == [2, 4]


def test_an_output_gradient_weighs_the_result() -> None:
    x = leaf(1.0, 2.0)
    ag.backward(x * x, [1.0, 0.5])
    assert grad(x).tolist() == [2, 2]
    assert grad(x).dtype == np.float64


def test_a_gradient_that_was_put_on_the_root_is_where_backward_starts() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    y.acc_grad([1.0, 1.0])
    y.acc_grad([0.0, 2.0])
    assert grad(y).tolist() == [1, 3]

    y.backward()

    assert grad(x).tolist() == [2, 12]


def test_two_output_gradients_are_one_too_many() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    y.acc_grad([1.0, 1.0])

    with pytest.raises(ag.GraphError, match=r"Mul: a gradient was passed .* already has one from acc_grad; pass none"):
        y.backward([1.0, 1.0])

    assert grad(x) is None
    y.backward()
    assert grad(x).tolist() == [2, 4]


def test_an_output_gradient_has_the_shape_of_the_result() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ag.ShapeError, match=r"Mul: expected a gradient of shape \(2,\), that of the value, got \(3,\)"):
        (x * x).backward([1.0, 2.0, 3.0])
    assert grad(x) is None


def test_backward_from_what_needs_no_gradient_is_an_error() -> None:
    with pytest.raises(ag.GraphError, match=r"Mul: expected a node that requires a gradient .* shape \(2,\).*no_grad"):
        (ag.var([1.0, 2.0]) * 2.0).backward()
    with pytest.raises(ag.GraphError, match="'?x'?: expected a node that requires a gradient"):
        ag.backward(ag.var(1.0, name="x"))


def test_backward_from_a_leaf_does_nothing() -> None:
    x = leaf(1.0, 2.0)
    ag.backward(x)
    ag.backward(x, [1.0, 1.0])
    assert grad(x) is None


# Accumulation


def test_gradients_accumulate_until_they_are_forgotten() -> None:
    x = leaf(3.0)
    (x * x).backward()
    (2.0 * x).backward()
    assert grad(x) == 8
    x.zero_grad()
    assert grad(x) is None
    (x * x).backward()
    assert grad(x) == 6


def test_a_gradient_that_was_read_does_not_change_any_more() -> None:
    x = leaf(3.0, 4.0)
    (x * x).backward()
    read = grad(x)
    (x * x).backward()
    assert read.tolist() == [6, 8]
    assert grad(x).tolist() == [12, 16]


def test_a_gradient_is_no_one_elses_array() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    g = np.ones(2)
    ag.backward(x + y, g)
    x.grad += 10
    assert g.tolist() == [1, 1]
    assert grad(y).tolist() == [1, 1]


def test_a_first_gradient_is_copied() -> None:
    x, g = leaf(1.0, 2.0), np.ones(2)
    x.acc_grad(g)
    g += 1
    assert grad(x).tolist() == [1, 1]


def test_a_gradient_takes_the_dtype_of_its_leaf() -> None:
    x = ag.var(np.ones(2, np.float32), requires_grad=True)
    y = ag.var(np.ones(2, np.float64), requires_grad=True)
    z = x * y
    z.backward()
    assert z.dtype == np.float64
    assert (grad(x).dtype, grad(y).dtype) == (np.float32, np.float64)
    x.acc_grad(np.ones(2, np.float64))
    assert grad(x).dtype == np.float32


def test_a_leaf_that_needs_no_gradient_ignores_what_arrives() -> None:
    x = ag.var([1.0, 2.0])
    x.acc_grad([1.0, 1.0])
    assert grad(x) is None
    assert not x.has_grad


def test_the_same_backward_twice_counts_twice() -> None:
    x = leaf(1.0)
    y = ag.tanh(ag.sin(x))
    y.backward()
    once = float(grad(x))
    y.backward()
    y.backward()
    assert grad(x) == pytest.approx(3 * once, rel=1e-15)


def test_more_graph_on_a_result_that_was_propagated_already() -> None:
    x = leaf(3.0)
    h = x * x
    h.backward()
    (h * x).backward()
    assert grad(x) == 6 + 27


def test_two_losses_that_share_a_part_give_the_true_total() -> None:
    x = leaf(3.0)
    h = 1.0 * x
    (h * h).backward()
    (-h).backward()
    assert grad(x) == 5

    x.zero_grad()
    h = 1.0 * x
    ag.backward_many([h * h, -h])
    assert grad(x) == 5


# Several roots


def test_a_root_inside_another_receives_its_start_and_what_flows_to_it() -> None:
    x = leaf(3.0)
    first = x * x
    second = first * first
    first.retain_grad()
    ag.backward_many([first, second])
    assert grad(first) == 19
    assert grad(x) == 114


def test_the_order_of_roots_does_not_matter_and_a_root_listed_twice_counts_once() -> None:
    x = leaf(3.0)
    first = x * x
    second = first * first
    ag.backward_many([second, first, second])
    assert grad(x) == 114


def test_roots_are_weighed_by_what_was_put_on_them() -> None:
    x = leaf(3.0)
    first, second = 2.0 * x, 5.0 * x
    first.acc_grad(0.5)
    ag.backward_many([first, second])
    assert grad(x) == 6
    assert grad(first) is None


def test_leaves_and_constants_among_roots_are_skipped() -> None:
    x = leaf(3.0)
    ag.backward_many([x, ag.var(1.0), ag.stop_grad(x), ag.var(2.0) * 3.0, 2.0 * x])
    assert grad(x) == 2


def test_a_gradient_on_an_inner_node_joins_what_flows_through_it() -> None:
    x = leaf(3.0)
    h = 2.0 * x
    y = h * h
    h.acc_grad(100.0)
    y.backward()
    assert grad(x) == 2 * (100 + 12)
    y.backward()
    assert grad(x) == 2 * (100 + 12 + 12)


# What stays


def test_results_keep_no_gradient_unless_asked_to() -> None:
    x = leaf(3.0)
    h = x * x
    y = h * x
    y.backward()
    assert grad(h) is None
    assert grad(y) is None

    h.retain_grad()
    y.retain_grad()
    y.backward()
    assert grad(h) == 3
    assert grad(y) == 1
    y.backward()
    assert grad(h) == 6
    h.zero_grad()
    assert grad(h) is None


def test_a_retained_gradient_is_not_propagated_again() -> None:
    x = leaf(3.0)
    h = 2.0 * x
    h.retain_grad()
    h.backward()
    (h * h).backward()
    assert grad(x) == 2 * (1 + 12)
    assert grad(h) == 13


# Shapes of graphs


def test_a_diamond_adds_up() -> None:
    x = leaf(2.0)
    a, b = x * x, 3.0 * x
    (a * b + a).backward()
    assert grad(x) == 9 * 4 + 4


def test_a_node_that_is_used_by_many_is_passed_once() -> None:
    calls = []

    def pullback(g: Array) -> Array:
        calls.append(g)
        return g

    x = leaf(1.0)
    h = ag.unary(lambda x: (x.copy(), pullback))(x)
    y = h
    for _ in range(50):
        y = y + h
    y.backward()
    assert len(calls) == 1
    assert grad(x) == 51


def test_gradients_through_views_of_one_array_do_not_mix() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    m = x.reshape(2, 2)
    (m.T + m.T * 2.0 + m.flatten().reshape(2, 2)[0] + m[1]).backward([[1.0, 2.0], [3.0, 4.0]])
    g = np.array([[1.0, 2.0], [3.0, 4.0]])
    expected = 3 * g.T
    expected[0] += g.sum(axis=0)
    expected[1] += g.sum(axis=0)
    assert grad(x).tolist() == expected.ravel().tolist()


def test_two_gradients_of_one_operator_may_share_memory() -> None:
    @ag.operator
    def twice(a: Array, b: Array) -> ag.Joint:
        def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Array, ...]:
            d = g * 1.0
            return d, d.reshape(-1)

        return a + b.reshape(a.shape), pullback

    a, b = ag.var(np.zeros((2, 2)), requires_grad=True), ag.var(np.zeros(4), requires_grad=True)
    inner_a, inner_b = a * 1.0, b * 1.0
    earlier = inner_a * 1.0
    # Backward goes through `twice` first. Then another gradient arrives at inner_a, before the first is passed on.
    ag.backward_many([earlier, twice(inner_a, inner_b)])
    assert grad(b).tolist() == [1, 1, 1, 1]
    assert grad(a).tolist() == [[2, 2], [2, 2]]


def test_a_selection_adds_to_a_gradient_that_others_share() -> None:
    x, z = leaf(1.0, 2.0), leaf(1.0, 2.0)
    h = x * 1.0
    # h + z sends one and the same array to h and to z; then the selection adds to that of h.
    y = h[0]
    ag.backward_many([h + z, y])
    assert grad(x).tolist() == [2, 1]
    assert grad(z).tolist() == [1, 1]


def test_operators_with_several_results() -> None:
    @ag.operator
    def sum_and_difference(a: Array, b: Array) -> Any:
        def pullback(g: tuple[Any, ...], needs: tuple[bool, ...]) -> tuple[Any, ...]:
            s, d = (np.zeros_like(a) if part is None else part for part in g)
            return s + d, s - d

        return (a + b, a - b), pullback

    a, b = leaf(3.0, 5.0), leaf(1.0, 2.0)
    total, difference = sum_and_difference(a, b)
    assert total.value.tolist() == [4, 7]
    assert difference.value.tolist() == [2, 3]

    difference.backward()
    assert grad(a).tolist() == [1, 1]
    assert grad(b).tolist() == [-1, -1]

    (total * difference).backward()
    assert grad(a).tolist() == [1 + 6, 1 + 10]
    assert grad(b).tolist() == [-1 - 2, -1 - 4]


def test_the_results_of_one_operator_may_be_used_many_times() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    left, right = ag.split(x, 2)
    (left + left * right + left).backward()
    assert grad(x).tolist() == [2 + 3, 2 + 4, 1, 2]


def test_a_rule_must_return_one_gradient_an_operand() -> None:
    @ag.operator
    def forgetful(a: Array, b: Array) -> ag.Joint:
        return a + b, lambda g, needs: (g,)

    with pytest.raises(ag.GraphError, match="Forgetful: expected 2 gradients, one an operand, got 1"):
        forgetful(leaf(1.0), leaf(2.0)).backward()


def test_a_pullback_must_return_the_shape_of_its_operand() -> None:
    @ag.unary
    def misshapen(x: Array) -> ag.Unary:
        return x * 2, lambda g: g[:1]

    x = leaf(1.0, 2.0)
    with pytest.raises(ag.ShapeError, match=r"Misshapen: expected a gradient of shape \(2,\) .* got \(1,\)"):
        misshapen(x).backward()
    assert grad(x) is None


def test_an_operand_may_be_left_out() -> None:
    @ag.operator
    def scaled(x: Array, scale: Array | None = None) -> ag.Joint:
        factor = 1.0 if scale is None else scale
        return x * factor, lambda g, needs: (g * factor, None if scale is None else g * x)[: 1 + (scale is not None)]

    x = leaf(1.0, 2.0)
    scaled(x).backward()
    assert grad(x).tolist() == [1, 1]
    assert len(scaled(x, None).operands) == 1


# Errors


def test_an_error_on_the_way_leaves_leaves_and_seeds_as_they_were() -> None:
    x = leaf(1.0, 2.0)
    (x * x).backward()
    h = x * 3.0
    h.retain_grad()
    y = broken(x) + h
    y.acc_grad([1.0, 1.0])

    with pytest.raises(ZeroDivisionError, match="broken on purpose"):
        y.backward()

    assert grad(x).tolist() == [2, 4]
    assert grad(h) is None
    assert grad(y).tolist() == [1, 1]
    h.backward()
    assert grad(x).tolist() == [5, 7]


# Switches


def test_no_graph_inside_no_grad() -> None:
    x = leaf(1.0, 2.0)
    with ag.no_grad():
        assert not ag.is_grad_enabled()
        y = x * x
        left, _ = ag.split(x, 2)
        with ag.enable_grad():
            z = x * x
    assert ag.is_grad_enabled()
    assert (y.requires_grad, left.requires_grad, z.requires_grad) == (False, False, True)
    assert y.operands == ()
    assert y.value.tolist() == [1, 4]


def test_no_grad_ends_with_an_error_and_decorates_functions() -> None:
    with pytest.raises(KeyError), ag.no_grad():
        raise KeyError
    assert ag.is_grad_enabled()

    @ag.no_grad()
    def predict(x: ag.Node) -> ag.Node:
        return x * x

    assert not predict(leaf(1.0)).requires_grad
    assert not predict(leaf(1.0)).requires_grad


def test_no_gradient_passes_stop_grad() -> None:
    x = leaf(2.0)
    h = x * x
    wall = ag.stop_grad(h)
    assert (wall.item(), wall.name, grad(wall), wall.requires_grad, wall.is_leaf) == (4, "Mul", None, False, True)
    (wall * x).backward()
    assert grad(x) == 4
    wall.acc_grad(1.0)
    wall.zero_grad()
    assert grad(wall) is None
    h.retain_grad()
    h.backward()
    assert grad(h) == 1
    assert grad(wall) is None


def test_whether_a_gradient_is_needed_is_settled_when_the_operator_is_made() -> None:
    x = leaf(2.0)
    y = x * x
    x.requires_grad = False
    assert y.requires_grad
    assert not (x * x).requires_grad


# Released graphs


def test_a_released_graph_refuses_to_be_used() -> None:
    x = leaf(2.0)
    h = x * x
    y = h * x
    y.backward()
    ag.release_graph(y)
    ag.release_graph(y)

    assert grad(x) == 12
    assert x.value == 2
    for node in (h, y):
        assert grad(node) is None
        assert node.operands == ()
        assert "ReleasedOperator" in repr(node)
        with pytest.raises(
            ag.GraphError, match="Mul: the value of this node was released by release_graph; compute it"
        ):
            _ = node.value
    with pytest.raises(ag.GraphError, match="released by release_graph"):
        y.backward()
    with pytest.raises(ag.GraphError, match="released by release_graph"):
        _ = y + x
    assert grad(x) == 12


def test_a_graph_on_a_released_one_refuses_backward_and_changes_nothing() -> None:
    x = leaf(2.0)
    h = x * x
    y = h * x + x
    ag.release_graph(h)
    with pytest.raises(ag.GraphError, match="released by release_graph"):
        y.backward()
    assert grad(x) is None


# Truncation


@pytest.mark.parametrize(
    ("back_steps", "h_grads", "w_grad"),
    [
        (0, [None, None, None, 1], None),
        (1, [None, None, 2, 1], 8),
        (2, [None, 4, 2, 1], 16),
        (3, [8, 4, 2, 1], 24),
        (4, [8, 4, 2, 1], 32),
        (7, [8, 4, 2, 1], 32),
        (-1, [8, 4, 2, 1], 32),
        (None, [8, 4, 2, 1], 32),
    ],
)
def test_truncated_back_propagation(back_steps: int | None, h_grads: list[float | None], w_grad: float | None) -> None:
    w = leaf(2.0)
    steps = ag.TimeStepHandler()
    h: ag.Node = ag.var(np.float64(1.0))
    hs: list[Any] = []
    for t in range(4):
        if t:
            steps.next()
        h = h * w
        assert isinstance(h, ag.Operator)
        h.retain_grad()
        hs.append(h)
    assert steps.current == 3

    ag.backward(h, time_steps=steps, back_steps=back_steps)

    assert [grad(x) for x in hs] == h_grads
    assert grad(w) == w_grad


def test_a_cut_off_result_keeps_what_arrived_at_it() -> None:
    w = leaf(2.0)
    h = w * w
    steps = ag.TimeStepHandler()
    steps.next()
    y = h * w
    ag.backward_many([y], time_steps=steps, back_steps=1)
    assert grad(h) == 2
    assert grad(w) == 4
    assert grad(y) is None

    ag.backward_many([y], time_steps=steps, back_steps=0)
    assert grad(y) == 1
    assert grad(w) == 4


def test_several_handlers_at_once() -> None:
    outer = ag.TimeStepHandler()
    a = ag.var(1.0)
    outer.next()
    inner = ag.TimeStepHandler()
    b = a + 1.0
    inner.next()
    c = b + 1.0
    assert [outer.step_of(x) for x in (a, b, c)] == [0, 1, 1]
    assert [inner.step_of(x) for x in (a, b, c)] == [0, 0, 1]


# Nodes


def test_creation_numbers_grow_from_operands_to_results() -> None:
    x = leaf(1.0)
    y = ag.tanh(x)
    left, right = ag.split(ag.reshape(y, (1,)), (1, 0))
    assert x.number < y.number < left.number < right.number


def test_a_node_shows_its_name_shape_and_values() -> None:
    x = ag.var([1.0, 2.0], requires_grad=True, name="x")
    assert repr(x) == "<Variable 'x' float32(2,), requires_grad: [1., 2.]>"
    assert repr(x * 2.0) == "<Operator 'Mul' float32(2,), requires_grad: [2., 4.]>"
    assert (x.shape, x.ndim, x.size, len(x), x.is_leaf, (x * x).is_leaf) == ((2,), 1, 2, 2, True, False)
    assert [float(v) for v in x] == [1, 2]
    assert float(x[0]) == x[0].item() == 1
    assert bool(x[0])
    assert np.asarray(x).dtype == np.float32
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert (x * 2.0).operands[1].value == 2


def test_the_gradient_of_a_variable_can_be_set() -> None:
    x = leaf(1.0, 2.0)
    x.grad = [3.0, 4.0]
    assert grad(x).tolist() == [3, 4]
    with pytest.raises(ag.ShapeError, match=r"Variable: expected a gradient of shape \(2,\).* got \(3,\)"):
        x.grad = [1.0, 2.0, 3.0]
    x.grad = None
    assert not x.has_grad


def test_operators_of_python_and_methods_of_numpy() -> None:
    x = ag.var(np.array([[1.0, -2.0], [3.0, 4.0]]))
    v = x.value
    for node, expected in [
        *[(x + 1.0, v + 1), (1.0 + x, 1 + v), (x - 1.0, v - 1), (1.0 - x, 1 - v), (x * 2.0, v * 2), (2.0 * x, 2 * v)],
        *[
            (x / 2.0, v / 2),
            (2.0 / x, 2 / v),
            (x**2.0, v**2),
            (2.0**x, 2**v),
            (x @ x, v @ v),
            (-x, -v),
            (abs(x), abs(v)),
        ],
        *[
            (v + x, v + v),
            (v @ x, v @ v),
            (v * x, v * v),
            (v - x, v - v),
            (v / x, v / v),
            (x[0, 1], v[0, 1]),
            (x.T, v.T),
        ],
        *[(x.abs(), abs(v)), (x.clip(0.0, 1.0), v.clip(0, 1)), (x.cumsum(0), v.cumsum(0)), (x.exp(), np.exp(v))],
        *[(x.prod(0), v.prod(0)), (x.repeat(2, 0), v.repeat(2, 0))],
        *[
            (x.flatten(), v.ravel()),
            (x.max(1), v.max(1)),
            (x.min(), v.min()),
            (x.mean(0), v.mean(0)),
            (x.sum(), v.sum()),
        ],
        *[
            (x.std(), v.std()),
            (x.variance(0), v.var(0)),
            (x.reshape(4), v.ravel()),
            (x.reshape((4, 1)), v.reshape(4, 1)),
        ],
        *[
            (x.reshape(-1, 1), v.reshape(-1, 1)),
            (x.swapaxes(0, 1), v.T),
            (x.transpose(), v.T),
            (x.transpose(1, 0), v.T),
        ],
        *[(x.take([1]), v[[1]]), (x[1].squeeze(), v[1]), (x.dot(x), np.sum(v * v)), (abs(x).log(), np.log(abs(v)))],
        *[(abs(x).sqrt(), np.sqrt(abs(v))), (x.astype(np.float32), v.astype(np.float32)), (x.argmax(1), v.argmax(1))],
        *[(x.argmin(), v.argmin()), (x > 0.0, v > 0), (x >= x.T, v >= v.T), (x < x.T, v < v.T), (x <= 1.0, v <= 1)],
    ]:
        np.testing.assert_array_equal(np.asarray(node), expected)
