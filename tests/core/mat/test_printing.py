"""Numbers and matrices as text."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spago import mat

floats = st.one_of(st.floats(), st.floats(width=32).map(np.float32))


@given(x=floats, verb=st.sampled_from(["", "v", "g", "e", "f", "G", "E", "F"]))
def test_the_shortest_text_gives_the_number_back(x: Any, verb: str) -> None:
    text = mat.format_number(x, verb)

    back = np.asarray(x).dtype.type(text)
    assert np.array_equal(back, x, equal_nan=True)
    assert np.signbit(back) == np.signbit(x) or np.isnan(x)


@given(x=st.floats(allow_nan=False, allow_infinity=False), precision=st.integers(0, 20), verb=st.sampled_from("gefGEF"))
def test_a_precision_means_what_it_means_in_python(x: float, precision: int, verb: str) -> None:
    assert mat.format_number(x, f".{precision}{verb}") == f"{x:.{precision}{verb}}"


@pytest.mark.parametrize(
    ("x", "spec", "text"),
    [
        (0.0001, "", "0.0001"),
        (0.00001, "", "1e-05"),
        (999999.0, "", "999999"),
        (1e6, "", "1e+06"),
        (1234567.0, "G", "1.234567E+06"),
        (1e100, "", "1e+100"),
        (5e-324, "", "5e-324"),
        (-0.0, "", "-0"),
        (np.float32(0.1), "", "0.1"),
        (np.float32(1 / 3), "", "0.33333334"),
        (1 / 3, "", "0.3333333333333333"),
        (16777217.0, "", "1.6777217e+07"),
        (1e20, ".2f", "100000000000000000000.00"),
        (10.25, ".1f", "10.2"),
        (1234.5, ".3g", "1.23e+03"),
        (1234.5, ".3v", "1.23e+03"),
        (1.0, "e", "1e+00"),
        (1e10, "f", "10000000000"),
        (np.nan, ".2f", "NaN"),
        (np.inf, "e", "+Inf"),
        (-np.inf, "", "-Inf"),
        (np.array([[2.5]]), "", "2.5"),
    ],
)
def test_numbers_are_written_like_this(x: Any, spec: str, text: str) -> None:
    assert mat.format_number(x, spec) == text


@pytest.mark.parametrize(
    ("x", "spec", "text"),
    [
        (7.0, "", "[7]"),
        ([1, 2.5, -3], "", "[1 2.5 -3]"),
        ([[1], [2.5], [-3]], "", "⎡ 1  ⎤\n⎢ 2.5⎥\n⎣-3  ⎦"),
        ([[1, 10.25], [-200.5, 3], [0.5, 1e10]], "", "⎡   1      10.25⎤\n⎢-200.5     3   ⎥\n⎣   0.5 1e+10   ⎦"),
        ([[np.inf, -np.inf], [np.nan, 1.5]], "8.3f", "⎡+Inf -Inf    ⎤\n⎣ NaN    1.500⎦"),
        ([[1], [22]], "5g", "⎡    1⎤\n⎣   22⎦"),
        ([[1, 2.5]], "6v", "[     1    2.5]"),
        ([[1.25], [10.5]], "7", "⎡   1.25⎤\n⎣  10.5 ⎦"),
        ([[[1, 2]], [[3, 4]]], "", "[1 2]\n\n[3 4]"),
        ([], "", "[]"),
        (np.zeros((0, 3)), "", "[]"),
    ],
)
def test_matrices_are_written_like_this(x: Any, spec: str, text: str) -> None:
    assert mat.format(np.asarray(x, np.float64), spec) == text


@given(
    x=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements=st.floats(width=32),
    ),
    spec=st.sampled_from(["", "e", "f", ".3g", "12.4f", "9"]),
)
def test_points_of_a_column_are_below_each_other(x: mat.Array, spec: str) -> None:
    lines = mat.format(x, spec).split("\n")

    assert len({len(line) for line in lines}) == 1
    assert len(lines) == len(x)
    points = [[match.start() for match in re.finditer(r"\.", line)] for line in lines]
    assert len(set().union(*points)) <= x.shape[1]
    texts = [line[1:-1].split() for line in lines]
    assert texts == [[mat.format_number(value, spec.lstrip("129")) for value in row] for row in x]


def test_an_array_in_one_line() -> None:
    x = np.array([[1, 2.5, -3], [0.1, np.nan, np.inf]], np.float32)

    assert mat.to_string(x) == "Matrix|Dense[float32](2×3)[1 2.5 -3 0.1 NaN +Inf]"
    assert mat.to_string(np.zeros((0, 2))) == "Matrix|Dense[float64](0×2)[]"


@pytest.mark.parametrize("spec", ["d", "s", "%g", "+v", "-5g", "05f", ".g", "5.f", "x", " ", "1e9", ".99999f"])
def test_other_specifications_are_refused(spec: str) -> None:
    for function in (mat.format, mat.format_number):
        with pytest.raises(
            ValueError, match=f'expected a specification such as "g", ".*", got {re.escape(repr(spec))}'
        ):
            function(np.ones(1), spec)
