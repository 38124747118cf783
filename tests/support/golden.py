"""Numbers of the reference implementation, and their comparison with ours.

A case is data: what was run, on what, with what result. An adapter is a function from a case to the same computation in
spago; it lives in the golden_*.py of its family, and says by `@adapter(kind, name, ...)` which cases it runs. The cases
are in tests/golden/data, or in the folder that the environment variable SPAGO_GOLDEN names.

Where the reference is at fault (`reference_fault`), a function with `@right_values(kind, name, ...)` gives the values
that are compared instead.

In a case, an array is {"shape": [...], "data": [...]}, row-major, with "NaN", "Inf" and "-Inf" as strings. The
reference has matrices only: a column has shape [n] there, a number [], so axes of size 1 do not count when shapes are
compared. A gradient is null where the reference defines none.
"""

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ENVIRONMENT_VARIABLE = "SPAGO_GOLDEN"

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
"""Largest difference, absolute or relative to the reference's value, whichever is larger."""

EXACT = frozenset({"rand", "initializer"})
"""Kinds whose floats are compared bit for bit."""


@dataclass(frozen=True)
class Case:
    """One run of the reference.

    Attributes:
        id: File, name and number.
        kind: What sort of thing was run.
        name: What was run.
        dtype: Of its arrays; None where there are none.
        fields: All of the case as it was read; `array` makes its arrays.
    """

    id: str
    kind: str
    name: str
    dtype: str | None
    fields: Mapping[str, Any] = field(repr=False)

    @property
    def config(self) -> dict[str, Any]:
        """Everything that is neither an input nor a parameter."""
        return dict(self.fields["config"])

    @property
    def inputs(self) -> list[Any]:
        """Inputs in the order of the reference's arguments: arrays, lists of arrays, or None."""
        return list(self.decoded("inputs"))

    @property
    def params(self) -> dict[str, npt.NDArray[Any]]:
        """Parameters by name."""
        return dict(self.decoded("params") or {})

    @property
    def output_grads(self) -> list[Any] | None:
        """Gradients put on the outputs before the backward pass; None where there was no such pass."""
        gradients: list[Any] | None = self.decoded("output_grads")
        return gradients

    def decoded(self, name: str) -> Any:
        """A field with its arrays made; None where the case has no such field."""
        return self.decode(self.fields.get(name))

    def decode(self, value: Any) -> Any:
        """A JSON value with its arrays made."""
        if isinstance(value, dict):
            if value.keys() == {"shape", "data"}:
                return np.array(value["data"], dtype=self.dtype or "float64").reshape(value["shape"])
            return {key: self.decode(element) for key, element in value.items()}
        if isinstance(value, list):
            return [self.decode(element) for element in value]
        return value


@dataclass(frozen=True)
class Result:
    """What an adapter computed; the names are the fields of a case. Fields that the case lacks are not compared."""

    outputs: Sequence[Any] = ()
    input_grads: Sequence[Any] | None = None
    param_grads: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    buffers_after: Mapping[str, Any] | None = None
    text: str | None = None


Adapter = Callable[[Case], Result]
RightValues = Callable[[Case], Mapping[str, Any]]

ADAPTERS: dict[tuple[str, str], Adapter] = {}
RIGHT_VALUES: dict[tuple[str, str], RightValues] = {}


def adapter(kind: str, *names: str) -> Callable[[Adapter], Adapter]:
    """Register a function that runs the cases of these names."""

    def register(function: Adapter) -> Adapter:
        for name in names:
            assert (kind, name) not in ADAPTERS, f"two adapters for {kind} {name}"
            ADAPTERS[kind, name] = function
        return function

    return register


def right_values(kind: str, *names: str) -> Callable[[RightValues], RightValues]:
    """Register a function that gives, for cases at fault, the fields to compare instead, by name."""

    def register(function: RightValues) -> RightValues:
        for name in names:
            RIGHT_VALUES[kind, name] = function
        return function

    return register


def load_adapters() -> None:
    """Import the adapters of all families."""
    for path in sorted(Path(__file__).parent.glob("golden_*.py")):
        importlib.import_module(path.stem)


def read_cases() -> list[Case]:
    """All cases, in the order of the files."""
    folder = Path(os.environ.get(ENVIRONMENT_VARIABLE) or Path(__file__).parent.parent / "golden" / "data")
    files = sorted(folder.glob("*.json"))
    assert files, f"{folder}: expected golden files, found none"
    cases = [case for file in files for case in json.loads(file.read_text(encoding="utf-8"))["cases"]]
    return [Case(case["id"], case["kind"], case["name"], case["dtype"], case) for case in cases]


def check(case: Case) -> None:
    """Run a case, and compare everything it has the reference's value of."""
    assert (case.kind, case.name) in ADAPTERS, f"{case.id}: no adapter for {case.kind} {case.name}"
    result = ADAPTERS[case.kind, case.name](case)
    expected = {name: case.decoded(name) for name in compared_fields(case)}
    if case.fields.get("reference_fault"):
        assert (case.kind, case.name) in RIGHT_VALUES, f"{case.id}: no right values, and the reference is at fault"
        expected |= RIGHT_VALUES[case.kind, case.name](case)
    for name, value in expected.items():
        tolerance = 0.0 if case.kind in EXACT else TOLERANCE.get(case.dtype or "float64", 0.0)
        if name.endswith("_grads"):
            tolerance = max(tolerance, float(case.fields.get("grad_tol", 0.0)))
        compare(f"{case.id}: {name}", getattr(result, name), value, tolerance)


def compared_fields(case: Case) -> list[str]:
    """Names of the fields that hold results."""
    names = [name for name in ("input_grads", "param_grads", "buffers_after", "text") if name in case.fields]
    # Models that initialize themselves have nothing but parameters to show.
    return ["outputs", *names] if case.fields["outputs"] or names else ["params"]


def compare(where: str, actual: Any, expected: Any, tolerance: float) -> None:
    """Compare values of any nesting.

    A gradient that the reference leaves undefined (None) may be there or not, but nothing else may be missing.

    Raises:
        AssertionError: They differ; says where, and by how much.
    """
    if expected is None:
        assert actual is None or "_grads" in where, f"{where}: expected nothing, got {actual!r}"
    elif isinstance(expected, dict):
        assert isinstance(actual, Mapping), f"{where}: expected {sorted(expected)} by name, got {actual!r}"
        assert actual.keys() == expected.keys(), f"{where}: expected {sorted(expected)}, got {sorted(actual)}"
        for name, value in expected.items():
            compare(f"{where}.{name}", actual[name], value, tolerance)
    elif isinstance(expected, list) and not (isinstance(actual, np.ndarray) and _are_numbers(expected)):
        assert isinstance(actual, Sequence), f"{where}: expected a sequence, got {actual!r}"
        assert len(actual) == len(expected), f"{where}: expected {len(expected)} values, got {len(actual)}"
        for index, value in enumerate(expected):
            compare(f"{where}[{index}]", actual[index], value, tolerance)
    elif isinstance(expected, str) and expected not in ("NaN", "Inf", "-Inf"):
        assert actual == expected, f"{where}: expected\n{expected}\ngot\n{actual}"
    else:
        _compare_numbers(where, actual, np.asarray(expected), tolerance)


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _compare_numbers(where: str, actual: Any, expected: npt.NDArray[Any], tolerance: float) -> None:
    if expected.dtype.kind == "U":
        expected = expected.astype(np.float64)
    assert actual is not None, f"{where}: expected {expected}, got nothing"
    array = np.asarray(actual)
    assert _without_ones(array) == _without_ones(expected), (
        f"{where}: expected shape {expected.shape}, got {array.shape}"
    )
    array = array.reshape(expected.shape)
    if tolerance == 0 or expected.dtype.kind in "biu":
        assert np.array_equal(array, expected, equal_nan=expected.dtype.kind == "f"), (
            f"{where}: expected exactly {expected}, got {array}"
        )
        return
    if expected.dtype.kind == "f" and array.dtype.kind == "f" and expected.ndim:
        assert array.dtype == expected.dtype, f"{where}: expected {expected.dtype}, got {array.dtype}"
    same = np.isclose(array, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not same.all():
        worst = np.flatnonzero(~same.ravel())[0]
        raise AssertionError(
            f"{where}: {np.count_nonzero(~same)} of {same.size} elements differ by more than {tolerance}; "
            f"at flat position {worst} expected {expected.ravel()[worst]}, got {array.ravel()[worst]}"
        )


def _without_ones(array: npt.NDArray[Any]) -> tuple[int, ...]:
    return tuple(size for size in array.shape if size != 1)
