"""Adapters of the initializers."""

from typing import Any

import numpy as np

from golden import Case, Result, adapter
from spago import initializers
from spago.mat.rand import LockedRand

NAMES = {"min": "low", "max": "high"}
"""Settings that the reference calls otherwise."""


@adapter(
    "initializer", "uniform", "normal", "xavier_uniform", "xavier_normal", "achlioptas", "constant", "ones", "zeros"
)
def _weights(case: Case) -> Result:
    config = case.config
    weights = np.full(config.pop("shape"), np.nan, case.dtype)
    settings: dict[str, Any] = {NAMES.get(name, name): value for name, value in config.items() if name != "seed"}
    if "seed" in config:
        settings["rng"] = LockedRand(config["seed"])
    return Result([getattr(initializers, case.name)(weights, **settings)])


@adapter("initializer", "gain")
def _gain(case: Case) -> Result:
    return Result([initializers.gain(case.config["activation"])])
