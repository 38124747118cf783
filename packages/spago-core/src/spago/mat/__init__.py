"""Functions on NumPy arrays: numerical kernels, constructors, random streams, the binary layout, printing.

A value in spago is a plain `numpy.ndarray` of float32 or float64. Here is what NumPy does not have, or computes less
carefully. The kernels keep the dtype they are given, accept any memory layout, write into nothing they are given, are
stable for every input including ±inf, propagate NaN, and emit no floating-point warnings, whatever `numpy.errstate`
says. Each states its error bound, in units of eps = `numpy.finfo(dtype).eps`. As with NumPy's own functions, the result
for an array without axes is a NumPy scalar.
"""

from spago.mat import rand
from spago.mat._erf import erf, erfc, gelu, gelu_grad, normal_cdf, normal_pdf
from spago.mat._errors import FormatError, ShapeError
from spago.mat._lstm import LSTMSteps, lstm_backward, lstm_forward, lstm_gate_layout
from spago.mat._packing import Packing, check_lengths
from spago.mat._sigmoid import log_sigmoid, mish, mish_grad, sigmoid, softplus
from spago.mat._softmax import log_softmax, logsumexp, softmax
from spago.mat._types import Array

__all__ = [
    "Array",
    "FormatError",
    "LSTMSteps",
    "Packing",
    "ShapeError",
    "check_lengths",
    "erf",
    "erfc",
    "gelu",
    "gelu_grad",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mish",
    "mish_grad",
    "lstm_backward",
    "lstm_forward",
    "lstm_gate_layout",
    "normal_cdf",
    "normal_pdf",
    "rand",
    "sigmoid",
    "softmax",
    "softplus",
]
