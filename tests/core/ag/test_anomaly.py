"""`ag.detect_anomaly` names the first operator that produced NaN or Inf."""

import inspect

import numpy as np
import pytest

from spago import ag


def test_forward_names_operator_line_and_operands() -> None:
    x = ag.var([1.0, -1.0], requires_grad=True, name="scores")
    with (
        ag.detect_anomaly(),
        pytest.raises(
            ag.GraphError,
            match=r"Log, created at .*test_anomaly\.py:\d+, produced values from 0 to 0, 1 NaN "
            r"from scores of shape \(2,\) with values from -1 to 1",
        ),
    ):
        ag.log(x)


def test_the_line_is_that_of_the_caller() -> None:
    x = ag.var([0.0])
    line = inspect.getsourcelines(test_the_line_is_that_of_the_caller)[1]
    with ag.detect_anomaly(), pytest.raises(ag.GraphError, match=rf"test_anomaly\.py:{line + 4}, produced .*1 Inf"):
        _ = 1.0 / x


def test_backward_names_operator_and_operand() -> None:
    x = ag.var(np.array([0.0, 4.0]), requires_grad=True, name="x")
    with ag.detect_anomaly():
        y = ag.sqrt(x)
        with pytest.raises(
            ag.GraphError,
            match=r"Sqrt, created at .*test_anomaly\.py:\d+, produced a gradient of values from 0.25 to 0.25, 1 Inf "
            r"for operand 'x' of shape \(2,\)",
        ):
            y.backward()
    assert x.grad is None


def test_a_graph_from_outside_the_block_is_checked_too() -> None:
    x = ag.var(np.array([0.0]), requires_grad=True)
    y = ag.sqrt(x)
    with ag.detect_anomaly(), pytest.raises(ag.GraphError, match="create it inside detect_anomaly to know"):
        y.backward()


def test_operators_with_several_results_are_checked() -> None:
    x = ag.var([1.0, 0.0], requires_grad=True)
    with ag.detect_anomaly():
        left, right = ag.split(x, 2)
        with pytest.raises(ag.GraphError, match=r"Div, created at .*Split\[0\] of shape \(1,\).*Split\[1\]"):
            _ = left / right


def test_selections_are_checked() -> None:
    x = ag.var(np.array([1.0, 0.0]), requires_grad=True)
    with ag.detect_anomaly():
        y = x[1:]
        with pytest.raises(ag.GraphError, match=r"Getitem, created at .*1 Inf"):
            y.backward([np.inf])
    assert x.grad is None


def test_without_the_block_nothing_is_checked_and_after_an_error_it_is_over() -> None:
    x = ag.var([-1.0])
    assert np.isnan(ag.log(x).value).all()
    with pytest.raises(ag.GraphError), ag.detect_anomaly():
        ag.log(x)
    assert np.isnan(ag.log(x).value).all()


def test_what_is_finite_passes() -> None:
    x = ag.var([1.0, 2.0], requires_grad=True)
    with ag.detect_anomaly():
        left, right = ag.split(ag.log(x) + x[[0, 0]], 2)
        (left * right).backward()
    assert np.isfinite(x.grad).all()
