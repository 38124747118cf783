"""What does not fit is refused at the call, with what was expected, what came, and what to do."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spago import ag

A = ag.var(np.ones((2, 3)), requires_grad=True)
V = ag.var(np.ones(4), requires_grad=True)
S = ag.var(1.0)
untyped: Any = ag  # what a type checker would not let through

WRONG_SHAPES = {
    "Add: expected shapes that broadcast, got (2, 3) and (4,)": lambda: A + V,
    "Mul: expected shapes that broadcast, got (4,) and (2, 3)": lambda: V * A,
    "Where: expected condition, a and b of shapes that broadcast, got (3,), (2, 3) and (4,)": lambda: ag.where(
        [True, False, True], A, V
    ),
    "Clip: expected ends that broadcast to (4,), the shape of x, got (3,)": lambda: ag.clip(V, np.zeros(3)),
    "Matmul: expected inner sizes that agree, got (2, 3) and (4,)": lambda: A @ V,
    "Matmul: expected inner sizes that agree, got (2, 3) and (2, 3)": lambda: A @ A,
    "Matmul: expected arrays of at least one axis, got (2, 3) and (); use *": lambda: A @ S,
    "MatmulT: expected a (..., D, N) and b (..., D, M) or (D,), got (2, 3), (4,)": lambda: ag.matmul_t(A, V),
    "MatmulT: expected a (..., D, N) and b (..., D, M) or (D,), got (4,), (4,)": lambda: ag.matmul_t(V, V),
    "Dot: expected two equal shapes, got (2, 3) and (4,); see also matmul": lambda: ag.dot(A, V),
    "Linear: expected x of shape (..., 3) for weight (2, 3), got (4,)": lambda: ag.linear(V, A),
    "Linear: expected a weight of shape (out, in), got (4,)": lambda: ag.linear(V, V),
    "Linear: expected bias of shape (2,), got (4,)": lambda: ag.linear(np.ones(3), A, V),
    "Affine: expected w (M, D) and x (D,) or (D, N), got (2, 3) and (4,)": lambda: ag.affine(np.ones(2), A, V),
    "Affine: expected b and all w · x of one shape, got [(4,), (2,)]": lambda: ag.affine(V, A, np.ones(3)),
    "Bilinear: expected w (D1, D2), x1 (..., D1) and x2 (..., D2), got (2, 3), (4,) and (3,)": lambda: ag.bilinear(
        A, V, np.ones(3)
    ),
    "Einsum: expected subscripts that fit shapes [(2, 3), (4,)], got 'ij,j->i'": lambda: ag.einsum("ij,j->i", A, V),
    "Einsum: expected subscripts that fit shapes [(2, 3)], got 'ij->k'": lambda: ag.einsum("ij->k", A),
    "Einsum: expected subscripts that fit shapes [(2, 3)], got 'ijk->i'": lambda: ag.einsum("ijk->i", A),
    "Einsum: expected subscripts that fit shapes [(2, 3)], got 'i->i'": lambda: ag.einsum("i->i", A),
    "Einsum: expected subscripts that fit shapes [(2, 3)], got 'ij,ij'": lambda: ag.einsum("ij,ij", A),
    "Einsum: expected subscripts that fit shapes [(2, 3)], got 'i1->i'": lambda: ag.einsum("i1->i", A),
    "Sum: expected axes of an array of shape (2, 3), got 2": lambda: ag.sum(A, axis=2),
    "Sum: expected axes of an array of shape (2, 3), got (0, 0)": lambda: ag.sum(A, axis=(0, 0)),
    "Mean: expected axes of an array of shape (4,), got -2": lambda: ag.mean(V, axis=-2),
    "Variance: expected axes of an array of shape (4,), got 1": lambda: ag.variance(V, axis=1),
    "Std: expected axes of an array of shape (4,), got 1": lambda: ag.std(V, axis=1),
    "Norm: expected axes of an array of shape (4,), got 1": lambda: ag.norm(V, axis=1),
    "Max: expected axes of an array of shape (4,), got 1": lambda: ag.max(V, axis=1),
    "Max: expected at least one element over axes (0,), got shape (0, 3)": lambda: ag.max(np.ones((0, 3)), axis=0),
    "Min: expected at least one element over axes (0,), got shape (0,)": lambda: ag.min(np.ones(0)),
    "Cumsum: expected an axis of an array of shape (4,), got 1": lambda: ag.cumsum(V, axis=1),
    "Softmax: expected an axis of an array of shape (), got -1": lambda: ag.softmax(S),
    "LogSoftmax: expected an axis of an array of shape (4,), got 1": lambda: ag.log_softmax(V, axis=1),
    "Logsumexp: expected axes of an array of shape (4,), got 1": lambda: ag.logsumexp(V, axis=1),
    "Sparsemax: expected an axis of an array of shape (4,), got -2": lambda: ag.sparsemax(V, axis=-2),
    "SparsemaxLoss: expected an axis of an array of shape (), got -1": lambda: ag.sparsemax_loss(S),
    "Reshape: expected a shape of 6 elements for (2, 3), got (4, 2)": lambda: A.reshape(4, 2),
    "Reshape: expected a shape of 6 elements for (2, 3), got 5": lambda: A.reshape(5),
    "Transpose: expected the axes of (2, 3) in some order, got (0, 0)": lambda: A.transpose(0, 0),
    "Transpose: expected the axes of (2, 3) in some order, got (0,)": lambda: ag.transpose(A, [0]),
    "Swapaxes: expected an axis of an array of shape (4,), got 1": lambda: V.swapaxes(0, 1),
    "ExpandDims: expected new axes for an array of shape (4,), got 3": lambda: ag.expand_dims(V, 3),
    "Squeeze: expected axes of size 1, got 0 of shape (4,)": lambda: V.squeeze(0),
    "Squeeze: expected axes of an array of shape (4,), got 1": lambda: V.squeeze(1),
    "BroadcastTo: expected a shape that (2, 3) broadcasts to, got (4, 3)": lambda: ag.broadcast_to(A, (4, 3)),
    "Roll: expected an axis of an array of shape (), got -1": lambda: ag.roll(S, 1),
    "Flip: expected axes of an array of shape (4,), got 1": lambda: ag.flip(V, 1),
    "Prod: expected axes of an array of shape (4,), got 1": lambda: ag.prod(V, 1),
    "Sort: expected an axis of an array of shape (4,), got 1": lambda: ag.sort(V, 1),
    "Topk: expected k from 0 to 4 for axis 0 of (4,), got 5": lambda: ag.topk(V, 5),
    "Repeat: expected at least 0 repeats, got -1": lambda: ag.repeat(V, -1),
    "Tile: expected at least 0 repeats along each axis, got (2, -1)": lambda: ag.tile(V, (2, -1)),
    "Tril: expected at least two axes, got shape (4,)": lambda: ag.tril(V),
    "Triu: expected at least two axes, got shape (4,)": lambda: ag.triu(V),
    "Pad: expected widths of at least 0, a pair (before, after) for each axis of (4,), got -1": lambda: ag.pad(V, -1),
    "Pad: expected widths of at least 0, a pair (before, after) for each axis of (4,), got ((1, 1), (2, 2))": lambda: (
        ag.pad(V, ((1, 1), (2, 2)))
    ),
    "Concat: expected at least one array, got none": lambda: ag.concat([]),
    "Concat: expected shapes that agree except along axis -1, got [(2, 3), (4,)]": lambda: ag.concat([A, V]),
    "Stack: expected at least one array, got none": lambda: ag.stack([]),
    "Stack: expected equal shapes and a new axis 0, got [(2, 3), (4,)]": lambda: ag.stack([A, V]),
    "Stack: expected equal shapes and a new axis 2, got [(4,)]": lambda: ag.stack([V], axis=2),
    "AppendRows: expected a matrix (N, D) and rows of D elements, got (2, 3) and [(4,)]": lambda: ag.append_rows(A, V),
    "AppendRows: expected a matrix (N, D) and rows of D elements, got (4,) and []": lambda: ag.append_rows(V),
    "Split: expected parts that make up the 4 of axis 0 of (4,), got 3": lambda: ag.split(V, 3),
    "Split: expected parts that make up the 4 of axis 0 of (4,), got (3, 2)": lambda: ag.split(V, (3, 2)),
    "Split: expected parts that make up the 4 of axis 0 of (4,), got (5, -1)": lambda: ag.split(V, (5, -1)),
    "Split: expected parts that make up the 4 of axis 0 of (4,), got 0": lambda: ag.split(V, 0),
    "Unstack: expected an axis of an array of shape (), got 0": lambda: ag.unstack(S),
    "Take: expected an axis of an array of shape (), got 0": lambda: ag.take(S, [0]),
    "Gather: expected indices of shape (2, 3), with any size along axis 1, got (3, 1)": lambda: ag.gather(
        A, np.zeros((3, 1), int)
    ),
    "Gather: expected indices of shape (2, 3), with any size along axis 1, got (2,)": lambda: ag.gather(A, [0, 1]),
    "MaxPooling: expected a matrix that windows of 2 x 2 tile, got shape (2, 3)": lambda: ag.max_pooling(A, 2, 2),
    "MaxPooling: expected a matrix that windows of 0 x 1 tile, got shape (2, 3)": lambda: ag.max_pooling(A, 0, 1),
    "MaxPooling: expected a matrix that windows of 1 x 1 tile, got shape (4,)": lambda: ag.max_pooling(V, 1, 1),
    "Conv1d: expected x of shape (..., 4, N) for weight (2, 2, 3) and groups 2, got (2, 3); channels": lambda: (
        ag.conv1d(A, np.ones((2, 2, 3)), groups=2)
    ),
    "Conv2d: expected x of shape (..., 2, N, M) for weight (1, 2, 3, 3) and groups 1, got (2, 3)": lambda: ag.conv2d(
        A, np.ones((1, 2, 3, 3))
    ),
    "Conv1d: expected weight (out, in / groups, k) with groups dividing out, got (3, 2, 1) and groups 2": lambda: (
        ag.conv1d(A, np.ones((3, 2, 1)), groups=2)
    ),
    "Conv2d: expected weight (out, in / groups, k, k) with groups dividing out, got (2, 3) and": lambda: ag.conv2d(
        A, A
    ),
    "Conv1d: expected bias of shape (1,) for weight (1, 2, 2), got (4,)": lambda: ag.conv1d(A, np.ones((1, 2, 2)), V),
    "Conv1d: expected x no smaller than its kernel, got (2, 3) with padding 1 and weight (1, 2, 4) with dilation 2": (
        lambda: ag.conv1d(A, np.ones((1, 2, 4)), padding=1, dilation=2)
    ),
    "MaxPool2d: expected x of shape (..., N, M), no smaller than kernel_size 3 with dilation 1, got (2, 3) with": (
        lambda: ag.max_pool2d(A, 3)
    ),
    "AvgPool1d: expected x of shape (..., N), no smaller than kernel_size 1 with dilation 1, got () with": lambda: (
        ag.avg_pool1d(S, 1)
    ),
    "item: expected a value of one element, got shape (4,); index it first": V.item,
    "expected a gradient of shape (2, 3), that of the value, got (3, 2)": lambda: A.acc_grad(np.ones((3, 2))),
}

WRONG_TYPES = {
    "Add: expected an array of float32 or float64, got int64 of shape (3,); convert it with .astype(": lambda: (
        untyped.add(A, np.arange(3))
    ),
    "Where: expected a condition of booleans, got float64; compare it with something": lambda: ag.where(A.value, A, A),
    "Astype: expected dtype float32 or float64, got int64": lambda: A.astype(np.int64),
    "Take: expected indices that are whole numbers, got float64": lambda: ag.take(A, [0.5]),
    "Gather: expected indices that are whole numbers, got bool": lambda: ag.gather(A, np.ones((2, 3), bool)),
    "affine: expected weights and inputs in pairs, got 1 operands after the first pair": lambda: ag.affine(V, A, V, A),
    "Concat: expected a node or an array for operand 1, got None": lambda: untyped.concat([A, None]),
    "Linear: expected a node or an array for operand 1, got None": lambda: untyped.linear(A, None),
    "Tanh: expected a number or an array, got a sequence of nodes; join them with ag.stack or ag.concat": lambda: (
        untyped.tanh([V, V])
    ),
    "expected dtype float32 or float64, got int64": lambda: ag.var(1.0, dtype=np.int64),
    "expected an array of float32 or float64, got int64 of shape (2,)": lambda: ag.var(np.arange(2)),
    "expected a number or an array, got str": lambda: ag.var("1.5"),
    "expected a number or an array, got list": lambda: ag.var([[1.0], [2.0, 3.0]]),
    "a node of shape () has no length": lambda: len(S),
}

WRONG_INDICES = {
    "Getitem: index 4 is out of bounds for axis 0 with size 4; the shape is (4,)": lambda: V[4],
    "Getitem: too many indices for array: array is 1-dimensional, but 2 were indexed; the shape is (4,)": lambda: V[
        0, 0
    ],
    "the shape is (2, 3)": lambda: A["a"],
    "Take: expected positions along axis 0 of shape (2, 3): index 2 is out of bounds": lambda: ag.take(A, [0, 2]),
    "Gather: expected positions along axis 1 of shape (2, 3): index 3 is out of bounds": lambda: ag.gather(
        A, [[3], [0]]
    ),
}

WRONG_VALUES = {
    "Dropout: expected a probability p from 0 to 1, got 1.5": lambda: ag.dropout(A, 1.5),
    "Dropout: expected a probability p from 0 to 1, got nan": lambda: ag.dropout(A, float("nan")),
    "Conv1d: expected stride to be a whole number, at least 1, got 0": lambda: ag.conv1d(
        A, np.ones((1, 2, 1)), stride=0
    ),
    "Conv1d: expected dilation to be a whole number, at least 1, got (1, 1)": lambda: ag.conv1d(
        A, np.ones((1, 2, 1)), dilation=(1, 1)
    ),
    "Conv1d: expected padding 'valid', 'same' or numbers, got 'full'": lambda: untyped.conv1d(
        A, np.ones((1, 2, 1)), padding="full"
    ),
    "Conv1d: expected stride 1 for padding 'same', got (2,)": lambda: ag.conv1d(
        A, np.ones((1, 2, 1)), padding="same", stride=2
    ),
    "MaxPool2d: expected kernel_size to be a whole number or 2 of them, at least 1, got (1, 0)": lambda: ag.max_pool2d(
        A, (1, 0)
    ),
    "MaxPool1d: expected stride to be a whole number, at least 1, got 0": lambda: ag.max_pool1d(A, 2, stride=0),
    "AvgPool2d: expected padding of at most half of kernel_size 2, got (1, 2)": lambda: ag.avg_pool2d(
        A, 2, padding=(1, 2)
    ),
    'gelu: expected approximate="none" or "tanh", got \'erf\'': lambda: untyped.gelu(A, approximate="erf"),
}

CASES = [
    (error, message, call)
    for error, calls in (
        (ag.ShapeError, WRONG_SHAPES),
        (TypeError, WRONG_TYPES),
        (IndexError, WRONG_INDICES),
        (ValueError, WRONG_VALUES),
    )
    for message, call in calls.items()
]


@pytest.mark.parametrize(("error", "message", "call"), CASES, ids=[message for _, message, _ in CASES])
def test_message_says_what_was_expected_and_what_came(
    error: type[Exception], message: str, call: Callable[[], Any]
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_wrong_call_leaves_nodes_as_they_were() -> None:
    a, b = ag.var([1.0, 2.0], requires_grad=True), ag.var([1.0, 2.0, 3.0], requires_grad=True)
    y = a * a
    with pytest.raises(ag.ShapeError):
        y + b

    y.backward()

    assert a.grad.tolist() == [2, 4]
    assert b.grad is None
