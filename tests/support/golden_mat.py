"""Adapters of matrix functions, of the binary layout and of printing."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from golden import Case, Result, adapter
from spago import mat

Function = Callable[..., Any]

# What NumPy itself has stands beside what spago.mat adds: this is the table of a user who comes from the reference.
FUNCTIONS: dict[str, Function] = {
    "inverse": np.linalg.inv,
    "lu": mat.lu,
    "augment": lambda x: np.hstack([x, mat.eye(len(x), x.dtype)]),
    "cum_sum": np.cumsum,
    "norm": lambda x, pow: np.linalg.norm(x, pow),
    "normalize2": mat.normalize,
    "softmax": mat.softmax,
    "arg_max": np.argmax,
    "resize_vector": lambda x, new_size: mat.resize(np.atleast_1d(x), new_size),
    "range": lambda x, start, end: x[start:end],
    "split_v": lambda x, sizes: np.split(x, np.cumsum(sizes))[: len(sizes)],
    "maximum": np.maximum,
    "minimum": np.minimum,
    "max": np.max,
    "min": np.min,
    "sum": np.sum,
    "sigmoid": mat.sigmoid,
    "pad_rows": lambda x, n: mat.resize(x, len(x) + n, axis=0),
    "pad_columns": lambda x, n: mat.resize(x, x.shape[1] + n),
    "clip_in_place": lambda x, min, max: np.clip(x, min, max),
    "transpose": np.transpose,
    "extract_row": lambda x, i: x[i],
    "extract_column": lambda x, i: x[:, i],
    "one_hot": lambda size, one_at: mat.one_hot(one_at, size, np.float64),
    "identity": lambda size: mat.eye(size, np.float64),
    # Halves are rounded away from zero; np.round takes them to the even number.
    "round": lambda x: np.copysign(np.floor(np.abs(x)) + (np.abs(x) % 1 >= 0.5), x),
}


@adapter("mat", *FUNCTIONS)
def _function(case: Case) -> Result:
    y = FUNCTIONS[case.name](*case.inputs, **case.config)
    # The outputs of split_v are one list of arrays, those of lu three arrays.
    return Result(y if case.name == "lu" else [y])


@adapter("mat", "swap_in_place")
def _swap(case: Case) -> Result:
    (x,), rows = case.inputs, [case.config["r1"], case.config["r2"]]
    x[rows] = x[rows[::-1]]
    return Result([x])


@adapter("mat", "pivoting")
def _pivoting(case: Case) -> Result:
    (x,), row = case.inputs, case.config["row"]
    pivot = mat.pivot_row(x, row)
    permutation = mat.eye(len(x), x.dtype)
    permutation[[row, pivot]] = permutation[[pivot, row]]
    swapped = pivot != row
    return Result([permutation, swapped, [pivot, row] if swapped else [0, 0]])


def _matrix(case: Case) -> mat.Array:
    """The input with its exact dimensions: a column is written without its second axis in a case."""
    x: mat.Array = case.inputs[0].reshape(case.config["rows"], case.config["columns"])
    return x


@adapter("mat", "marshal_dense")
def _marshal(case: Case) -> Result:
    x = _matrix(case)
    data = mat.marshal(x)
    np.testing.assert_array_equal(mat.unmarshal(data), x, strict=True)
    return Result([data.hex()])


@adapter("mat", "marshal_matrix")
def _marshal_matrix(case: Case) -> Result:
    x = None if case.inputs[0] is None else _matrix(case)
    data = mat.marshal_matrix(x)
    np.testing.assert_array_equal(mat.unmarshal_matrix(data), x, strict=True)
    return Result([data.hex()])


@adapter("mat", "marshal_payload")
def _marshal_payload(case: Case) -> Result:
    arrays = case.inputs[0]
    header = struct.pack("<QI", case.config["label"], len(arrays))
    return Result([(header + b"".join(map(mat.marshal_matrix, arrays))).hex()])


MEANINGLESS_VERBS = {
    "s": "a text; the reference prints the verb itself",
    "d": "an integer; the reference prints the verb itself",
}
"""Go verbs that are refused here, with what they are in Go."""


@adapter("mat", "print")
def _print(case: Case) -> Result:
    x, spec = _matrix(case), case.config["format"].removeprefix("%")
    if spec[-1] in MEANINGLESS_VERBS:
        with pytest.raises(ValueError, match="expected a specification"):
            mat.format(x, spec)
        return Result(case.fields["outputs"])
    _assert_own_digits(x, spec)
    # The reference rounds float64 to float32 before it prints.
    return Result([mat.format(x.astype(np.float32), spec)])


def _assert_own_digits(x: mat.Array, spec: str) -> None:
    texts = mat.format(x, spec).translate(dict.fromkeys(map(ord, "[]⎡⎢⎣⎤⎥⎦"), " ")).split()
    assert len(texts) == x.size
    for value, text in zip(x.ravel(), texts, strict=True):
        if "." in spec and np.isfinite(value):
            assert text == f"{value:{spec[spec.index('.') :]}}"
        else:
            assert np.array_equal(x.dtype.type(text), value, equal_nan=True)


@adapter("mat", "string")
def _string(case: Case) -> Result:
    return Result([mat.to_string(_matrix(case))])
