"""Layers and models, and the files that keep them.

A model is a `Module`: an ordinary class whose attributes hold parameters and other modules. The last axis of an array
is features, the one before it time, those before that batch.
"""

from spago.nn._birnn import BiLSTM, BiRNN, BiState
from spago.nn._containers import ModuleList, Sequential
from spago.nn._crf import CRF
from spago.nn._dropout import Dropout
from spago.nn._embedding import Embedding
from spago.nn._files import load, save
from spago.nn._gru import GRU
from spago.nn._linear import Linear
from spago.nn._lstm import LSTM, LSTMState
from spago.nn._module import LoadResult, Module
from spago.nn._param import Buffer, Param, ParameterSource, Payload, Trainable
from spago.nn._recurrent import HiddenState, Recurrent
from spago.nn._safetensors import load_arrays, load_metadata, save_arrays

__all__ = [
    "CRF",
    "GRU",
    "LSTM",
    "BiLSTM",
    "BiRNN",
    "BiState",
    "Buffer",
    "Dropout",
    "Embedding",
    "HiddenState",
    "LSTMState",
    "Linear",
    "LoadResult",
    "Module",
    "ModuleList",
    "Param",
    "ParameterSource",
    "Payload",
    "Recurrent",
    "Sequential",
    "Trainable",
    "load",
    "load_arrays",
    "load_metadata",
    "save",
    "save_arrays",
]
