"""Adapters of operators, of activation functions, and of the engine: accumulation, several roots, truncation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from golden import Case, Result, adapter, right_values
from spago import ag, mat

Function = Callable[..., Any]


def _number(x: ag.Node) -> float:
    """A parameter that the reference has as a node, and defines no gradient for."""
    return x.item()


def _column(x: ag.Node) -> ag.Node:
    """What the reference has as a column: a vector in two axes."""
    return x if x.ndim == 2 else x.reshape(-1, 1)


def _matmul(a: ag.Node, b: ag.Node) -> ag.Node:
    # A matrix of one row on the right: the left operand is a column there.
    return ag.matmul(_column(a), b) if a.ndim == 1 else ag.matmul(a, b)


FUNCTIONS: dict[str, Function] = {
    "abs": ag.abs,
    "cos": ag.cos,
    "exp": ag.exp,
    "gelu": lambda x: ag.gelu(x, approximate="tanh"),
    "hard_sigmoid": ag.hard_sigmoid,
    "hard_tanh": ag.hard_tanh,
    "identity": ag.identity,
    "log": ag.log,
    "mish": ag.mish,
    "neg": ag.neg,
    "reciprocal": ag.reciprocal,
    "relu": ag.relu,
    "sigmoid": ag.sigmoid,
    "silu": ag.silu,
    "sin": ag.sin,
    "softsign": ag.softsign,
    "sqrt": ag.sqrt,
    "square": ag.square,
    "swish": ag.swish,
    "tan": ag.tan,
    "tanh": ag.tanh,
    "positive_elu": ag.positive_elu,
    "softmax": ag.softmax,
    "log_softmax": ag.log_softmax,
    "sparse_max": ag.sparsemax,
    "sparse_max_loss": ag.sparsemax_loss,
    "reduce_max": ag.max,
    "reduce_mean": ag.mean,
    "reduce_sum": ag.sum,
    "pow": lambda x, power: ag.pow(x, power),
    "celu": lambda x, alpha: ag.celu(x, _number(alpha)),
    "elu": lambda x, alpha: ag.elu(x, _number(alpha)),
    "leaky_relu": lambda x, alpha: ag.leaky_relu(x, _number(alpha)),
    "selu": lambda x, alpha, scale: ag.selu(x, _number(alpha), _number(scale)),
    "swish_b": ag.swish_b,
    "soft_plus": lambda x, beta, threshold: ag.softplus(x, _number(beta), _number(threshold)),
    "soft_shrink": lambda x, threshold: ag.softshrink(x, _number(threshold)),
    "threshold": lambda x, threshold, k: ag.threshold(x, _number(threshold), _number(k)),
    "add": lambda x1, x2: ag.identity(x2) if x1 is None else ag.add(x1, x2),
    "sub": ag.sub,
    "prod": ag.mul,
    "div": ag.div,
    "add_scalar": ag.add,
    "sub_scalar": ag.sub,
    "prod_scalar": ag.mul,
    "div_scalar": ag.div,
    "reverse_sub": lambda x, s: ag.sub(s, x),
    "dot": ag.dot,
    "mul": _matmul,
    "mul_t": ag.matmul_t,
    "affine": ag.affine,
    "bilinear": ag.bilinear,
    "biaffine": ag.biaffine,
    "at": lambda x, i, j: x[i, j],
    "at_vec": lambda x, i: x[i],
    "row_view": lambda x, row: x[row],
    "col_view": lambda x, column: x[:, column],
    "row_views": ag.unstack,
    "col_views": lambda x: ag.unstack(x, axis=1),
    "concat": lambda xs: ag.concat([ag.flatten(x) for x in xs]),
    "stack": ag.stack,
    "append_rows": lambda x, vs: ag.append_rows(x, *vs),
    "flatten": ag.flatten,
    "t": ag.transpose,
    "reshape": lambda x, rows, columns: x.reshape(rows, columns),
    "slice": lambda x, from_row, from_col, to_row, to_col: _column(x)[from_row:to_row, from_col:to_col],
    "rotate_r": lambda x, i: ag.roll(x, i),
    "separate_vec": ag.unstack,
    "separate_matrix": lambda x: ag.unstack(x.flatten()),
    "split_vec": lambda x, chunks: ag.split(x, chunks),
    "sum": lambda xs: ag.stack(xs).sum(axis=0),
    "mean": lambda xs: ag.stack(xs).mean(axis=0),
    "maximum": lambda xs: ag.stack(xs).max(axis=0),
    "minimum": lambda xs: ag.stack(xs).min(axis=0),
    "scalar_max": lambda xs: ag.stack(xs).max(),
    "log_sum_exp": lambda xs, form: ag.logsumexp(xs if isinstance(xs, ag.Node) else ag.stack(xs)),
    "max_pooling": lambda x, rows, columns: ag.max_pooling(x, rows, columns),
    "conv1d_function": lambda w, x, stride: ag.conv1d(x, w[None], stride=stride)[0],
    "conv2d_function": lambda w, x, x_stride, y_stride: ag.conv2d(x[None], w[None, None], stride=(x_stride, y_stride))[
        0
    ],
    "pad": lambda xs, seq_len, padding: ag.pad(xs[:seq_len], ((0, max(0, seq_len - len(xs))), (0, 0))),
    "map": lambda xs, mapping: FUNCTIONS[mapping](xs),
    "map2": lambda xs1, xs2, mapping: FUNCTIONS[mapping](xs1, xs2),
    "dropout": lambda x, p, seed: ag.dropout(x, p, rng=mat.rand.LockedRand(seed)),
    "stop_grad": lambda x1, x2, expression: ag.tanh(x1) * ag.stop_grad(x1 * x2),
}


def run(function: Function, case: Case) -> Result:
    """Call function on the inputs as nodes and the settings by name; go back from its results."""
    inputs = [_leaves(x) for x in case.inputs]
    y = function(*inputs, **case.config)
    # Lists of nodes are compared element by element.
    outputs = [_values(y)]
    grads = case.output_grads
    if grads is not None:
        roots, seeds = (y, grads[0]) if isinstance(y, tuple) else ((y,), (grads[0],))
        for root, seed in zip(roots, seeds, strict=True):
            root.acc_grad(np.reshape(seed, root.shape))
        ag.backward_many(roots)
    return Result(outputs, input_grads=[_gradients(x) for x in inputs])


def _leaves(x: Any) -> Any:
    if isinstance(x, list):
        return [_leaves(element) for element in x]
    return None if x is None else ag.var(x, requires_grad=True)


def _values(y: Any) -> Any:
    return [_values(element) for element in y] if isinstance(y, tuple) else y.value


def _gradients(x: Any) -> Any:
    if isinstance(x, list):
        return [_gradients(element) for element in x]
    return None if x is None else x.grad


@adapter("operator", *FUNCTIONS)
def _operator(case: Case) -> Result:
    return run(FUNCTIONS[case.name], case)


@adapter("operator", "max", "min")
def _extreme(case: Case) -> Result:
    """Where operands are equal, the reference gives neither a gradient, which loses it; here the second one has it."""
    result = run(ag.maximum if case.name == "max" else ag.minimum, case)
    x1, x2 = case.inputs
    equal = x1 == x2
    if case.output_grads is not None and result.input_grads is not None:
        first, second = result.input_grads
        assert not first[equal].any()
        assert np.array_equal(second[equal], case.output_grads[0][equal])
        result = Result(result.outputs, input_grads=[first, np.where(equal, 0, second)])
    return result


# Where the reference is at fault: the same by other formulas than those of spago.


def _right(y: Any, *gradients: Any) -> Mapping[str, Any]:
    return {"outputs": [y], "input_grads": list(gradients)}


def _case(case: Case) -> tuple[Any, Any]:
    """The inputs, and the gradient of the output; ones for a case without."""
    grads = case.output_grads
    inputs = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    return inputs, grads[0] if grads is not None else 1.0


def _sigmoid(x: Any) -> Any:
    return 0.5 * np.tanh(0.5 * x) + 0.5


@right_values("operator", "log_softmax")
def _log_softmax(case: Case) -> Mapping[str, Any]:
    x, g = _case(case)
    y = x - np.logaddexp.reduce(x)
    return _right(y, g - np.exp(y) * np.sum(g))


@right_values("operator", "swish", "silu")
def _swish(case: Case) -> Mapping[str, Any]:
    x, g = _case(case)
    s = _sigmoid(x)
    return _right(x * s, g * (s + x * s * (1 - s)))


@right_values("operator", "swish_b")
def _swish_b(case: Case) -> Mapping[str, Any]:
    (x, beta), g = _case(case)
    s = _sigmoid(beta * x)
    return _right(x * s, g * (s + beta * x * s * (1 - s)), np.sum(g * x * x * s * (1 - s)))


@right_values("operator", "mish")
def _mish(case: Case) -> Mapping[str, Any]:
    x, g = _case(case)
    t = np.tanh(np.logaddexp(0, x))
    return _right(x * t, g * (t + x * (1 - t * t) * _sigmoid(x)))


@right_values("operator", "sparse_max")
def _sparse_max(case: Case) -> Mapping[str, Any]:
    x, g = _case(case)
    low, high = np.max(x) - 1, np.max(x)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(x - middle, 0).sum() > 1 else (low, middle)
    y = np.maximum(x - low, 0)
    return _right(y, np.where(y > 0, g - np.sum(g * (y > 0)) / np.sum(y > 0), 0))


@right_values("operator", "max_pooling")
def _max_pooling(case: Case) -> Mapping[str, Any]:
    x, g = _case(case)
    height, width = case.config["rows"], case.config["columns"]
    y, d = np.zeros((x.shape[0] // height, x.shape[1] // width)), np.zeros_like(x)
    for i, j in np.ndindex(y.shape):
        window = np.s_[i * height : (i + 1) * height, j * width : (j + 1) * width]
        y[i, j] = x[window].max()
        row, column = np.unravel_index(x[window].argmax(), (height, width))
        d[window][row, column] = np.broadcast_to(g, y.shape)[i, j]
    return _right(y, d)


@right_values("operator", "scalar_max")
def _scalar_max(case: Case) -> Mapping[str, Any]:
    xs, g = _case(case)
    winner = int(np.argmax(xs))
    return _right(xs[winner], [g if i == winner else None for i in range(len(xs))])


# The engine


def _backward_default(a: ag.Node, b: ag.Node, expression: str) -> list[ag.Node]:
    y = ag.tanh(a) * b if "tanh" in expression else ag.dot(a, a + b)
    ag.backward(y)
    return [y]


def _backward_accumulate(a: ag.Node, b: ag.Node, expression: str) -> list[ag.Node]:
    y1 = a * b
    ag.backward(y1)
    y2 = ag.sin(a)
    ag.backward(y2)
    return [y1, y2]


def _backward_many(a: ag.Node, b: ag.Node, expression: str) -> list[ag.Node]:
    if expression.startswith("h ="):
        h = ag.tanh(a * b)
        ys = [ag.exp(h), h * a]
    else:
        h = ag.tanh(a)
        ys = [h, h * b]
    ag.backward_many(ys)
    return ys


def _requires_grad(a: ag.Node, b: ag.Node, expression: str) -> list[ag.Node]:
    b.requires_grad = False
    y = a * b
    ag.backward(y)
    return [y]


ENGINE: dict[str, Function] = {
    "backward_default": _backward_default,
    "backward_accumulate": _backward_accumulate,
    "backward_many": _backward_many,
    "requires_grad": _requires_grad,
}


@adapter("autograd", *ENGINE)
def _engine(case: Case) -> Result:
    leaves = [ag.var(x, requires_grad=True) for x in case.inputs]
    ys = ENGINE[case.name](*leaves, **case.config)
    return Result([y.value for y in ys], input_grads=[x.grad for x in leaves])


@adapter("truncated_backward", "backward_t", "backward_many_t")
def _truncated(case: Case) -> Result:
    p = {name: ag.var(value, requires_grad=True) for name, value in case.params.items()}
    h0, inputs = case.inputs
    first = ag.var(h0, requires_grad=True)
    h: ag.Node = first
    xs = [ag.var(x, requires_grad=True) for x in inputs]
    time_steps = ag.TimeStepHandler()
    for x in xs:
        time_steps.next()
        h = ag.tanh(ag.affine(p["b"], p["w"], h, p["u"], x))
    y = p["v"] @ h
    outputs = [y] if case.name == "backward_t" else [h, y]
    for output, g in zip(outputs, case.output_grads or [], strict=True):
        output.acc_grad(g)
    handler = time_steps if case.config["time_step_handler"] else None
    if case.name == "backward_t":
        ag.backward(y, time_steps=handler, back_steps=case.config["back_steps"])
    else:
        ag.backward_many(outputs, time_steps=handler, back_steps=case.config["back_steps"])
    reached = [x.grad for x in xs if x.grad is not None]
    x_grads = [np.zeros_like(x.value) if x.grad is None else x.grad for x in xs] if reached else None
    return Result(
        [output.value for output in outputs],
        input_grads=[first.grad, None if x_grads is None else np.stack(x_grads)],
        param_grads={name: node.grad for name, node in p.items()},
    )


@right_values("truncated_backward", "backward_t", "backward_many_t")
def _not_truncated(case: Case) -> Mapping[str, Any]:
    """The gradients of the whole sequence, by the equations of back-propagation through time."""
    p = case.params
    h0, xs = case.inputs
    hs = [h0]
    for x in xs:
        hs.append(np.tanh(p["b"] + p["w"] @ hs[-1] + p["u"] @ x))
    *g_last, g_y = case.output_grads or []
    g_h = p["v"].T @ g_y + (g_last[0] if g_last else 0)
    grads = {name: np.zeros_like(value) for name, value in p.items()} | {"v": np.outer(g_y, hs[-1])}
    g_xs = np.zeros_like(xs)
    for t in reversed(range(len(xs))):
        g_z = g_h * (1 - hs[t + 1] ** 2)
        grads["b"] += g_z
        grads["w"] += np.outer(g_z, hs[t])
        grads["u"] += np.outer(g_z, xs[t])
        g_xs[t] = p["u"].T @ g_z
        g_h = p["w"].T @ g_z
    return {"input_grads": [g_h, g_xs], "param_grads": grads}


class _Param(ag.Variable):
    """A lasting leaf, as those of a model."""

    __slots__ = ()


@adapter("truncated_backward", "node_time_step")
def _node_time_step(case: Case) -> Result:
    steps = ag.TimeStepHandler()
    a = ag.var([1.0, 2.0])
    s0 = ag.tanh(a)
    steps.next()
    b = ag.var([3.0, 4.0])
    s1 = s0 + b
    w = ag.stop_grad(s1)
    steps.next()
    steps.next()
    s3 = w * a
    nodes: Sequence[ag.Node] = (a, s0, b, s1, w, s3, _Param([1.0]))
    assert steps.current == case.config["current_time_step"]
    return Result([np.array([steps.step_of(node) for node in nodes])])
