"""Layers and models, and the files that keep them.

A model is a `Module`: an ordinary class whose attributes hold parameters and other modules. The last axis of an array
is features, the one before it time, those before that batch.
"""

from spago.nn._activation import Activation
from spago.nn._ada_norm import AdaNorm
from spago.nn._avg_pool1d import AvgPool1d
from spago.nn._avg_pool2d import AvgPool2d
from spago.nn._batch_norm import BatchNorm
from spago.nn._bidirectional import BiBiLSTM, BiCFN, BiGRU, BiLSTM, BiLTM, BiMIST, BiRAN
from spago.nn._birnn import BiRNN, BiState
from spago.nn._blank import NoDraw
from spago.nn._cfn import CFN
from spago.nn._containers import ModuleList, Sequential
from spago.nn._conv1d import Conv1d
from spago.nn._conv1x1 import Conv1x1
from spago.nn._conv2d import Conv2d
from spago.nn._crf import CRF
from spago.nn._delta_rnn import DeltaRNN
from spago.nn._dropout import Dropout
from spago.nn._embedding import Embedding
from spago.nn._files import FileReport, compare, load, load_model, save
from spago.nn._flatten import Flatten
from spago.nn._from_torch import from_torch
from spago.nn._gmlp import GMLP
from spago.nn._gru import GRU
from spago.nn._highway import Highway
from spago.nn._horn import HORN, HORNState
from spago.nn._ind_rnn import IndRNN
from spago.nn._key_value_cache import KeyValueCache
from spago.nn._layer_norm import LayerNorm, LayerNormSimple
from spago.nn._linear import Linear
from spago.nn._linear_attention import linear_attention
from spago.nn._lstm import LSTM, LSTMState
from spago.nn._ltm import LTM, LTMState
from spago.nn._max_pool1d import MaxPool1d
from spago.nn._max_pool2d import MaxPool2d
from spago.nn._mist import MIST, MISTState
from spago.nn._mixer_block import MixerBlock
from spago.nn._module import LoadResult, Module
from spago.nn._multihead_attention import MultiheadAttention
from spago.nn._param import Buffer, Param, ParameterSource, Payload, Trainable
from spago.nn._positions import LearnedPositions, RotaryPositions, SinusoidalPositions
from spago.nn._ran import RAN, RANState
from spago.nn._recurrent import HiddenState, Recurrent
from spago.nn._registry import register
from spago.nn._rla import RLA, RLAState
from spago.nn._rms_norm import RMSNorm
from spago.nn._safetensors import load_arrays, load_metadata, save_arrays
from spago.nn._scale_norm import FixNorm, ScaleNorm
from spago.nn._scaled_dot_product import scaled_dot_product_attention
from spago.nn._self_attention import SelfAttention
from spago.nn._sentence_state_lstm import SentenceState, SentenceStateLSTM
from spago.nn._sgu import SGU
from spago.nn._sparse_param import SparseParam
from spago.nn._squared_distance import SquaredDistance
from spago.nn._srn import SRN
from spago.nn._srnn import SRNN, BiSRNN, SRNNState
from spago.nn._stacked import Stacked
from spago.nn._summary import LayerSummary, Summary, summary
from spago.nn._torch_files import load_torch
from spago.nn._tpr import TPR
from spago.nn._transformer import DecoderCache, TransformerDecoderLayer, TransformerEncoderLayer
from spago.nn._transformer_stacks import TransformerDecoder, TransformerEncoder

__all__ = [
    "CFN",
    "CRF",
    "GMLP",
    "GRU",
    "HORN",
    "LSTM",
    "LTM",
    "MIST",
    "RAN",
    "RLA",
    "SGU",
    "SRN",
    "SRNN",
    "TPR",
    "Activation",
    "AdaNorm",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "BiBiLSTM",
    "BiCFN",
    "BiGRU",
    "BiLSTM",
    "BiLTM",
    "BiMIST",
    "BiRAN",
    "BiRNN",
    "BiSRNN",
    "BiState",
    "Buffer",
    "Conv1d",
    "Conv1x1",
    "Conv2d",
    "DecoderCache",
    "DeltaRNN",
    "Dropout",
    "Embedding",
    "FileReport",
    "FixNorm",
    "Flatten",
    "HORNState",
    "HiddenState",
    "Highway",
    "IndRNN",
    "KeyValueCache",
    "LSTMState",
    "LTMState",
    "LayerNorm",
    "LayerNormSimple",
    "LayerSummary",
    "LearnedPositions",
    "Linear",
    "LoadResult",
    "MISTState",
    "MaxPool1d",
    "MaxPool2d",
    "MixerBlock",
    "Module",
    "ModuleList",
    "MultiheadAttention",
    "NoDraw",
    "Param",
    "ParameterSource",
    "Payload",
    "RANState",
    "RLAState",
    "RMSNorm",
    "Recurrent",
    "RotaryPositions",
    "SRNNState",
    "ScaleNorm",
    "SelfAttention",
    "SentenceState",
    "SentenceStateLSTM",
    "Sequential",
    "SinusoidalPositions",
    "SparseParam",
    "SquaredDistance",
    "Stacked",
    "Summary",
    "Trainable",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "compare",
    "from_torch",
    "linear_attention",
    "load",
    "load_arrays",
    "load_metadata",
    "load_model",
    "load_torch",
    "register",
    "save",
    "save_arrays",
    "scaled_dot_product_attention",
    "summary",
]
