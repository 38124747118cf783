"""Models in files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from spago.nn._module import LoadResult, Module
from spago.nn._safetensors import ArrayFile, PathLike, save_arrays


def save(model: Module, path: PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write the parameters and buffers of a model to a safetensors file.

    A shared parameter is written once, under its first name. The file is written beside path and then renamed: a
    failure leaves what was there.

    Args:
        model: What to write.
        path: The file, replaced if it exists.
        metadata: Free text by name, such as settings; to it are added `spago_version` and `spago_class`.

    Raises:
        ValueError: When two parameters have the same name.
        OSError: When the file cannot be written.
    """
    kind = type(model)
    about = {"spago_version": _version(), "spago_class": f"{kind.__module__}.{kind.__qualname__}"}
    save_arrays(path, model.state_dict(copy=False), {**(metadata or {}), **about})


def load(model: Module, path: PathLike, *, strict: bool = True, memory_map: bool = False) -> LoadResult:
    """Read parameters and buffers of the same names and shapes into a model; dtypes stay those of the model.

    All is checked and read before anything is changed: a failed load leaves the model as it was. Gradients and the
    state of optimizers stay. A shared parameter is accepted under any of its names.

    Args:
        model: Where they go.
        path: A safetensors file.
        strict: Whether missing and unexpected names are errors. Shapes always are.
        memory_map: Whether values become views of the file where the dtypes agree. Nothing is read before it is used,
            and what training changes stays in memory; but the file must not be changed in place meanwhile.

    Returns:
        The names that were missing and unexpected.

    Raises:
        FormatError: The file is damaged or of another format.
        ValueError: Lists all missing and unexpected names and wrong shapes.
        OSError: The file cannot be read.
    """
    with ArrayFile(path, memory_map=memory_map, writable=True) as file:
        shapes = {name: entry.shape for name, entry in file.header.entries.items()}
        matches, result = model.match_state(shapes, strict, str(path))
        for name, _ in matches:
            if file.header.entries[name].dtype not in ("F64", "F32", "F16", "BF16"):
                raise ValueError(f"{path}: expected floats for {name}, got {file.header.entries[name].dtype}")
        values = [np.asarray(file.read(name), member.dtype) for name, member in matches]
    for (_, member), value in zip(matches, values, strict=True):
        member.value = value
    return result


def _version() -> str:
    try:
        return version("spago-nn")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
