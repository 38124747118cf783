"""The sides of the comparison, each a function that makes a library ready. A peer that is not installed is left out."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from spago.mat import Array

ToNumPy: TypeAlias = Callable[[Any], Array]
"""From an array of the library to NumPy's."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library that can do the work.

    Attributes:
        name: As in the table.
        version: Of the installed distribution.
        traced: Whether tracemalloc sees its memory; that of a C++ library it does not.
        to_numpy: From an array of the library to NumPy's.
    """

    name: str
    version: str
    traced: bool
    to_numpy: ToNumPy


Start: TypeAlias = Callable[[int], ToNumPy]

_STARTS: dict[str, tuple[str, bool, Start]] = {}


def peer(name: str, distribution: str, *, traced: bool = True) -> Callable[[Start], Start]:
    """Decorate the function that imports a library, holds it to a number of threads, and returns its `to_numpy`."""

    def register(start: Start) -> Start:
        _STARTS[name] = (distribution, traced, start)
        return start

    return register


def start_peers(threads: int) -> tuple[dict[str, Peer], list[str]]:
    """Make all libraries ready, each with so many threads.

    Returns:
        Those that are installed, and the names of the others.
    """
    peers, missing = {}, []
    for name, (distribution, traced, start) in _STARTS.items():
        try:
            to_numpy = start(threads)
        except ModuleNotFoundError:
            missing.append(name)
        else:
            peers[name] = Peer(name, _version(distribution), traced, to_numpy)
    return peers, missing


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "from source"


@peer("spago", "spago-core")
def _spago(threads: int) -> ToNumPy:
    from spago import ag

    ag.set_num_threads(threads)
    return np.asarray


@peer("NumPy", "numpy")
def _numpy(threads: int) -> ToNumPy:
    # Written by hand for each workload: the least that the mathematics needs. Its threads are those of its BLAS.
    del threads
    return np.asarray


@peer("PyTorch", "torch", traced=False)
def _pytorch(threads: int) -> ToNumPy:
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(threads)

    def to_numpy(x: Any) -> Array:
        return x.detach().numpy()

    return to_numpy


@peer("autograd", "autograd")
def _autograd(threads: int) -> ToNumPy:
    import autograd.numpy  # noqa: F401 - its threads are NumPy's

    del threads
    return np.asarray


@peer("MyGrad", "mygrad")
def _mygrad(threads: int) -> ToNumPy:
    import mygrad  # noqa: F401 - its threads are NumPy's

    del threads
    return np.asarray


@peer("safetensors", "safetensors")
def _safetensors(threads: int) -> ToNumPy:
    import safetensors.numpy  # noqa: F401 - it has no threads

    del threads
    return np.asarray
