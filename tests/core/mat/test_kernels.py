"""The kernels keep the error bounds that their docstrings state, wherever x is."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest

from kernel_table import ROWS, Row, mp, normal_cdf
from spago import mat

every_kernel = pytest.mark.parametrize("row", ROWS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

SPECIAL = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1e-8, -1e-8, 20.0, -20.0, 88.7, -88.7, 103.9, -103.9),
    *(709.8, -709.8, 745.2, -745.2, 1e4, -1e4, 1e30, -1e30, np.inf, -np.inf, np.nan),
]

LAYOUTS: dict[str, Callable[[mat.Array], mat.Array]] = {
    "contiguous": lambda x: x.copy(),
    "Fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 3, axis=-1)[..., ::3],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda x: x.T.copy().T,
    "unaligned": lambda x: np.frombuffer(b"?" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
}


def special_values(dtype: Any) -> mat.Array:
    info = np.finfo(dtype)
    values = [*SPECIAL, info.tiny, -info.tiny, info.smallest_subnormal, info.eps, -info.eps, info.max, info.min]
    with np.errstate(over="ignore"):
        x: mat.Array = np.array(values[: len(values) // 2 * 2], dtype).reshape(2, -1)
    return x


def sample(row: Row, dtype: Any) -> mat.Array:
    rng = np.random.default_rng(7)
    least = row.least[dtype is np.float32]
    pieces = [np.linspace(-8, 8, 161), rng.normal(size=60), rng.normal(size=30) * 1e-3, np.linspace(least, 700, 60)]
    x: mat.Array = np.concatenate(pieces)
    return x[x >= least].astype(dtype)


@every_dtype
@every_kernel
def test_the_error_is_within_its_bound(row: Row, dtype: Any) -> None:
    x = sample(row, dtype)
    y = row.kernel(x)

    exact = [row.exact(mp.mpf(float(v))) for v in x]
    error = np.array([float(abs(mp.mpf(float(a)) - b)) for a, b in zip(y, exact, strict=True)])
    size = np.array([float(abs(b)) for b in exact])
    info = np.finfo(dtype)
    if dtype is np.float32 and row.absolute_32:
        allowed = row.absolute_32(x)
    else:
        allowed = row.relative(x) * size if row.relative else row.absolute(x) if row.absolute else np.zeros_like(error)
    # A subnormal number has no relative precision to speak of.
    allowed = allowed * float(info.eps) + float(info.tiny)
    assert np.all(error <= allowed), f"worst at x = {x[np.argmax(error / allowed)]}: {np.max(error / allowed)} x bound"


@every_dtype
@every_kernel
def test_limits_are_reached_and_nan_stays(row: Row, dtype: Any) -> None:
    big = np.finfo(dtype).max
    y = row.kernel(np.array([-np.inf, np.inf, np.nan, -big, big], dtype))

    assert y[0] == row.limits[0]
    assert y[1] == row.limits[1]
    assert np.isnan(y[2])
    assert not np.isnan(y[3:]).any()


@every_dtype
@every_kernel
def test_layouts_do_not_matter_and_nothing_is_written_or_warned(row: Row, dtype: Any) -> None:
    x = special_values(dtype)
    expected = row.kernel(x.copy())
    assert expected.dtype == dtype

    for layout in LAYOUTS.values():
        arranged = layout(x)
        arranged.flags.writeable = False
        with np.errstate(all="raise"):
            y = row.kernel(arranged)
        np.testing.assert_array_equal(y, expected, strict=True)
    for value in x.ravel():
        y = row.kernel(np.broadcast_to(value, (2, 3)))
        np.testing.assert_array_equal(y, np.broadcast_to(row.kernel(np.array([value])), (2, 3)), strict=True)


@every_dtype
@every_kernel
def test_one_element_no_element_and_no_axis(row: Row, dtype: Any) -> None:
    assert row.kernel(np.empty((0, 3), dtype)).shape == (0, 3)
    for shape in ((), (1,), (1, 1)):
        y = row.kernel(np.full(shape, 0.7, dtype))
        assert np.shape(y) == shape
        np.testing.assert_array_equal(np.ravel(y), row.kernel(np.array([0.7], dtype)), strict=True)


@every_dtype
@every_kernel
def test_a_large_array_gives_what_its_parts_give(row: Row, dtype: Any) -> None:
    x = np.random.default_rng(3).normal(size=(3, 20_001)).astype(dtype) * 4

    y = row.kernel(x)

    for part in (np.s_[:, :5000], np.s_[1], np.s_[2, 16_000:17_000]):
        np.testing.assert_array_equal(y[part], row.kernel(x[part]), strict=True)


def test_the_two_forms_of_gelu_differ_by_what_is_stated() -> None:
    x = np.linspace(-10, 10, 100_001)

    assert 4.7e-4 < np.abs(mat.gelu(x) - mat.gelu(x, "tanh")).max() < 4.8e-4


def test_gelu_in_float32_is_precise_where_it_is_not_small() -> None:
    x = np.linspace(-1, 12, 1301).astype(np.float32)
    wide = x.astype(np.float64)

    np.testing.assert_allclose(mat.gelu(x), mat.gelu(wide), rtol=3.6e-7)


def test_another_form_of_gelu_is_refused() -> None:
    kernels: list[Callable[..., mat.Array]] = [mat.gelu, mat.gelu_grad]
    for kernel in kernels:
        with pytest.raises(ValueError, match='gelu: expected approximate="none" or "tanh", got \'fast\''):
            kernel(np.ones(2), "fast")


def test_softplus_is_the_identity_beyond_its_threshold() -> None:
    x = np.array([1.0, 2.0, 2.5, np.nan])

    y = mat.softplus(x, 1.0, 2.0)

    np.testing.assert_array_equal(y, [*np.logaddexp(0, x[:2]), 2.5, np.nan])


@pytest.mark.parametrize(("kernel", "gradient"), [("gelu", "gelu_grad"), ("mish", "mish_grad")])
def test_a_gradient_is_the_central_difference(kernel: str, gradient: str) -> None:
    x = np.linspace(-6, 6, 1001)
    function = getattr(mat, kernel)

    difference = (function(x + 1e-6) - function(x - 1e-6)) / 2e-6

    np.testing.assert_allclose(getattr(mat, gradient)(x), difference, atol=2e-9)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_the_gradient_of_gelu_is_multiplied_on_the_way(approximate: Literal["none", "tanh"]) -> None:
    x, g = np.random.default_rng(1).normal(size=(2, 3, 20_001)).astype(np.float32)

    y = mat.gelu(x, approximate)

    slope = mat.gelu_grad(x, approximate, y)
    np.testing.assert_array_equal(mat.gelu_grad(x, approximate, y, g), slope * g)
    np.testing.assert_array_equal(
        mat.gelu_grad(x[0, :5], approximate, None, g[0, :5]), mat.gelu_grad(x[0, :5], approximate) * g[0, :5]
    )


@pytest.mark.parametrize(("terms", "table"), [(12, "_G_32"), (24, "_G_64")])
def test_the_coefficients_of_erfc_are_its_chebyshev_expansion(terms: int, table: str) -> None:
    from spago.mat import _erf

    def smooth(t: Any) -> Any:
        a = 3 * (1 + t) / (1 - t)
        return mp.exp(a * a) * mp.erfc(a) * (a + 3)

    nodes = 120
    angles = [mp.pi * (2 * k + 1) / (2 * nodes) for k in range(nodes)]
    values = [smooth(mp.cos(angle)) for angle in angles]
    coefficients = [
        2 * mp.fsum(v * mp.cos(j * angle) for v, angle in zip(values, angles, strict=True)) / nodes
        for j in range(terms)
    ]
    coefficients[0] /= 2

    powers = np.polynomial.chebyshev.cheb2poly(np.array(coefficients, dtype=object))
    np.testing.assert_allclose(getattr(_erf, table), powers.astype(float), rtol=1e-13)


def test_the_coefficients_of_gelu_in_float32_fit_phi() -> None:
    from spago.mat import _erf

    for x in [*np.linspace(0, 8, 500), 20.0, 1e10]:
        u = mp.fsum(c * mp.mpf(x) ** (2 * n + 1) for n, c in enumerate(_erf._P_32))
        assert abs((1 + mp.tanh(u)) / 2 - normal_cdf(mp.mpf(x))) < 3e-8
