"""The comparison with the reference notices what it should notice."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import ENVIRONMENT_VARIABLE, Case, check, compare, read_cases

ARRAY = np.array([1.0, 2.0, np.nan])


def case(**fields: Any) -> Case:
    fields = {"config": {}, "inputs": [], "outputs": [], **fields}
    return Case("mat.sum.1", "mat", "sum", "float64", fields)


def test_numbers_infinities_and_nothing_are_read() -> None:
    decoded = case().decode([{"shape": [2, 2], "data": [1.5, "NaN", "Inf", "-Inf"]}, None, 3])

    np.testing.assert_array_equal(decoded[0], [[1.5, np.nan], [np.inf, -np.inf]])
    assert decoded[1:] == [None, 3]


def test_the_greatest_integer_is_read_exactly() -> None:
    whole = Case("", "rand", "uint64", "uint64", {})

    assert int(whole.decode({"shape": [1], "data": [2**64 - 1]})[0]) == 2**64 - 1


@pytest.mark.parametrize(
    ("actual", "expected", "tolerance"),
    [
        (ARRAY + 1e-9, ARRAY, 1e-10),
        (ARRAY[::-1], ARRAY, 1e-10),
        (ARRAY[:2], ARRAY, 1e-10),
        (np.nextafter(ARRAY, 3), ARRAY, 0.0),
        (np.stack([ARRAY, ARRAY], axis=1), ARRAY, 1e-10),
        (ARRAY.astype(np.float32), ARRAY, 1e-10),
        (None, ARRAY, 1e-10),
        (ARRAY, None, 1e-10),
        ([ARRAY], [ARRAY, ARRAY], 1e-10),
        ({"w": ARRAY}, {"w": ARRAY, "b": ARRAY}, 1e-10),
        (3, 2, 1e-10),
        (1.0, "Inf", 1e-10),
        ("[1]", "[2]", 1e-10),
        ("00", "01", 0.0),
    ],
)
def test_a_difference_is_noticed(actual: Any, expected: Any, tolerance: float) -> None:
    with pytest.raises(AssertionError, match="somewhere"):
        compare("somewhere", actual, expected, tolerance)


@pytest.mark.parametrize(
    ("actual", "expected", "tolerance"),
    [
        (ARRAY * (1 + 1e-11), ARRAY, 1e-10),
        (ARRAY.reshape(1, 3), ARRAY, 0.0),
        (np.float64(2.0), np.array([2.0]), 0.0),
        ([ARRAY, None], [ARRAY, None], 0.0),
        (np.array([0, 2]), [0, 2], 0.0),
        (np.inf, "Inf", 1e-10),
        ("[1]", "[1]", 0.0),
    ],
)
def test_what_is_equal_passes(actual: Any, expected: Any, tolerance: float) -> None:
    compare("somewhere", actual, expected, tolerance)


def test_a_gradient_that_the_reference_leaves_undefined_may_be_there() -> None:
    compare("operators.elu.1: input_grads[1]", ARRAY, None, 1e-10)


def test_a_case_without_an_adapter_fails() -> None:
    unknown = Case("mat.unheard_of.1", "mat", "unheard_of", "float64", {})

    with pytest.raises(AssertionError, match="no adapter for mat unheard_of"):
        check(unknown)


def test_a_case_at_fault_without_right_values_fails() -> None:
    one = {"shape": [1], "data": [1.0]}

    with pytest.raises(AssertionError, match="no right values"):
        check(case(inputs=[one], outputs=[one], reference_fault=True))


def test_another_folder_is_read_where_the_environment_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [{"id": "x.y.1", "kind": "mat", "name": "y", "dtype": None}]
    (tmp_path / "x.json").write_text(json.dumps({"reference": "another", "cases": cases}), encoding="utf-8")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))

    assert [case.id for case in read_cases()] == ["x.y.1"]


def test_a_folder_without_cases_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))

    with pytest.raises(AssertionError, match="found none"):
        read_cases()
