"""Define-by-run automatic differentiation on NumPy arrays.

A node holds an array; an operator takes nodes, computes at once, and remembers how to go back. `backward` then gives
every leaf that asked for it the gradient of the result.

What holds for all operators:
    An operand is a node, or a constant: an array of float32 or float64, or a Python number.
    Operands of different shapes are broadcast as in NumPy, and their gradients are summed back.
    Two dtypes promote as in NumPy; Python numbers never promote. A gradient has the shape and dtype of its operand.
    Shapes that do not fit raise `ShapeError`, what is no float array raises `TypeError`, at the call.

Examples:
    >>> from spago import ag
    >>> a = ag.var(2.0, requires_grad=True)
    >>> b = ag.var(5.0, requires_grad=True)
    >>> c = a + b
    >>> c.backward(0.5)
    >>> a.grad
    array(0.5, dtype=float32)
"""

from spago.ag import _syntax as _syntax
from spago.ag._activations import relu, sigmoid, tanh
from spago.ag._arithmetic import add, div, mul, neg, pow, square, sub
from spago.ag._backward import backward, backward_many, release_graph
from spago.ag._gradients import Scatter
from spago.ag._linear_algebra import linear, matmul
from spago.ag._modes import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from spago.ag._node import (
    Constant,
    GraphError,
    Node,
    Operand,
    Operator,
    Pullback,
    Variable,
    Wrapper,
    as_array,
    stop_grad,
    var,
)
from spago.ag._reductions import mean, sum
from spago.ag._rules import Binary, Joint, Rule, Unary, binary, operator, unary
from spago.ag._shaping import concat, getitem, reshape, transpose
from spago.ag._time_steps import TimeStepHandler
from spago.mat import ShapeError

__all__ = [
    "Binary",
    "Constant",
    "GraphError",
    "Joint",
    "Node",
    "Operand",
    "Operator",
    "Pullback",
    "Rule",
    "Scatter",
    "ShapeError",
    "TimeStepHandler",
    "Unary",
    "Variable",
    "Wrapper",
    "add",
    "as_array",
    "backward",
    "backward_many",
    "binary",
    "concat",
    "detect_anomaly",
    "div",
    "enable_grad",
    "getitem",
    "is_grad_enabled",
    "linear",
    "matmul",
    "mean",
    "mul",
    "neg",
    "no_grad",
    "operator",
    "pow",
    "relu",
    "release_graph",
    "reshape",
    "sigmoid",
    "square",
    "stop_grad",
    "sub",
    "sum",
    "tanh",
    "transpose",
    "unary",
    "var",
]
