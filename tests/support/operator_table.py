"""All operators of `spago.ag`: what they compute in plain NumPy, and on what they are tested."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spago import ag, mat

Shape: TypeAlias = tuple[int, ...]
Floats: TypeAlias = npt.NDArray[Any]

ONE: list[tuple[Shape, ...]] = [((5,),), ((2, 3),), ((2, 1, 3),), ((1,),), ((),), ((0, 3),)]
"""Shapes of one operand of any rank."""

ROWS_OF_ONE: list[tuple[Shape, ...]] = [((4,),), ((2, 3),), ((2, 2, 3),), ((1,),), ((3, 1),), ((0, 3),)]
"""Shapes of one operand with at least one axis, along which there is something."""

TWO: list[tuple[Shape, ...]] = [
    *[((4,), (4,)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((1, 3), (2, 1)), ((2, 3), ()), ((), (2, 3))],
    *[((2, 1, 3), (4, 1)), ((), ()), ((1,), (1,)), ((0, 3), (3,))],
]
"""Shapes of two operands that are broadcast."""


@dataclass(frozen=True)
class Row:
    """One operator with one choice of settings.

    Attributes:
        operator: The public function.
        numpy: The same on arrays.
        shapes: Of the operands, a choice a tuple.
        settings: Keyword arguments of both.
        domain: From where the elements of operands are drawn.
        kinks: Where the derivative jumps; elements keep away from there.
        call: How to call the operator, where not as `operator(*operands, **settings)`.
    """

    operator: Callable[..., Any]
    numpy: Callable[..., Any]
    shapes: Sequence[tuple[Shape, ...]]
    settings: dict[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)
    kinks: tuple[float, ...] = ()
    call: Callable[..., Any] | None = None

    def __str__(self) -> str:
        settings = ",".join(f"{name}={value}".replace(" ", "") for name, value in self.settings.items())
        return f"{self.operator.__name__}({settings})" if settings else self.operator.__name__


@dataclass(frozen=True)
class Sample:
    """An operator, and operands for it."""

    row: Row
    shapes: tuple[Shape, ...]

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, shape)) or "scalar" for shape in self.shapes)
        return f"{self.row}-{shapes}"

    def operands(self, dtype: npt.DTypeLike = np.float64) -> list[Floats]:
        """The operands, the same at every call."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        low, high = self.row.domain
        operands = []
        for shape in self.shapes:
            x = rng.uniform(low, high, shape)
            for kink in self.row.kinks:
                x = np.where(np.abs(x - kink) < 0.05, x + 0.1, x)
            operands.append(np.asarray(x, dtype))
        return operands

    def run(self, *operands: Any) -> tuple[ag.Node, ...]:
        """The results of the operator, also of an only one, as a tuple."""
        results = (self.row.call or self.row.operator)(*operands, **self.row.settings)
        return (results,) if isinstance(results, ag.Node) else tuple(results)

    def expected(self) -> list[Floats]:
        """The results by NumPy."""
        with np.errstate(all="ignore"):
            results = self.row.numpy(*self.operands(), **self.row.settings)
        return [np.asarray(y) for y in (results if isinstance(results, tuple | list) else [results])]


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _erf(x: Floats) -> Floats:
    y: Floats = np.reshape([math.erf(v) for v in np.ravel(x)], np.shape(x))
    return y


def _gelu(x: Floats, approximate: str = "none") -> Floats:
    tanh = approximate == "tanh"
    y: Floats = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)) if tanh else _erf(x / math.sqrt(2))
    return np.asarray(0.5 * x * (1 + y))


def _softmax(x: Floats, axis: int = -1) -> Floats:
    e = np.exp(x)
    y: Floats = e / e.sum(axis=axis, keepdims=True)
    return y


def _sparsemax(x: Floats, axis: int = -1) -> Floats:
    return np.apply_along_axis(_sparsemax_of_row, axis, x) if x.size else x


def _sparsemax_of_row(x: Floats) -> Floats:
    return np.maximum(x - _threshold_of_row(x), 0)


def _threshold_of_row(x: Floats) -> float:
    """The τ at which the excesses over it sum to 1, by bisection."""
    low, high = float(x.max()) - 1, float(x.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(x - middle, 0).sum() > 1 else (low, middle)
    return low


def _sparsemax_loss(x: Floats, axis: int = -1) -> Floats:
    return np.apply_along_axis(_sparsemax_loss_of_row, axis, x) if x.size else x


def _sparsemax_loss_of_row(x: Floats) -> Floats:
    tau = _threshold_of_row(x)
    loss: Floats = x - 0.5 * np.sum(x[x > tau] ** 2 - tau**2) - 0.5
    return loss


def _max_pooling(x: Floats, rows: int, columns: int) -> Floats:
    y = np.zeros((*x.shape[:-2], x.shape[-2] // rows, x.shape[-1] // columns))
    for *batch, i, j in np.ndindex(y.shape):
        window = np.s_[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        y[(*batch, i, j)] = x[(*batch, *window)].max()
    return y


def _windows(x: Floats, sizes: Any, *settings: Any, value: float) -> Iterator[Any]:
    """Each place, how many there are, and the window of x there; the settings are stride, padding and dilation."""
    axes = len(sizes)
    each = [(setting,) * axes if isinstance(setting, int) else setting for setting in settings]
    x = np.pad(x, [(0, 0)] * (x.ndim - axes) + [(p, p) for p in each[1]], constant_values=value)
    reach = [(k - 1) * d + 1 for k, d in zip(sizes, each[2], strict=True)]
    count = [(n - r) // s + 1 for n, r, s in zip(x.shape[-axes:], reach, each[0], strict=True)]
    for place in np.ndindex(*count):
        axes_of_window = zip(place, each[0], reach, each[2], strict=True)
        index: tuple[Any, ...] = (..., *(slice(i * s, i * s + r, d) for i, s, r, d in axes_of_window))
        yield place, count, x[index]


def _conv(
    x: Floats, w: Floats, b: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Floats:
    out, axes = len(w), w.ndim - 2
    y: Any = None
    for place, count, window in _windows(x, w.shape[2:], stride, padding, dilation, value=0.0):
        y = np.zeros((*x.shape[: -axes - 1], out, *count)) if y is None else y
        for o in range(out):
            first = o // (out // groups) * w.shape[1]
            seen = window[(..., slice(first, first + w.shape[1]), *[slice(None)] * axes)]
            y[(..., o, *place)] = np.sum(seen * w[o], axis=tuple(range(-axes - 1, 0))) + (0 if b is None else b[o])
    return np.asarray(y)


def _pool(function: Callable[..., Any], value: float, axes: int) -> Callable[..., Floats]:
    """Pooling over so many axes, with windows as functions of NumPy reduce them."""

    def pool(x: Floats, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> Floats:
        sizes = (kernel_size,) * axes if isinstance(kernel_size, int) else kernel_size
        y: Any = None
        for place, count, window in _windows(
            x, sizes, sizes if stride is None else stride, padding, dilation, value=value
        ):
            y = np.zeros((*x.shape[:-axes], *count)) if y is None else y
            y[(..., *place)] = function(window, axis=tuple(range(-axes, 0)))
        return np.asarray(y)

    return pool


def _getitem(x: Floats, index: Any) -> Any:
    return x[index]


def _dropout(x: Floats, p: float) -> Floats:
    mask = mat.rand.LockedRand(7).bernoulli(x.shape, p, x.dtype)
    y: Floats = x * mask / (1 - p)
    return y


def _mask(x: Any) -> npt.NDArray[np.bool_]:
    """A condition of the shape of x."""
    mask: npt.NDArray[np.bool_] = np.arange(np.size(x)).reshape(np.shape(x)) % 3 == 0
    return mask


COLUMN = np.array([[True], [False]])

EINSUMS: dict[str, list[tuple[Shape, ...]]] = {
    "ij,jk->ik": [((2, 3), (3, 4)), ((1, 1), (1, 1)), ((2, 0), (0, 3)), ((2, 1), (3, 2))],
    "ij,jk": [((2, 3), (3, 4))],
    "ij->ji": [((2, 3),), ((0, 2),)],
    "ij->": [((2, 3),), ((1, 1),)],
    "ii->i": [((3, 3),), ((1, 1),)],
    "ii": [((3, 3),)],
    "iji,j->i": [((2, 3, 2), (3,))],
    "i,j,k->kj": [((2,), (3,), (4,)), ((1,), (2,), (0,))],
    "...ij,...jk->...ik": [((2, 3), (3, 2)), ((4, 2, 3), (3, 2)), ((4, 1, 2, 3), (5, 3, 2))],
    "b...,b->...b": [((2, 3), (2,)), ((2, 3, 1), (2,))],
    "bij,bik,bjk->b": [((2, 3, 1), (2, 3, 2), (2, 1, 2))],
}

# fmt: off
TABLE = [
    # Arithmetic
    Row(ag.add, np.add, TWO),
    Row(ag.sub, np.subtract, TWO),
    Row(ag.mul, np.multiply, TWO),
    Row(ag.div, np.divide, TWO, kinks=(0,)),
    Row(ag.neg, np.negative, ONE),
    Row(ag.pow, np.power, TWO, domain=(0.2, 2.0)),
    Row(ag.pow, lambda x: x**3, ONE, call=lambda x: ag.pow(x, 3)),
    Row(ag.pow, lambda x: 1.5**x, ONE, call=lambda x: ag.pow(1.5, x)),
    Row(ag.maximum, np.maximum, TWO),
    Row(ag.minimum, np.minimum, TWO),
    Row(ag.clip, lambda x, low, high: np.clip(x, low, high), ONE, dict(low=-0.5, high=1.0), kinks=(-0.5, 1.0)),
    Row(ag.clip, lambda x, low: np.maximum(x, low), ONE, dict(low=0.0), kinks=(0.0,)),
    Row(ag.clip, lambda x, high: np.minimum(x, high), [((2, 3),)], dict(high=np.array([0.0, 0.5, 1.0])),
        kinks=(0.0, 0.5, 1.0)),
    Row(ag.where, lambda a, b: np.where(COLUMN, a, b), [((2, 3), (2, 3)), ((3,), (2, 1)), ((), (3,)), ((0,), ())],
        call=lambda a, b: ag.where(COLUMN, a, b)),
    Row(ag.where, lambda x: np.where(_mask(x), x, 2.0), ONE, call=lambda x: ag.where(_mask(x), x, 2.0)),
    Row(ag.astype, lambda x, dtype: x, ONE, dict(dtype=np.float64)),
    # Elementary functions
    Row(ag.identity, np.copy, ONE),
    Row(ag.abs, np.abs, ONE, kinks=(0,)),
    Row(ag.reciprocal, np.reciprocal, ONE, kinks=(0,)),
    Row(ag.square, np.square, ONE),
    Row(ag.sqrt, np.sqrt, ONE, domain=(0.1, 3.0)),
    Row(ag.exp, np.exp, ONE),
    Row(ag.log, np.log, ONE, domain=(0.1, 3.0)),
    Row(ag.expm1, np.expm1, ONE),
    Row(ag.log1p, np.log1p, ONE, domain=(-0.8, 3.0)),
    Row(ag.erf, np.vectorize(math.erf, otypes=[float]), ONE),
    Row(ag.sin, np.sin, ONE),
    Row(ag.cos, np.cos, ONE),
    Row(ag.tan, np.tan, ONE, domain=(-1.2, 1.2)),
    # Activations
    Row(ag.sigmoid, _sigmoid, ONE),
    Row(ag.log_sigmoid, lambda x: np.log(_sigmoid(x)), ONE),
    Row(ag.tanh, np.tanh, ONE),
    Row(ag.hard_sigmoid, lambda x: np.clip(0.2 * x + 0.5, 0, 1), ONE, domain=(-5, 5), kinks=(-2.5, 2.5)),
    Row(ag.hard_tanh, lambda x: np.clip(x, -1, 1), ONE, kinks=(-1, 1)),
    Row(ag.relu, lambda x: np.maximum(x, 0), ONE, kinks=(0,)),
    Row(ag.leaky_relu, lambda x, alpha=0.01: np.where(x > 0, x, alpha * x), ONE, kinks=(0,)),
    Row(ag.leaky_relu, lambda x, alpha: np.where(x > 0, x, alpha * x), ONE, dict(alpha=-0.3), kinks=(0,)),
    Row(ag.elu, lambda x: np.where(x > 0, x, np.exp(x) - 1), ONE, kinks=(0,)),
    Row(ag.elu, lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)), ONE, dict(alpha=0.7), kinks=(0,)),
    Row(ag.positive_elu, lambda x: np.where(x > 0, x + 1, np.exp(x)), ONE, kinks=(0,)),
    Row(ag.celu, lambda x: np.where(x > 0, x, np.exp(x) - 1), ONE, kinks=(0,)),
    Row(ag.celu, lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x / alpha) - 1)), ONE, dict(alpha=0.7),
        kinks=(0,)),
    Row(ag.selu, lambda x: np.where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * (np.exp(x) - 1)), ONE,
        kinks=(0,)),
    Row(ag.selu, lambda x, alpha, scale: scale * np.where(x > 0, x, alpha * (np.exp(x) - 1)), ONE,
        dict(alpha=0.7, scale=1.3), kinks=(0,)),
    Row(ag.softplus, lambda x: np.log(1 + np.exp(x)), ONE),
    Row(ag.softplus, lambda x, beta, threshold: np.where(x > threshold, x, np.log(1 + np.exp(beta * x)) / beta), ONE,
        dict(beta=2.0, threshold=0.5), kinks=(0.5,)),
    Row(ag.softshrink, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), ONE, kinks=(-0.5, 0.5)),
    Row(ag.softshrink, lambda x, threshold: np.sign(x) * np.maximum(np.abs(x) - threshold, 0), ONE,
        dict(threshold=1.0), kinks=(-1, 1)),
    Row(ag.threshold, lambda x, threshold, value: np.where(x > threshold, x, value), ONE,
        dict(threshold=0.3, value=-7.0), kinks=(0.3,)),
    Row(ag.softsign, lambda x: x / (1 + np.abs(x)), ONE, kinks=(0,)),
    Row(ag.mish, lambda x: x * np.tanh(np.log(1 + np.exp(x))), ONE),
    Row(ag.gelu, _gelu, ONE),
    Row(ag.gelu, _gelu, ONE, dict(approximate="tanh")),
    Row(ag.silu, lambda x: x * _sigmoid(x), ONE),
    Row(ag.swish_b, lambda x, beta: x * _sigmoid(beta * x), TWO),
    # Softmax and its relatives
    Row(ag.softmax, _softmax, ROWS_OF_ONE),
    Row(ag.softmax, _softmax, [((3, 2),), ((2, 3, 1),), ((1, 4),)], dict(axis=0)),
    Row(ag.log_softmax, lambda x: np.log(_softmax(x)), ROWS_OF_ONE),
    Row(ag.log_softmax, lambda x, axis: np.log(_softmax(x, axis)), [((3, 2),), ((2, 3, 1),), ((1, 4),)], dict(axis=0)),
    Row(ag.logsumexp, lambda x: np.log(np.exp(x).sum(-1)), ROWS_OF_ONE),
    Row(ag.logsumexp, lambda x, axis: np.log(np.exp(x).sum(axis)), [((3, 2),), ((5,),), ((1,),)], dict(axis=None)),
    Row(ag.logsumexp, lambda x, axis, keepdims: np.log(np.exp(x).sum(axis, keepdims=keepdims)),
        [((2, 3, 2),), ((1, 2, 3),), ((2, 0, 3),)], dict(axis=(0, 2), keepdims=True)),
    Row(ag.sparsemax, _sparsemax, ROWS_OF_ONE),
    Row(ag.sparsemax, _sparsemax, [((3, 2),), ((2, 3, 1),), ((1, 4),)], dict(axis=0), domain=(-0.5, 0.5)),
    Row(ag.sparsemax_loss, _sparsemax_loss, ROWS_OF_ONE),
    Row(ag.sparsemax_loss, _sparsemax_loss, [((3, 2),), ((2, 3, 1),), ((1, 4),)], dict(axis=0), domain=(-0.5, 0.5)),
    # Reductions
    Row(ag.sum, np.sum, ONE),
    Row(ag.sum, np.sum, [((2, 3),), ((3, 1, 2),), ((1, 1),), ((0, 3),)], dict(axis=0, keepdims=True)),
    Row(ag.sum, np.sum, [((2, 3, 4),), ((1, 2, 1),), ((2, 0, 3),)], dict(axis=(0, -1))),
    Row(ag.prod, np.prod, ONE),
    Row(ag.prod, np.prod, [((3, 2),), ((2, 1, 3),), ((1, 1),), ((2, 0),)], dict(axis=0)),
    Row(ag.prod, np.prod, [((2, 3, 4),), ((1, 2, 1),), ((2, 0, 3),)], dict(axis=(2, 0), keepdims=True)),
    Row(ag.mean, np.mean, [((5,),), ((2, 3),), ((1,),), ((),)]),
    Row(ag.mean, np.mean, [((2, 3),), ((3, 1),), ((0, 3),)], dict(axis=-1)),
    Row(ag.mean, np.mean, [((2, 3, 4),), ((1, 2, 1),), ((2, 0, 3),)], dict(axis=(0, 2), keepdims=True)),
    Row(ag.variance, np.var, [((5,),), ((2, 3),), ((1,),), ((),)]),
    Row(ag.variance, np.var, [((3, 2),), ((4, 1, 2),), ((2, 0),)], dict(axis=0, ddof=1)),
    Row(ag.variance, np.var, [((3, 2, 2),), ((1, 2, 3),)], dict(axis=(0, 2), keepdims=True)),
    Row(ag.std, np.std, [((5,),), ((2, 3),), ((2, 2, 2),)]),
    Row(ag.std, np.std, [((3, 2),), ((4, 1, 2),), ((2, 0),)], dict(axis=0, ddof=1)),
    Row(ag.std, np.std, [((3, 2, 2),), ((1, 2, 3),)], dict(axis=(0, 2), keepdims=True)),
    Row(ag.norm, lambda x: np.sqrt(np.sum(x * x)), [((5,),), ((2, 3),), ((1,),)]),
    Row(ag.norm, lambda x, axis, keepdims: np.linalg.norm(x, axis=axis, keepdims=keepdims),
        [((2, 3),), ((3, 2, 2),), ((1, 2),), ((0, 3),)], dict(axis=-1, keepdims=True)),
    Row(ag.max, np.max, [((5,),), ((2, 3),), ((1,),), ((),)]),
    Row(ag.max, np.max, [((3, 2),), ((2, 1, 3),), ((1, 1),), ((2, 0),)], dict(axis=0)),
    Row(ag.max, np.max, [((2, 3, 4),), ((1, 2, 1),), ((2, 0, 3),)], dict(axis=(2, 0), keepdims=True)),
    Row(ag.min, np.min, [((5,),), ((2, 3),), ((1,),), ((),)]),
    Row(ag.min, np.min, [((3, 2),), ((2, 1, 3),), ((1, 1),), ((2, 0),)], dict(axis=0)),
    Row(ag.min, np.min, [((2, 3, 4),), ((1, 2, 1),), ((2, 0, 3),)], dict(axis=(2, 0), keepdims=True)),
    Row(ag.cumsum, lambda x: np.cumsum(x, -1), ROWS_OF_ONE),
    Row(ag.cumsum, np.cumsum, [((3, 2),), ((2, 1, 3),), ((0, 2),)], dict(axis=0)),
    # Shapes
    Row(ag.reshape, np.reshape, [((6,),), ((2, 3),), ((1, 6),)], dict(shape=(3, 2))),
    Row(ag.reshape, np.reshape, ONE, dict(shape=-1)),
    Row(ag.flatten, np.ravel, ONE),
    Row(ag.transpose, np.transpose, ONE),
    Row(ag.transpose, np.transpose, [((2, 3, 4),), ((1, 2, 1),), ((2, 0, 3),)], dict(axes=(2, 0, -2))),
    Row(ag.swapaxes, np.swapaxes, [((2, 3),), ((2, 3, 4),), ((1, 1),), ((0, 2),)], dict(axis1=0, axis2=-1)),
    Row(ag.expand_dims, np.expand_dims, ONE, dict(axis=0)),
    Row(ag.expand_dims, np.expand_dims, ONE, dict(axis=(0, -1))),
    Row(ag.squeeze, np.squeeze, ONE),
    Row(ag.squeeze, np.squeeze, [((2, 1),), ((2, 1, 3),), ((0, 1),)], dict(axis=1)),
    Row(ag.broadcast_to, np.broadcast_to, [((3,),), ((1,),), ((),), ((2, 1),), ((4, 1, 3),)], dict(shape=(4, 2, 3))),
    Row(ag.broadcast_to, np.broadcast_to, [((1,),), ((0, 1),)], dict(shape=(0, 3))),
    Row(ag.repeat, lambda x, repeats: np.repeat(x, repeats, -1), ROWS_OF_ONE, dict(repeats=2)),
    Row(ag.repeat, np.repeat, [((3, 2),), ((1,),), ((0, 2),)], dict(repeats=3, axis=0)),
    Row(ag.tile, lambda x, repeats: np.tile(x, repeats), ONE, dict(repeats=2)),
    Row(ag.tile, lambda x, repeats: np.tile(x, repeats), ONE, dict(repeats=(2, 1, 3, 2))),
    Row(ag.tril, np.tril, [((3, 3),), ((2, 3, 4),), ((1, 1),), ((0, 3),)]),
    Row(ag.tril, np.tril, [((3, 3),), ((2, 4, 3),)], dict(k=-1)),
    Row(ag.triu, np.triu, [((3, 3),), ((2, 3, 4),), ((1, 1),), ((0, 3),)]),
    Row(ag.triu, np.triu, [((3, 3),), ((2, 4, 3),)], dict(k=1)),
    Row(ag.roll, lambda x, shift: np.roll(x, shift, -1), ROWS_OF_ONE, dict(shift=1)),
    Row(ag.roll, np.roll, [((4, 2),), ((5,),), ((1, 2),)], dict(shift=-2, axis=0)),
    Row(ag.flip, np.flip, ONE),
    Row(ag.flip, np.flip, ROWS_OF_ONE, dict(axis=0)),
    Row(ag.pad, lambda x, widths: np.pad(x, widths), ROWS_OF_ONE, dict(widths=1)),
    Row(ag.pad, lambda x, widths, value: np.pad(x, widths, constant_values=value), [((2, 3),), ((1, 1),), ((0, 2),)],
        dict(widths=((0, 1), (2, 0)), value=-3.0)),
    # Joining and splitting
    Row(ag.concat, lambda *xs: np.concatenate(xs, -1), [((2,), (3,)), ((2, 1), (2, 3), (2, 2)), ((0,), (1,)), ((4,),)],
        call=lambda *xs: ag.concat(xs)),
    Row(ag.concat, lambda *xs, axis: np.concatenate(xs, axis), [((2, 3), (1, 3)), ((1, 2),), ((0, 2), (3, 2))],
        dict(axis=0), call=lambda *xs, axis: ag.concat(xs, axis)),
    Row(ag.stack, lambda *xs: np.stack(xs), [((3,), (3,)), ((2, 3),), ((), (), ()), ((0,), (0,))],
        call=lambda *xs: ag.stack(xs)),
    Row(ag.stack, lambda *xs, axis: np.stack(xs, axis), [((3,), (3,)), ((2, 3), (2, 3), (2, 3)), ((1,),)],
        dict(axis=-1), call=lambda *xs, axis: ag.stack(xs, axis)),
    Row(ag.append_rows, lambda x, *rows: np.vstack([x, *(np.ravel(row) for row in rows)]),
        [((2, 3), (3,)), ((1, 2), (2, 1), (1, 2)), ((0, 2), (2,)), ((2, 2),)]),
    Row(ag.split, lambda x, parts: np.split(x, parts, -1), [((4,),), ((2, 6),), ((3, 2, 2),), ((0, 2),)],
        dict(parts=2)),
    Row(ag.split, lambda x, parts, axis: np.split(x, np.cumsum(parts)[:-1], axis), [((4,),), ((4, 2),), ((4, 1),)],
        dict(parts=(1, 0, 3), axis=0)),
    Row(ag.unstack, lambda x: list(x), [((4,),), ((3, 2),), ((1, 2, 2),), ((2, 0),)]),
    Row(ag.unstack, lambda x, axis: list(np.moveaxis(x, axis, 0)), [((3, 2),), ((1, 2, 3),), ((2, 1),)], dict(axis=1)),
    # Selections
    Row(ag.getitem, _getitem, [((3,),), ((2, 3),), ((2, 1, 2),)], dict(index=1)),
    Row(ag.getitem, _getitem, ROWS_OF_ONE, dict(index=np.s_[::-2])),
    Row(ag.getitem, _getitem, ROWS_OF_ONE, dict(index=np.s_[..., None, -1])),
    Row(ag.getitem, _getitem, [((3,),), ((3, 2),), ((3, 0),)], dict(index=[0, 2, 0])),
    Row(ag.getitem, _getitem, [((2, 3),), ((2, 2, 1),), ((2, 1),)], dict(index=([[0, 1], [1, 1]], np.s_[1:]))),
    Row(ag.getitem, lambda x: x[_mask(x)], ONE, call=lambda x: ag.getitem(x, _mask(x))),
    Row(ag.getitem, _getitem, [((2,),), ((2, 3),)], dict(index=[True, False])),
    Row(ag.getitem, _getitem, ONE, dict(index=())),
    Row(ag.take, lambda x, indices: x[indices], [((3,),), ((3, 2),), ((3, 1, 2),)],
        dict(indices=np.array([[2, 0], [2, -1]]))),
    Row(ag.take, lambda x, indices: np.take(x, np.int64(indices), 0), [((3, 2),), ((0, 2),)], dict(indices=[])),
    Row(ag.take, np.take, [((2, 3),), ((1, 2, 2),)], dict(indices=[1, 1], axis=1)),
    Row(ag.gather, lambda x, indices: np.take_along_axis(x, np.array(indices), -1), [((2, 3),), ((2, 4),)],
        dict(indices=[[2, 2], [0, -1]])),
    Row(ag.gather, lambda x, indices, axis: np.take_along_axis(x, np.array(indices), axis), [((2, 3),), ((1, 3),)],
        dict(indices=[[0, 0, -1]], axis=0)),
    Row(ag.sort, np.sort, ROWS_OF_ONE),
    Row(ag.sort, np.sort, [((4, 2),), ((3, 1, 2),), ((1, 2),)], dict(axis=0)),
    Row(ag.topk, lambda x, k: -np.sort(-x, -1)[..., :k], [((4,),), ((2, 3),), ((2, 2, 2),), ((0, 2),)], dict(k=2),
        call=lambda x, k: ag.topk(x, k)[0]),
    Row(ag.topk, lambda x, k, axis: -np.sort(-x, axis)[:k], [((4, 2),), ((3, 1, 2),)], dict(k=3, axis=0),
        call=lambda x, k, axis: ag.topk(x, k, axis)[0]),
    # Linear algebra
    Row(ag.matmul, np.matmul, [
        ((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((1, 1), (1, 1)), ((2, 0), (0, 3)),
        ((2, 2, 3), (2, 3, 2)), ((2, 2, 3), (3, 2)), ((2, 3), (4, 3, 2)), ((2, 2, 3), (3,)), ((3,), (2, 3, 4)),
        ((2, 1, 2, 3), (3, 3, 2)),
    ]),
    Row(ag.matmul_t, lambda a, b: np.matmul(np.swapaxes(a, -1, -2), b),
        [((3, 2), (3, 4)), ((3, 2), (3,)), ((2, 3, 2), (2, 3, 1)), ((1, 1), (1, 1)), ((0, 2), (0, 3))]),
    Row(ag.dot, lambda a, b: np.sum(a * b), [((3,), (3,)), ((2, 3), (2, 3)), ((), ()), ((1,), (1,)), ((0,), (0,))]),
    Row(ag.linear, lambda x, w, b=0.0: x @ w.T + b, [
        ((3,), (2, 3), (2,)), ((4, 3), (2, 3), (2,)), ((2, 2, 3), (1, 3), (1,)), ((4, 3), (2, 3)),
        ((0, 3), (2, 3), (2,)),
    ]),
    Row(ag.affine, lambda b, *p: b + sum(w @ x for w, x in zip(p[::2], p[1::2], strict=True)), [
        ((2,), (2, 3), (3,)), ((2,), (2, 3), (3,), (2, 1), (1,)), ((2, 4), (2, 3), (3, 4), (2, 2), (2, 4)),
        ((2, 1), (2, 3), (3, 4)), ((), (2, 3), (3,)), ((1,), (1, 1), (1,)), ((2,), (2, 0), (0,)),
    ]),
    Row(ag.bilinear, lambda w, x1, x2: np.einsum("ij,...i,...j->...", w, x1, x2),
        [((2, 3), (2,), (3,)), ((2, 3), (4, 2), (4, 3)), ((1, 1), (1,), (1,)), ((2, 3), (0, 2), (0, 3))]),
    Row(ag.biaffine, lambda w, u, v, b, x1, x2: np.einsum("ij,...i,...j->...", w, x1, x2) + x1 @ u + x2 @ v + b,
        [((2, 3), (2,), (3,), (), (2,), (3,)), ((2, 3), (2,), (3,), (1,), (4, 2), (4, 3)),
         ((1, 1), (1,), (1,), (), (1,), (1,))]),
    *[
        Row(ag.einsum, lambda *xs, subscripts: np.einsum(subscripts, *xs), shapes, dict(subscripts=subscripts),
            call=lambda *xs, subscripts: ag.einsum(subscripts, *xs))
        for subscripts, shapes in EINSUMS.items()
    ],
    # Convolution, pooling, dropout
    Row(ag.conv1d, _conv, [((2, 5), (3, 2, 2), (3,)), ((2, 3, 4), (2, 3, 4)), ((2, 1, 1, 3), (1, 1, 1), (1,)),
        ((0, 2, 5), (3, 2, 2))]),
    Row(ag.conv1d, _conv, [((4, 8), (2, 2, 2), (2,)), ((3, 4, 7), (4, 2, 3))],
        dict(stride=2, padding=1, dilation=2, groups=2)),
    Row(ag.conv1d, _conv, [((2, 3, 9), (3, 1, 2), (3,)), ((3, 7), (6, 1, 3))], dict(stride=3, padding=2, groups=3)),
    Row(ag.conv2d, _conv, [((2, 3, 4), (3, 2, 2, 3), (3,)), ((2, 1, 2, 2), (2, 1, 1, 1))]),
    Row(ag.conv2d, _conv, [((2, 4, 7, 6), (2, 2, 3, 2), (2,)), ((4, 6, 6), (4, 2, 2, 1))],
        dict(stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)),
    Row(ag.max_pool1d, _pool(np.max, -np.inf, 1), [((5,),), ((2, 4),), ((0, 3),)], dict(kernel_size=2)),
    Row(ag.max_pool1d, _pool(np.max, -np.inf, 1), [((2, 7),), ((6,),)],
        dict(kernel_size=3, stride=2, padding=1, dilation=2)),
    Row(ag.max_pool2d, _pool(np.max, -np.inf, 2), [((5, 6),), ((2, 1, 2, 3),)], dict(kernel_size=(2, 3))),
    Row(ag.max_pool2d, _pool(np.max, -np.inf, 2), [((2, 5, 6),)], dict(kernel_size=3, stride=(1, 2), padding=1)),
    Row(ag.avg_pool1d, _pool(np.mean, 0, 1), [((5,),), ((2, 4),), ((0, 3),)], dict(kernel_size=2)),
    Row(ag.avg_pool1d, _pool(np.mean, 0, 1), [((2, 7),)], dict(kernel_size=3, stride=2, padding=1)),
    Row(ag.avg_pool2d, _pool(np.mean, 0, 2), [((5, 6),), ((2, 1, 2, 3),)], dict(kernel_size=(2, 3))),
    Row(ag.avg_pool2d, _pool(np.mean, 0, 2), [((2, 5, 6),)], dict(kernel_size=3, stride=(1, 2), padding=1)),
    Row(ag.max_pooling, _max_pooling, [((4, 6),), ((2, 2, 3),), ((1, 2, 4, 3),), ((2, 3),)], dict(rows=2, columns=3)),
    Row(ag.max_pooling, _max_pooling, [((2, 3),), ((1, 1),), ((0, 3),)], dict(rows=1, columns=1)),
    Row(ag.dropout, _dropout, ONE, dict(p=0.3), call=lambda x, p: ag.dropout(x, p, rng=mat.rand.LockedRand(7))),
    Row(ag.dropout, _dropout, ONE, dict(p=0.0), call=lambda x, p: ag.dropout(x, p) + 0.0),
]
# fmt: on

SAMPLES = [Sample(row, shapes) for row in TABLE for shapes in row.shapes]

NO_OPERATORS = frozenset(
    {
        *(
            "as_array",
            "backward",
            "backward_many",
            "binary",
            "enable_grad",
            "detect_anomaly",
            "gradcheck",
            "is_grad_enabled",
        ),
        *("no_grad", "operator", "profile", "release_graph", "stop_grad", "unary", "var"),
        *("elementwise", "get_num_threads", "pairwise", "run_together", "set_num_threads", "synchronize"),
    }
)
"""Public functions that make or walk the graph, and compute nothing."""


def public_operators() -> Iterator[Callable[..., Any]]:
    """All operators that `spago.ag` offers."""
    for name in ag.__all__:
        function = getattr(ag, name)
        if isinstance(function, FunctionType) and name not in NO_OPERATORS:
            yield function
