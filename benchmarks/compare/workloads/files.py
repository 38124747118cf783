"""Model files beside the library of their format: layers of 1000 × 1000 weights, saved, and loaded byte by byte.

Files lie in memory where there is room for that, so that the formats are timed and not the disk. `nn.save` also asks
the system to bring the file to the disk before the old one goes; in memory that is nothing.
"""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import nn
from spago.nn import gob

CASES = [dict(MB=40), dict(MB=400)]
GOALS = {"safetensors": 0.8}


def a_model(MB: int) -> Inputs:
    """Return a model of so many megabytes."""
    model = nn.ModuleList([nn.Linear(1000, 1000) for _ in range(MB // 4)])
    for layer in model:
        layer.weight.value[...] = np.random.default_rng(1).normal(size=(1000, 1000))
    return (model,)


def a_folder() -> Path:
    """Return a new folder, in memory where there is any."""
    folder = Path(tempfile.mkdtemp(prefix="spago-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@workload("save a model of {MB} MB, safetensors", cases=CASES, goals=GOALS)
def save(MB: int) -> Inputs:
    """The model."""
    return a_model(MB)


@save.side("spago")
def _(model: Any) -> Run:
    path = a_folder() / "model.safetensors"

    def run() -> Results:
        nn.save(model, path)
        return [np.array([path.stat().st_size // 100_000])]

    return run


@save.side("safetensors")
def _(model: Any) -> Run:
    from safetensors.numpy import save_file

    path, arrays = a_folder() / "model.safetensors", model.state_dict()

    def run() -> Results:
        save_file(arrays, path)
        return [np.array([path.stat().st_size // 100_000])]

    return run


@workload("load a model of {MB} MB, safetensors", cases=CASES, goals=GOALS)
def load(MB: int) -> Inputs:
    """The model, and a file of it."""
    (model,) = a_model(MB)
    path = a_folder() / "model.safetensors"
    nn.save(model, path)
    return model, path


@load.side("spago")
def _(model: Any, path: Path) -> Run:
    def run() -> Results:
        nn.load(model, path)
        return [layer.weight.value for layer in model]

    return run


@load.side("safetensors")
def _(model: Any, path: Path) -> Run:
    from safetensors.numpy import load_file

    def run() -> Results:
        arrays = load_file(path)
        return [arrays[f"{k}.weight"] for k in range(len(model))]

    return run


@workload("load a model of {MB} MB and sum its weights, safetensors", cases=CASES, goals=GOALS)
def load_and_sum(MB: int) -> Inputs:
    """The model, and a file of it."""
    return load.inputs(MB)


@load_and_sum.side("spago")
def _(model: Any, path: Path) -> Run:
    def run() -> Results:
        nn.load(model, path, memory_map=True)
        return [np.array([layer.weight.value.sum() for layer in model])]

    return run


@load_and_sum.side("safetensors")
def _(model: Any, path: Path) -> Run:
    from safetensors.numpy import load_file

    def run() -> Results:
        arrays = load_file(path)
        return [np.array([arrays[f"{k}.weight"].sum() for k in range(len(model))])]

    return run


@workload("write a model of {MB} MB, gob", cases=CASES)
def write_gob(MB: int) -> Inputs:
    """The plain data of the model, in a struct of a user."""
    (model,) = a_model(MB)
    kind = gob.declare("benchmarks.Model", {"Layers": "[]*linear.Model"})
    return (gob.Struct(kind, Layers=[gob.to_data(layer) for layer in model]),)


@write_gob.side("spago")
def _(data: Any) -> Run:
    path = a_folder() / "model.gob"

    def run() -> Results:
        gob.save(data, path)
        return [np.array([len(data["Layers"])])]

    return run


@write_gob.side("NumPy")
def _(data: Any) -> Run:
    path = a_folder() / "model.npz"

    def run() -> Results:
        np.savez(path, *[layer[name].value for layer in data["Layers"] for name in ("W", "B")])
        return [np.array([len(data["Layers"])])]

    return run


@workload("read a model of {MB} MB, gob", cases=CASES)
def read_gob(MB: int) -> Inputs:
    """Files of the same matrices in both formats."""
    (data,) = write_gob.inputs(MB)
    folder = a_folder()
    gob.save(data, folder / "model.gob")
    np.savez(folder / "model.npz", *[layer[name].value for layer in data["Layers"] for name in ("W", "B")])
    return (folder,)


@read_gob.side("spago")
def _(folder: Path) -> Run:
    def run() -> Results:
        data = gob.load(folder / "model.gob")
        return [layer["W"].value for layer in data["Layers"]]

    return run


@read_gob.side("NumPy")
def _(folder: Path) -> Run:
    def run() -> Results:
        with np.load(folder / "model.npz") as arrays:
            values = [arrays[f"arr_{k}"] for k in range(len(arrays.files))]
        return values[::2]

    return run
