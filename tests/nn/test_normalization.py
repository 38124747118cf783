"""The normalization layers: their equations, their gradients, and running statistics."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spago import ag, nn
from spago.mat import Array, ShapeError

D = 5


def mean(x: Array) -> Array:
    return np.asarray(x.mean(axis=-1, keepdims=True))


def deviation(x: Array) -> Array:
    return np.asarray(np.sqrt(mean((x - mean(x)) ** 2)))


def length(x: Array) -> Array:
    return np.asarray(np.sqrt((x * x).sum(axis=-1, keepdims=True)))


def ada(x: Array) -> Array:
    z = (x - mean(x)) / deviation(x)
    return np.asarray(z * 0.7 * (1 - 0.1 * z))


W = np.linspace(-1.0, 2.0, D)
BIAS = np.linspace(0.5, -0.5, D)

LAYERS: dict[str, tuple[Callable[[Any], nn.Module], Callable[[Array], Array]]] = {
    "LayerNorm": (
        lambda dtype: nn.LayerNorm(D, eps=0.1, dtype=dtype),
        lambda x: (x - mean(x)) / np.sqrt(deviation(x) ** 2 + 0.1) * W + BIAS,
    ),
    "LayerNorm-unbiased": (
        lambda dtype: nn.LayerNorm(D, bias=False, dtype=dtype),
        lambda x: (x - mean(x)) / np.sqrt(deviation(x) ** 2 + 1e-5) * W,
    ),
    "LayerNorm-plain": (
        lambda dtype: nn.LayerNorm(D, affine=False, dtype=dtype),
        lambda x: (x - mean(x)) / np.sqrt(deviation(x) ** 2 + 1e-5),
    ),
    "LayerNormSimple": (lambda dtype: nn.LayerNormSimple(eps=0.1), lambda x: (x - mean(x)) / (deviation(x) + 0.1)),
    "RMSNorm": (lambda dtype: nn.RMSNorm(D, eps=0.1, dtype=dtype), lambda x: x / np.sqrt(mean(x * x) + 0.1) * W),
    "RMSNorm-outside": (
        lambda dtype: nn.RMSNorm(D, eps=0.1, eps_outside=True, bias=True, dtype=dtype),
        lambda x: x / (np.sqrt(mean(x * x)) + 0.1) * W + BIAS,
    ),
    "FixNorm": (lambda dtype: nn.FixNorm(), lambda x: x / length(x)),
    "ScaleNorm": (lambda dtype: nn.ScaleNorm(D, eps=0.1, dtype=dtype), lambda x: x / (length(x) + 0.1) * W),
    "AdaNorm": (lambda dtype: nn.AdaNorm(0.7), ada),
}

every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name: str, dtype: Any = np.float64) -> nn.Module:
    layer = LAYERS[name][0](dtype)
    for label, parameter in layer.named_parameters():
        parameter.value[...] = BIAS if label == "bias" else W
    return layer


def vectors(*shape: int, seed: int = 2) -> Array:
    return np.random.default_rng(seed).normal(1.0, 2.0, size=shape)


@every_layer
@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (0,)])
def test_a_layer_is_its_equation_on_any_batch(name: str, lead: tuple[int, ...]) -> None:
    x = vectors(*lead, D)
    np.testing.assert_allclose(make(name)(x).value, LAYERS[name][1](x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "AdaNorm"])
def test_gradients_are_central_differences(name: str) -> None:
    layer = make(name)
    ag.gradcheck(layer, [vectors(2, 3, D)], parameters=[p for p in layer.parameters() if isinstance(p, nn.Param)])


def test_no_gradient_flows_through_the_factor_of_ada_norm() -> None:
    x, g = vectors(4, D), vectors(4, D, seed=3)
    node, other = ag.var(x, requires_grad=True), ag.var(x, requires_grad=True)
    nn.AdaNorm(0.7)(node).backward(g)
    z = nn.LayerNormSimple()(other)
    z.backward(g * 0.7 * (1 - 0.1 * z.value))
    np.testing.assert_allclose(node.grad, other.grad, rtol=1e-13)


@every_layer
def test_many_rows_are_as_one_at_a_time(name: str) -> None:
    # More rows than the kernel takes at a time.
    x, g = vectors(20_000, D), vectors(20_000, D, seed=3)
    layer = make(name)
    node = ag.var(x, requires_grad=True)
    y = layer(node)
    y.backward(g)
    for i in (0, 6_553, 6_554, 19_999):
        one = ag.var(x[i], requires_grad=True)
        y_one = layer(one)
        y_one.backward(g[i])
        np.testing.assert_allclose(y.value[i], y_one.value, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(node.grad[i], one.grad, rtol=1e-11, atol=1e-12)


@every_layer
def test_float32_stays_and_is_close(name: str) -> None:
    x = vectors(7, D)
    node = ag.var(x.astype(np.float32), requires_grad=True)
    y = make(name, np.float32)(node)
    y.backward()
    assert y.dtype == node.grad.dtype == np.float32
    np.testing.assert_allclose(y.value, make(name)(x).value, rtol=1e-5, atol=1e-5)


@every_layer
@pytest.mark.parametrize("x", [np.zeros((2, D)), np.full((2, D), 3.0)], ids=["zero", "constant"])
def test_where_the_root_is_0_gradients_are_finite(name: str, x: Array) -> None:
    node = ag.var(x, requires_grad=True)
    y = make(name)(node)
    y.backward(vectors(2, D))
    assert np.isfinite(y.value).all()
    assert np.isfinite(node.grad).all()


def test_the_derivative_of_the_root_at_0_counts_as_0() -> None:
    x, g = ag.var(np.zeros(D), requires_grad=True), vectors(D)
    nn.FixNorm(eps=0.5)(x).backward(g)
    np.testing.assert_allclose(x.grad, g / 0.5)


def test_a_large_mean_costs_no_precision() -> None:
    x = vectors(4, D)
    np.testing.assert_allclose(nn.LayerNormSimple()(x + 1e6).value, nn.LayerNormSimple()(x).value, rtol=1e-9)


def test_rms_norm_has_the_machine_epsilon_by_default() -> None:
    for dtype in (np.float32, np.float64):
        x: Array = np.full(D, 1e-9, dtype)
        expected = x / np.sqrt(x * x + np.finfo(dtype).eps)
        np.testing.assert_allclose(nn.RMSNorm(D, dtype=dtype)(x).value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "parameter"),
    [
        (nn.LayerNorm(3), r"LayerNorm: .* for weight \(3,\)"),
        (nn.LayerNorm(3, affine=False), r"LayerNorm: .* for num_features"),
        (nn.RMSNorm(3), r"RMSNorm: .* for weight \(3,\)"),
        (nn.ScaleNorm(3), r"ScaleNorm: .* for gain \(3,\)"),
        (nn.BatchNorm(3), r"BatchNorm: .*num_features"),
    ],
)
def test_layers_name_what_does_not_fit(layer: nn.Module, parameter: str) -> None:
    with pytest.raises(ShapeError, match=rf"{parameter}, got \(3, 2\); features are the last axis"):
        layer(vectors(3, 2))
    with pytest.raises(ShapeError, match=r"expected x of shape \(..., 3\)"):
        layer(1.0)


@pytest.mark.parametrize("layer", [nn.FixNorm(), nn.LayerNormSimple(), nn.AdaNorm()])
def test_layers_without_parameters_need_features(layer: nn.Module) -> None:
    with pytest.raises(ShapeError, match=rf"{type(layer).__name__}: .* at least one feature, got \(3, 0\)"):
        layer(vectors(3, 0))


@pytest.mark.parametrize("kind", [nn.LayerNorm, nn.RMSNorm, nn.ScaleNorm, nn.BatchNorm])
def test_there_is_at_least_one_feature(kind: Any) -> None:
    with pytest.raises(ShapeError, match=f"{kind.__name__}: expected at least 1 feature, got 0"):
        kind(0)


# Batch normalization


def test_batch_norm_in_training_is_its_equation() -> None:
    layer, x = nn.BatchNorm(D, dtype=np.float64), vectors(2, 6, D)
    rows = x.reshape(-1, D)
    expected = (x - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-5)
    np.testing.assert_allclose(layer(x).value, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.running_mean.value, 0.1 * rows.mean(axis=0))
    np.testing.assert_allclose(layer.running_var.value, 0.9 + 0.1 * rows.var(axis=0, ddof=1))


@pytest.mark.parametrize("settings", [{}, {"as_in_go": True}, {"affine": False}], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_the_gradients_of_batch_norm_are_central_differences(settings: dict[str, Any], training: bool) -> None:
    layer = nn.BatchNorm(D, dtype=np.float64, **settings).train(training)
    layer.running_var.value[...] = 2.0
    ag.gradcheck(layer, [vectors(2, 3, D)], parameters=[p for p in layer.parameters() if isinstance(p, nn.Param)])


def test_after_eval_batch_norm_treats_each_vector_for_itself() -> None:
    layer, x = nn.BatchNorm(D, dtype=np.float64), vectors(6, D)
    for _ in range(300):
        layer(x)
    running = layer.running_mean.value
    layer.eval()
    y = layer(x).value
    assert layer.running_mean.value is running
    np.testing.assert_allclose(y, np.stack([layer(row).value for row in x]), rtol=1e-13)
    np.testing.assert_allclose(y, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0, ddof=1) + 1e-5), rtol=1e-6, atol=1e-6)


def test_a_fresh_batch_norm_leaves_vectors_of_unit_scale_as_they_are() -> None:
    x = vectors(6, D)
    np.testing.assert_allclose(nn.BatchNorm(D, dtype=np.float64).eval()(x).value, x / np.sqrt(1 + 1e-5))


def test_running_statistics_are_saved_with_the_model() -> None:
    layer = nn.BatchNorm(D)
    layer(vectors(6, D).astype(np.float32))
    assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    other = pickle.loads(pickle.dumps(layer))
    np.testing.assert_array_equal(other.running_mean.value, layer.running_mean.value)
    assert layer.running_var.dtype == np.float32


def test_batch_norm_needs_two_vectors_in_training() -> None:
    with pytest.raises(ShapeError, match=r"at least 2 vectors in training, got x of shape \(1, 5\)"):
        nn.BatchNorm(D)(vectors(1, D))
    nn.BatchNorm(D).eval()(vectors(1, D))
    with pytest.raises(ShapeError, match=r"at least 2 vectors in training, got x of shape \(0, 5\)"):
        nn.BatchNorm(D)(vectors(0, D))


def test_a_constant_feature_has_a_gradient_in_go_s_form() -> None:
    x = ag.var(np.ones((4, D)), requires_grad=True)
    nn.BatchNorm(D, as_in_go=True, dtype=np.float64)(x).backward(vectors(4, D))
    assert np.isfinite(x.grad).all()
