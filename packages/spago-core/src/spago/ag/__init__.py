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

from spago.ag import _allocator as _allocator
from spago.ag import _syntax as _syntax
from spago.ag._activations import (
    celu,
    elu,
    gelu,
    hard_sigmoid,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    mish,
    positive_elu,
    relu,
    selu,
    sigmoid,
    silu,
    softplus,
    softshrink,
    softsign,
    swish,
    swish_b,
    tanh,
    threshold,
)
from spago.ag._arithmetic import add, astype, clip, div, maximum, minimum, mul, neg, pow, sub, where
from spago.ag._backward import backward, backward_many, release_graph
from spago.ag._convolution import conv1d, conv2d
from spago.ag._dropout import dropout
from spago.ag._einsum import einsum
from spago.ag._elementary import abs, cos, erf, exp, expm1, identity, log, log1p, reciprocal, sin, sqrt, square, tan
from spago.ag._gradcheck import GradientError, gradcheck
from spago.ag._gradients import RowGradient, Scatter
from spago.ag._indexing import gather, getitem, sort, take, topk
from spago.ag._joining import append_rows, concat, split, stack, unstack
from spago.ag._linear_algebra import affine, biaffine, bilinear, dot, linear, matmul, matmul_t
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
from spago.ag._pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d, max_pooling
from spago.ag._profile import Profile, profile
from spago.ag._reductions import cumsum, max, mean, min, norm, prod, std, sum, variance
from spago.ag._rules import Binary, Joint, Rule, Unary, binary, elementwise, operator, pairwise, unary
from spago.ag._shaping import (
    broadcast_to,
    expand_dims,
    flatten,
    flip,
    pad,
    repeat,
    reshape,
    roll,
    squeeze,
    swapaxes,
    tile,
    transpose,
    tril,
    triu,
)
from spago.ag._softmax import log_softmax, logsumexp, softmax, sparsemax, sparsemax_loss
from spago.ag._threads import get_num_threads, run_together, set_num_threads, synchronize
from spago.ag._time_steps import TimeStepHandler
from spago.mat import ShapeError

__all__ = [
    "Binary",
    "Constant",
    "GradientError",
    "GraphError",
    "Joint",
    "Node",
    "Operand",
    "Operator",
    "Profile",
    "Pullback",
    "RowGradient",
    "Rule",
    "Scatter",
    "ShapeError",
    "TimeStepHandler",
    "Unary",
    "Variable",
    "Wrapper",
    "abs",
    "add",
    "affine",
    "append_rows",
    "as_array",
    "astype",
    "avg_pool1d",
    "avg_pool2d",
    "backward",
    "backward_many",
    "biaffine",
    "bilinear",
    "binary",
    "broadcast_to",
    "celu",
    "clip",
    "concat",
    "conv1d",
    "conv2d",
    "cos",
    "cumsum",
    "detect_anomaly",
    "div",
    "dot",
    "dropout",
    "einsum",
    "elementwise",
    "elu",
    "enable_grad",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "flatten",
    "flip",
    "gather",
    "gelu",
    "get_num_threads",
    "getitem",
    "gradcheck",
    "hard_sigmoid",
    "hard_tanh",
    "identity",
    "is_grad_enabled",
    "leaky_relu",
    "linear",
    "log",
    "log1p",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "matmul",
    "matmul_t",
    "max",
    "max_pool1d",
    "max_pool2d",
    "max_pooling",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mish",
    "mul",
    "neg",
    "no_grad",
    "norm",
    "operator",
    "pad",
    "pairwise",
    "positive_elu",
    "pow",
    "prod",
    "profile",
    "reciprocal",
    "release_graph",
    "relu",
    "repeat",
    "reshape",
    "roll",
    "run_together",
    "selu",
    "set_num_threads",
    "sigmoid",
    "silu",
    "sin",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "sort",
    "sparsemax",
    "sparsemax_loss",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_grad",
    "sub",
    "sum",
    "swapaxes",
    "swish",
    "swish_b",
    "synchronize",
    "take",
    "tan",
    "tanh",
    "threshold",
    "tile",
    "topk",
    "transpose",
    "tril",
    "triu",
    "unary",
    "unstack",
    "var",
    "variance",
    "where",
]
