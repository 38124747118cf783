"""Adapters of the random streams."""

from collections.abc import Callable
from typing import Any

import numpy as np

from golden import Case, Result, adapter
from spago.mat.rand import LockedRand

Draw = Callable[[LockedRand, dict[str, Any]], Any]

DRAWS: dict[str, Draw] = {
    "uint64": lambda rng, c: rng.uint64(c["count"]),
    "uint32": lambda rng, c: rng.uint32(c["count"]),
    "int63": lambda rng, c: rng.int63(c["count"]),
    "int31": lambda rng, c: rng.int31(c["count"]),
    "int": lambda rng, c: rng.int_(c["count"]),
    "int63n": lambda rng, c: rng.intn(c["n"], c["count"]),
    "int31n": lambda rng, c: rng.intn(c["n"], c["count"]),
    "intn": lambda rng, c: rng.intn(c["n"], c["count"]),
    "uint64n": lambda rng, c: rng.uint64n(c["n"], c["count"]),
    "float64": lambda rng, c: rng.float64(c["count"]),
    "float32": lambda rng, c: rng.float32(c["count"]),
    "norm_float64": lambda rng, c: rng.normal(c["count"]),
    "perm": lambda rng, c: rng.perm(c["n"]),
    "read": lambda rng, c: np.frombuffer(rng.read(c["count"]), np.uint8),
    "uniform": lambda rng, c: rng.uniform(c["count"], c["min"], c["max"]),
    "normal": lambda rng, c: rng.normal(c["count"], c["mean"], c["std"]),
}


@adapter("rand", *DRAWS)
def _draw(case: Case) -> Result:
    return Result([DRAWS[case.name](LockedRand(case.config["seed"]), case.config)])


@adapter("rand", "global_float")
def _global_float(case: Case) -> Result:
    # The package-level source of the reference has seed 1. Spago for Python has one source for all, with seed 12345.
    return Result([LockedRand(1).float64(case.decoded("outputs")[0].shape)])


@adapter("rand", "shuffle_in_place")
def _shuffle(case: Case) -> Result:
    numbers = list(range(case.config["n"]))
    LockedRand(case.config["seed"]).shuffle(numbers)
    return Result([np.array(numbers)])


@adapter("rand", "bernulli")
def _bernoulli(case: Case) -> Result:
    config = case.config
    shape = config["rows"], config["columns"]
    return Result([LockedRand(config["seed"]).bernoulli(shape, config["prob"], dtype=str(case.dtype))])


@adapter("rand", "reseed")
def _reseed(case: Case) -> Result:
    rng = LockedRand(case.config["seed"])
    rng.uint64(case.config["draws_before"])
    rng.seed(case.config["new_seed"])
    return Result([rng.uint64(case.config["count"])])


@adapter("rand", "mixed_stream")
def _mixed_stream(case: Case) -> Result:
    rng = LockedRand(case.config["seed"])
    # Names such as float64_0, intn_1000_2 say in which order to draw what.
    draws: dict[str, Callable[..., Any]] = {
        "float64": rng.float64,
        "norm_float64": rng.normal,
        "intn": rng.intn,
        "float32": rng.float32,
    }
    values = {}
    for name in case.decoded("outputs")[0]:
        words = name.split("_")
        arguments = [int(word) for word in words[:-1] if word.isdigit()]
        draw = "_".join(word for word in words if not word.isdigit())
        values[name] = draws[draw](*arguments)
    return Result([values])
