"""Convolution and pooling beside PyTorch's: values, and gradients of inputs and parameters, in float64."""

from itertools import product
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spago import ag, nn  # noqa: E402

# Of PyTorch: it copies its input there.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")


def check(ours: nn.Module, theirs: Any, shape: tuple[int, ...], *, ties: bool = False) -> None:
    """Load the parameters of a layer of PyTorch, and compare all that a step of training sees."""
    rng = np.random.default_rng(4)
    theirs = theirs.double()
    nn.from_torch(ours, theirs.state_dict())
    x = rng.integers(-2, 3, shape).astype(np.float64) if ties else rng.normal(size=shape)
    node, tensor = ag.var(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = ours(node), theirs(tensor)
    assert y.shape == tuple(expected.shape)
    g = rng.normal(size=y.shape)
    y.backward(g)
    expected.backward(torch.tensor(g))
    pairs = [(y.value, expected.detach()), (node.grad, tensor.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
    for actual, wanted in pairs:
        np.testing.assert_allclose(actual, wanted.numpy(), rtol=1e-10, atol=1e-10)


CONVOLUTIONS: list[dict[str, Any]] = [
    dict(stride=s, padding=p, dilation=d, groups=g)
    for s, p, d, g in product((1, 2, 3), (0, 2, "same", "valid"), (1, 2), (1, 2, 4))
    if p != "same" or s == 1
]


def told(settings: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in settings.items())


@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=told)
def test_conv1d(settings: dict[str, Any]) -> None:
    torch.manual_seed(1)
    check(nn.Conv1d(4, 8, 3, dtype=np.float64, **settings), torch.nn.Conv1d(4, 8, 3, **settings), (3, 4, 11))


@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=told)
def test_conv2d(settings: dict[str, Any]) -> None:
    torch.manual_seed(1)
    size = (2, 3)
    if settings["stride"] > 1:
        settings = settings | {"stride": (settings["stride"], 1)}
    check(nn.Conv2d(4, 8, size, dtype=np.float64, **settings), torch.nn.Conv2d(4, 8, size, **settings), (2, 4, 7, 8))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [3, "same"])
def test_padding_modes(mode: Any, padding: Any) -> None:
    torch.manual_seed(1)
    settings = {"padding": padding, "padding_mode": mode, "bias": False}
    check(nn.Conv1d(2, 3, 4, dtype=np.float64, **settings), torch.nn.Conv1d(2, 3, 4, **settings), (2, 2, 6))
    check(nn.Conv2d(2, 3, 4, dtype=np.float64, **settings), torch.nn.Conv2d(2, 3, 4, **settings), (2, 2, 6, 5))


def test_without_batch_and_with_much_padding() -> None:
    check(nn.Conv1d(2, 3, 2, 3, 5, dtype=np.float64), torch.nn.Conv1d(2, 3, 2, 3, 5), (2, 1))
    check(nn.Conv2d(2, 3, 1, (3, 2), dtype=np.float64), torch.nn.Conv2d(2, 3, 1, (3, 2)), (2, 8, 8))


def test_conv1x1() -> None:
    theirs = torch.nn.Conv1d(3, 2, 1).double()
    ours = nn.Conv1x1(3, 2, dtype=np.float64)
    ours.load_state_dict({"weight": theirs.weight.detach()[..., 0], "bias": theirs.bias.detach()})
    x = np.random.default_rng(1).normal(size=(4, 3, 5))
    np.testing.assert_allclose(ours(x).value, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-10)


POOLINGS: list[dict[str, Any]] = [
    dict(kernel_size=k, stride=s, padding=p, ceil_mode=c)
    for k, s, p, c in product((1, 2, 3), (None, 1, 2, 3), (0, 1), (False, True))
    if k > p
]


@pytest.mark.parametrize("settings", POOLINGS, ids=told)
@pytest.mark.parametrize("dilation", [1, 2])
def test_max_pooling(settings: dict[str, Any], dilation: int) -> None:
    settings = settings | {"dilation": dilation}
    for ties in (False, True):
        check(nn.MaxPool1d(**settings), torch.nn.MaxPool1d(**settings), (2, 3, 11), ties=ties)
        check(nn.MaxPool2d(**settings), torch.nn.MaxPool2d(**settings), (2, 3, 8, 11), ties=ties)


@pytest.mark.parametrize("settings", POOLINGS, ids=told)
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_average_pooling(settings: dict[str, Any], count_include_pad: bool) -> None:
    settings = settings | {"count_include_pad": count_include_pad}
    check(nn.AvgPool1d(**settings), torch.nn.AvgPool1d(**settings), (2, 3, 11))
    check(nn.AvgPool2d(**settings), torch.nn.AvgPool2d(**settings), (2, 3, 8, 11))


def test_pooling_over_windows_that_are_no_squares() -> None:
    check(nn.MaxPool2d((2, 3), (1, 2), (1, 0)), torch.nn.MaxPool2d((2, 3), (1, 2), (1, 0)), (3, 5, 8))
    check(nn.AvgPool2d((2, 3), (1, 2), (1, 0)), torch.nn.AvgPool2d((2, 3), (1, 2), (1, 0)), (3, 5, 8))


@pytest.mark.parametrize("axes", [(), (0,), (1, 2), (-2, -1)])
def test_flatten(axes: tuple[int, ...]) -> None:
    check(nn.Flatten(*axes), torch.nn.Flatten(*axes), (2, 3, 4, 5))
