"""Functions on NumPy arrays: numerical kernels, constructors, random streams, the binary layout, printing.

A value in spago is a plain `numpy.ndarray` of float32 or float64. Here is what NumPy does not have, or computes less
carefully. The kernels keep the dtype they are given, accept any memory layout, write into nothing they are given, are
stable for every input including ±inf, propagate NaN, and emit no floating-point warnings, whatever `numpy.errstate`
says. Each states its error bound, in units of eps = `numpy.finfo(dtype).eps`. As with NumPy's own functions, the result
for an array without axes is a NumPy scalar.
"""

from spago.mat import rand
from spago.mat._attention import AttentionSteps, attention_backward, attention_forward
from spago.mat._binary import marshal, marshal_matrix, read_matrix, unmarshal, unmarshal_matrix
from spago.mat._constructors import eye, full, one_hot, ones, resize, zeros
from spago.mat._crf import CRFLattice, CRFScores, crf_counts, crf_expectations, crf_forward, crf_k_best, crf_score
from spago.mat._erf import erf, erfc, gelu, gelu_grad, normal_cdf, normal_pdf
from spago.mat._errors import FormatError, ShapeError
from spago.mat._gru import GRUSteps, gru_backward, gru_forward
from spago.mat._layer_statistics import layer_statistics, standardize
from spago.mat._linear_algebra import lu, normalize, pivot_row
from spago.mat._lstm import LSTMSteps, lstm_backward, lstm_forward
from spago.mat._normalization import RowScales, RowScaling, scale_rows, scale_rows_backward
from spago.mat._packing import Packing, check_lengths
from spago.mat._pieces import piece_size
from spago.mat._printing import format, format_number, to_string
from spago.mat._sigmoid import log_sigmoid, mish, mish_grad, sigmoid, softplus
from spago.mat._softmax import log_softmax, logsumexp, softmax
from spago.mat._sparsemax import sparsemax
from spago.mat._types import Array
from spago.mat._windows import Padding, Sizes, Windows

__all__ = [
    "Array",
    "AttentionSteps",
    "CRFLattice",
    "CRFScores",
    "FormatError",
    "GRUSteps",
    "LSTMSteps",
    "Packing",
    "Padding",
    "RowScales",
    "RowScaling",
    "ShapeError",
    "Sizes",
    "Windows",
    "attention_backward",
    "attention_forward",
    "check_lengths",
    "crf_counts",
    "crf_expectations",
    "crf_forward",
    "crf_k_best",
    "crf_score",
    "erf",
    "erfc",
    "eye",
    "format",
    "format_number",
    "full",
    "gelu",
    "gelu_grad",
    "gru_backward",
    "gru_forward",
    "layer_statistics",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "lstm_backward",
    "lstm_forward",
    "lu",
    "marshal",
    "marshal_matrix",
    "mish",
    "mish_grad",
    "normal_cdf",
    "normal_pdf",
    "normalize",
    "one_hot",
    "ones",
    "piece_size",
    "pivot_row",
    "rand",
    "read_matrix",
    "resize",
    "scale_rows",
    "scale_rows_backward",
    "sigmoid",
    "softmax",
    "softplus",
    "sparsemax",
    "standardize",
    "to_string",
    "unmarshal",
    "unmarshal_matrix",
    "zeros",
]
