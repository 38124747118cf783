"""Optimizers: methods that change parameters by their gradients; clipping; learning rates that change with time.

An optimizer takes a model, its parameters, or groups of them with settings of their own:

    optimizer = optim.Adam(model, learning_rate=1e-3, clip_norm=5.0)
    for batch in batches:
        loss(model, batch).backward()
        optimizer.step()  # updates, and clears the gradients

The learning rate may be a schedule, a function of the number of steps. What a method remembers of a parameter lives
with it (`Param.payload`), for the rows of an embedding store in the store. Where a rule differs between PyTorch and the
reference, the default is PyTorch's; the docstrings say how to get the other.
"""

from spago.optim._adagrad import AdaGrad
from spago.optim._adam import Adam, AdamW
from spago.optim._clipping import clip_by_norm, clip_by_value
from spago.optim._lamb import LAMB
from spago.optim._optimizer import Group, OnNaN, Optimizer, OptimizerState, Params, Rate
from spago.optim._radam import RAdam
from spago.optim._rmsprop import RMSProp
from spago.optim._schedules import (
    CosineDecay,
    ExponentialDecay,
    HyperbolicDecay,
    LinearDecay,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    WarmUp,
)
from spago.optim._sgd import SGD
from spago.optim._sources import Source

__all__ = [
    "LAMB",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "CosineDecay",
    "ExponentialDecay",
    "Group",
    "HyperbolicDecay",
    "LinearDecay",
    "OnNaN",
    "Optimizer",
    "OptimizerState",
    "Params",
    "RAdam",
    "RMSProp",
    "Rate",
    "ReduceOnPlateau",
    "Schedule",
    "Source",
    "StepDecay",
    "WarmUp",
    "clip_by_norm",
    "clip_by_value",
]
