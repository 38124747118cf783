"""What holds for every feed-forward layer, and what is particular to each."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from feedforward_table import FEED_FORWARD, Row
from spago import ag, nn
from spago.mat import Array, ShapeError
from spago.mat.rand import LockedRand, manual_seed

every_layer = pytest.mark.parametrize("row", FEED_FORWARD, ids=str)
every_layer_with_parameters = pytest.mark.parametrize(
    "row", [row for row in FEED_FORWARD if row.layer().num_parameters()], ids=str
)


def train(layer: nn.Module, x: Array, weights: Array) -> list[Array]:
    """Output, gradient of the input, and gradients of all parameters."""
    leaf = ag.var(x, requires_grad=True)
    y: ag.Node = layer(leaf)
    y.backward(weights.astype(y.dtype))
    gradients = [np.array(p.grad) for p in layer.parameters()]
    layer.zero_grad()
    return [y.value, np.array(leaf.grad), *gradients]


def weights_for(row: Row, *lead: int) -> Array:
    return np.random.default_rng(3).normal(size=(*lead, *row.result))


@every_layer
@pytest.mark.parametrize("lead", [(), (2,), (2, 1, 3), (0,)])
def test_a_layer_takes_any_axes_of_batch(row: Row, lead: tuple[int, ...]) -> None:
    assert row.layer()(row.inputs(*lead)).shape == (*lead, *row.result)


@every_layer
def test_a_batch_is_its_examples_one_by_one(row: Row) -> None:
    layer, x, weights = row.layer(), row.inputs(2, 3), weights_for(row, 2, 3)
    y, g_x, *g_parameters = train(layer, x, weights)
    sums = [np.zeros_like(g) for g in g_parameters]
    for i in np.ndindex(2, 3):
        y_alone, g_alone, *g_parameters_alone = train(layer, x[i], weights[i])
        np.testing.assert_allclose(y_alone, y[i], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(g_alone, g_x[i], rtol=1e-11, atol=1e-13)
        sums = [total + g for total, g in zip(sums, g_parameters_alone, strict=True)]
    for total, g in zip(sums, g_parameters, strict=True):
        np.testing.assert_allclose(total, g, rtol=1e-10, atol=1e-12)


@every_layer
def test_gradients_are_central_differences(row: Row) -> None:
    layer = row.layer()
    ag.gradcheck(layer, [row.inputs(2)], parameters=list(layer.parameters()), rtol=1e-4)


@every_layer
def test_float32_stays_float32(row: Row) -> None:
    layer, x, weights = row.layer(np.float32), row.inputs(2), weights_for(row, 2)
    wide = train(row.layer(), x, weights)
    for narrow, expected in zip(train(layer, x.astype(np.float32), weights), wide, strict=True):
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, expected, rtol=1e-3, atol=1e-3)


@every_layer
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_computes_the_same(row: Row, duplicate: Callable[[nn.Module], nn.Module]) -> None:
    layer, x = row.layer(), row.inputs(2)
    np.testing.assert_array_equal(duplicate(layer)(x).value, layer(x).value)


@every_layer_with_parameters
def test_parameters_are_saved_and_loaded_by_name(row: Row) -> None:
    layer, x = row.layer(), row.inputs(2)
    other: Any = row.make(rng=LockedRand(9), dtype=np.float64)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other(x).value, layer(x).value)


@every_layer_with_parameters
def test_weights_come_from_the_given_stream_and_biases_are_0(row: Row) -> None:
    state = row.make(rng=LockedRand(5), dtype=np.float32).state_dict()
    again = row.make(rng=LockedRand(5), dtype=np.float32).state_dict()
    manual_seed(5)
    default = row.make(rng=None, dtype=np.float32).state_dict()
    for name, value in state.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(again[name], value)
        np.testing.assert_array_equal(default[name], value)
        if "norm" not in name and "proj" not in name and "beta" not in name:
            assert value.any() != ("bias" in name)


@every_layer
def test_no_gradient_is_computed_where_none_is_asked_for(row: Row) -> None:
    layer, x, weights = row.layer(), row.inputs(2), weights_for(row, 2)
    _, g_x, *_ = train(layer, x, weights)
    for parameter in layer.parameters():
        parameter.requires_grad = False
    leaf = ag.var(x, requires_grad=True)
    layer(leaf).backward(weights)
    np.testing.assert_array_equal(leaf.grad, g_x)
    assert all(parameter.grad is None for parameter in layer.parameters())
    assert not layer(x).requires_grad


@pytest.mark.parametrize(
    ("row", "shape", "message"),
    [(row, shape, message) for row in FEED_FORWARD for shape, message in row.misfits],
    ids=lambda value: str(value)[:30],
)
def test_an_input_that_does_not_fit_is_refused(row: Row, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(message)):
        row.layer()(np.zeros(shape))


SIZES: list[tuple[Callable[[], Any], str]] = [
    (lambda: nn.Highway(0), "Highway: expected at least 1 feature, got 0"),
    (lambda: nn.SquaredDistance(3, 0), "SquaredDistance: expected sizes of at least 1, got 3 and 0"),
    (lambda: nn.Conv1d(0, 2, 3), "Conv1d: expected sizes of at least 1, got 0 and 2 channels"),
    (
        lambda: nn.Conv2d(4, 6, 3, groups=4),
        "Conv2d: expected groups that divide in_channels 4 and out_channels 6, got 4",
    ),
    (lambda: nn.Conv1d(2, 2, 0), "Conv1d: expected kernel_size to be a whole number, at least 1, got 0"),
    (lambda: nn.Conv2d(2, 2, (1, 2, 3)), "Conv2d: expected kernel_size to be a whole number or 2 of them, at least 1"),
    (lambda: nn.Conv2d(2, 2, 3, 0), "Conv2d: expected stride to be a whole number or 2 of them, at least 1, got 0"),
    (lambda: nn.Conv1d(2, 2, 3, 2, "same"), "Conv1d: expected stride 1 for padding 'same', got (2,)"),
    (lambda: nn.Conv1d(2, 2, 3, padding=-1), "Conv1d: expected padding to be a whole number, at least 0, got -1"),
    (
        lambda: nn.Conv1d(3, 2, 3, mask=[True]),
        "Conv1d: expected mask of shape (3,), one for each of in_channels, got (1,)",
    ),
    (
        lambda: nn.Conv2d(2, 2, 3, mask=[False, False]),
        "Conv2d: expected mask of booleans, True for at least one channel, got [False, ",
    ),
    (lambda: nn.Conv1d(2, 2, 3, mask=np.array([2, 1])), "Conv1d: expected mask of booleans, True for at least one"),
    (lambda: nn.Conv1x1(2, 0), "Conv1x1: expected sizes of at least 1, got 2 and 0 channels"),
    (lambda: nn.MaxPool1d(0), "MaxPool1d: expected kernel_size to be a whole number, at least 1, got 0"),
    (
        lambda: nn.MaxPool2d(2, stride=(1, 0)),
        "MaxPool2d: expected stride to be a whole number or 2 of them, at least 1",
    ),
    (lambda: nn.AvgPool1d(2, padding=-1), "AvgPool1d: expected padding to be a whole number, at least 0, got -1"),
    (
        lambda: nn.MaxPool1d(3, padding=2)(np.ones((1, 5))),
        "MaxPool1d: expected padding of at most half of kernel_size 3",
    ),
    (lambda: nn.SGU(3, 4), "SGU: expected an even number of features and at least 1 step, got 3 and 4"),
    (
        lambda: nn.GMLP(3, 4, 0),
        "GMLP: expected sizes of at least 1, and an even ff_mult · num_features, got num_features 3",
    ),
    (lambda: nn.GMLP(3, 4, 1, ff_mult=3), "seq_len 4, depth 1, ff_mult 3"),
    (
        lambda: nn.MixerBlock(3, 4, token_hidden=0, channel_hidden=1),
        "MixerBlock: expected sizes of at least 1, got num_features 3, seq_len 4, token_hidden 0, channel_hidden 1",
    ),
]


@pytest.mark.parametrize(("make", "message"), SIZES, ids=lambda value: value[:30] if isinstance(value, str) else "")
def test_settings_that_make_no_sense_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


# Activation

FUNCTIONS: list[Callable[[Array], ag.Node]] = [
    *(ag.identity, ag.tan, ag.tanh, ag.sigmoid, ag.log_sigmoid, ag.hard_sigmoid, ag.hard_tanh, ag.softsign, ag.relu),
    *(ag.leaky_relu, ag.elu, ag.positive_elu, ag.celu, ag.selu, ag.gelu, ag.silu, ag.mish, ag.softplus, ag.softshrink),
    *(ag.softmax, ag.log_softmax, ag.sparsemax),
]
GO_NAMES = (
    *("Identity", "Tan", "Tanh", "Sigmoid", "HardSigmoid", "HardTanh", "Softsign", "ReLU", "CELU", "GELU", "ELU"),
    *("PositiveELU", "SwishB", "Swish", "SiLU", "Mish", "LeakyReLU", "SELU", "SoftPlus", "SoftShrink", "Softmax"),
    *("LogSoftmax", "SparseMax"),
)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_an_activation_is_the_function_of_its_name(function: Callable[[Array], ag.Node]) -> None:
    x = np.linspace(-1.0, 1.4, 7)
    np.testing.assert_array_equal(nn.Activation(function.__name__)(x).value, function(x).value)


@pytest.mark.parametrize("name", GO_NAMES)
def test_an_activation_is_known_by_the_name_of_the_reference(name: str) -> None:
    x = np.linspace(-1.0, 1.4, 7)
    np.testing.assert_array_equal(nn.Activation(name)(x).value, nn.Activation(name.lower())(x).value)


def test_settings_of_an_activation_are_those_of_the_function() -> None:
    x = np.linspace(-2.0, 2.0, 7)
    np.testing.assert_array_equal(
        nn.Activation("threshold", threshold=0.5, value=-3.0)(x).value, ag.threshold(x, 0.5, -3.0).value
    )
    np.testing.assert_array_equal(
        nn.Activation("gelu", approximate="tanh")(x).value, ag.gelu(x, approximate="tanh").value
    )
    np.testing.assert_array_equal(
        nn.Activation("SwishB", beta=0.5, dtype=np.float64)(x).value, ag.swish_b(x, 0.5).value
    )
    assert repr(nn.Activation("LeakyReLU", alpha=0.5)) == "Activation(leaky_relu, alpha=0.5): 0 parameters"


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, "Activation: expected one of celu, elu, gelu, ", lambda: nn.Activation("rectifier")),
        (TypeError, "Activation: expected the settings of relu: got an unexpected keyword argument 'alpha'",
         lambda: nn.Activation("relu", alpha=1.0)),
        (TypeError, "Activation: expected the settings of threshold: missing a required argument: 'value'",
         lambda: nn.Activation("threshold", threshold=1.0)),
    ],
)  # fmt: skip
def test_an_activation_that_is_none_is_refused(
    error: type[Exception], message: str, make: Callable[[], nn.Activation]
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()


# Highway


def test_a_closed_highway_lets_everything_through() -> None:
    highway, x = nn.Highway(3, dtype=np.float64), np.random.default_rng(1).normal(size=(4, 3))
    highway.bias_t.value[...] = -1e4
    np.testing.assert_array_equal(highway(x).value, x)


# Flatten


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ((), (2, 3, 4), (2, 12)),
        ((), (2, 3), (2, 3)),
        ((0,), (2, 3, 4), (24,)),
        ((0, 1), (2, 3, 4), (6, 4)),
        ((-2,), (0, 3, 4), (0, 12)),
        ((0,), (), (1,)),
    ],
)
def test_flatten_makes_axes_one(axes: tuple[int, ...], shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    x = np.arange(float(np.prod(shape))).reshape(shape)
    y = nn.Flatten(*axes)(x).value
    assert y.shape == expected
    np.testing.assert_array_equal(y.ravel(), x.ravel())


def test_flatten_joins_several() -> None:
    assert nn.Flatten(0)([np.array([[1.0, 2.0]]), ag.var([3.0])]).value.tolist() == [1, 2, 3]
    assert nn.Flatten()((np.ones((5, 2, 3)), np.ones((5, 4)))).shape == (5, 10)
    with pytest.raises(ShapeError, match="Flatten: expected start_axis before end_axis, got 2 and 1 of shape"):
        nn.Flatten(2, 1)(np.ones((2, 3, 4)))


# SquaredDistance


def test_the_squared_distance_of_a_difference_is_symmetric_and_0_for_equals() -> None:
    distance, xs = nn.SquaredDistance(3, 2, dtype=np.float64), np.random.default_rng(1).normal(size=(5, 3))
    d = distance(xs[:, None] - xs).value
    np.testing.assert_array_equal(d, d.T)
    assert not d.diagonal().any()
    b = distance.weight.value
    np.testing.assert_allclose(d[0, 1], np.sum((b @ xs[0] - b @ xs[1]) ** 2), rtol=1e-12)


# Convolution


def test_a_masked_channel_is_not_read_and_its_weights_do_not_learn() -> None:
    conv = nn.Conv1d(3, 2, 2, mask=[True, False, True], dtype=np.float64)
    x = np.random.default_rng(1).normal(size=(4, 3, 6))
    y = conv(x).value
    for junk in (np.nan, np.inf, 1e300):
        leaf = ag.var(np.where([[True], [False], [True]], x, junk), requires_grad=True)
        conv.zero_grad()
        result = conv(leaf)
        result.backward()
        np.testing.assert_array_equal(result.value, y)
        assert not leaf.grad[:, 1].any()
        assert not conv.weight.grad[:, 1].any()
        assert conv.weight.grad[:, 0].any()


def test_a_masked_channel_of_a_depth_wise_convolution_gives_its_bias() -> None:
    conv = nn.Conv2d(2, 2, 2, groups=2, mask=[False, True], dtype=np.float64)
    assert conv.bias is not None
    conv.bias.value[...] = 7.0
    y = conv(np.random.default_rng(1).normal(size=(2, 3, 3))).value
    assert (y[0] == 7).all()
    assert (y[1] != 7).all()


def test_conv1x1_is_conv1d_with_a_kernel_of_size_1() -> None:
    one, conv = nn.Conv1x1(3, 2, dtype=np.float64), nn.Conv1d(3, 2, 1, dtype=np.float64)
    conv.load_state_dict({"weight": one.weight.value[..., None], "bias": np.zeros(2)})
    x = np.random.default_rng(1).normal(size=(4, 3, 6))
    np.testing.assert_allclose(one(x).value, conv(x).value, rtol=1e-13)
    np.testing.assert_allclose(one(x).value, one.weight.value @ x, rtol=1e-12)


def test_a_convolution_in_small_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = nn.Conv2d(3, 4, 3, padding=1, dtype=np.float64), np.random.default_rng(1).normal(size=(2, 3, 9, 8))
    whole = train(conv, x, np.ones((2, 4, 9, 8)))
    monkeypatch.setattr("spago.ag._convolution._BLOCK", 1)
    monkeypatch.setattr("spago.ag._convolution._NARROWEST", 7)
    for part, expected in zip(train(conv, x, np.ones((2, 4, 9, 8))), whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-11, atol=1e-12)


def test_the_result_of_a_convolution_lies_in_memory_in_the_order_of_its_axes() -> None:
    assert nn.Conv2d(3, 4, 2)(np.ones((2, 3, 9, 8), np.float32)).value.flags.c_contiguous


def test_a_convolution_tells_its_settings() -> None:
    assert nn.Conv1d(2, 4, 3).extra_repr() == "2, 4, (3,)"
    conv = nn.Conv2d(2, 4, 3, 2, 1, dilation=(1, 2), groups=2, padding_mode="reflect")
    assert conv.extra_repr() == (
        "2, 4, (3, 3), stride=(2, 2), padding=1, dilation=(1, 2), groups=2, padding_mode=reflect"
    )


def test_an_unknown_padding_mode_is_refused() -> None:
    untyped: Any = nn.Conv1d
    with pytest.raises(ValueError, match="Conv1d: expected padding_mode one of zeros, reflect, .* got 'mirror'"):
        untyped(2, 2, 3, padding_mode="mirror")


# Pooling


def test_of_equals_in_a_window_the_first_has_the_gradient() -> None:
    x = ag.var(np.zeros((4, 4)), requires_grad=True)
    nn.MaxPool2d(2)(x).backward()
    assert x.grad.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]] * 2


def test_the_maximum_of_negative_numbers_is_not_the_padding() -> None:
    assert nn.MaxPool1d(3, 1, 1)(np.array([-5.0, -3.0, -4.0])).value.tolist() == [-3, -3, -3]


def test_nan_is_not_pooled_away() -> None:
    x = ag.var(np.array([1.0, np.nan, 2.0, 3.0]), requires_grad=True)
    y = nn.MaxPool1d(2)(x)
    y.backward(np.array([5.0, 7.0]))
    np.testing.assert_array_equal(y.value, [np.nan, 3.0])
    assert x.grad.tolist() == [0, 5, 0, 7]


# Mixers


def test_a_new_gating_unit_lets_the_first_half_through() -> None:
    sgu, x = nn.SGU(4, 3, dtype=np.float64), np.random.default_rng(1).normal(size=(2, 3, 4))
    np.testing.assert_allclose(sgu(x).value, x[..., :2], atol=0.02)


def test_a_gmlp_fills_shorter_sequences_with_zeros() -> None:
    gmlp, x = nn.GMLP(2, 4, depth=2, dtype=np.float64), np.random.default_rng(1).normal(size=(3, 2, 2))
    filled = np.concatenate([x, np.zeros((3, 2, 2))], axis=1)
    np.testing.assert_array_equal(gmlp(x).value, gmlp(filled).value)


def test_a_mixer_without_networks_is_the_identity() -> None:
    mixer = nn.MixerBlock(3, 4, token_hidden=2, channel_hidden=5, dtype=np.float64)
    for network in (mixer.token_mixer, mixer.channel_mixer):
        for parameter in network.parameters():
            parameter.value[...] = 0
    x = np.random.default_rng(1).normal(size=(2, 4, 3))
    np.testing.assert_array_equal(mixer(x).value, x)
