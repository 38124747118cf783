"""Models in files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from spago.mat import FormatError
from spago.nn._checkpoint import Checkpoint, Rename
from spago.nn._module import LoadResult, Module
from spago.nn._registry import describe, make, name_of
from spago.nn._safetensors import PathLike, save_arrays


def save(model: Module, path: PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write the parameters and buffers of a model to a safetensors file.

    A shared parameter is written once, under its first name. The file is written beside path and then renamed: a
    failure leaves what was there.

    Args:
        model: What to write.
        path: The file, replaced if it exists.
        metadata: Free text by name, such as settings; to it are added `spago_version`, `spago_class` and, for classes
            of spago and those that `register` knows, `spago_configuration`, of which `load_model` makes the model.

    Raises:
        ValueError: When two parameters have the same name.
        OSError: When the file cannot be written.
    """
    about = {"spago_version": _version(), "spago_class": name_of(model)}
    configuration = describe(model)
    if configuration is not None:
        about["spago_configuration"] = configuration
    save_arrays(path, model.state_dict(copy=False), {**(metadata or {}), **about})


def load(
    model: Module,
    path: PathLike,
    *,
    strict: bool = True,
    memory_map: bool = False,
    rename: Rename | None = None,
) -> LoadResult:
    """Read parameters and buffers of the same names and shapes into a model; dtypes stay those of the model.

    All is checked and read before anything is changed: a failed load leaves the model as it was. Gradients and the
    state of optimizers stay. A shared parameter is accepted under any of its names.

    Whatever a file contains, nothing of it is run. Names, shapes and sizes are checked; safetensors has no checksum, so
    that numbers which changed on the way come as they are. PyTorch's files have one, which is checked.

    Args:
        model: Where they go.
        path: A safetensors file; an index `model.safetensors.index.json`, whose files lie beside it; or a file of
            PyTorch, see `load_torch`, which is a dict of arrays, or of such dicts, whose keys are joined by dots.
        strict: Whether missing and unexpected names are errors. Shapes always are.
        memory_map: Whether values become views of the file where the dtypes agree. Nothing is read before it is used,
            and what training changes stays in memory; but the file must not be changed in place meanwhile.
        rename: The names of the model by those of the file; others stay. A name that ends with a dot stands for all
            that begin with it; None leaves arrays out. Or a function from the one to the other.

    Returns:
        The names that were missing and unexpected.

    Raises:
        FormatError: The file is damaged or of another format.
        ValueError: Lists all missing and unexpected names and wrong shapes.
        OSError: The file cannot be read.
    """
    with Checkpoint(path, rename=rename, memory_map=memory_map) as file:
        return _load(model, file, strict)


def _load(model: Module, file: Checkpoint, strict: bool) -> LoadResult:
    matches, result = model.match_state(file.shapes, strict, str(file.path))
    values: list[Any] = [
        np.array(array, member.dtype) if file.format == "pytorch" else np.asarray(array, member.dtype)
        for array, member in ((file.read(name), member) for name, member in matches)
    ]
    for (_, member), value in zip(matches, values, strict=True):
        member.value = value
    return result


class FileReport(NamedTuple):
    """How the arrays of a file and those of a model differ, by the names of the model.

    Attributes:
        missing: Names of the model that the file has not.
        unexpected: Names of the file that the model has not.
        other_shape: The shapes in the model and in the file, where they differ, by name.
    """

    missing: list[str]
    unexpected: list[str]
    other_shape: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def compare(model: Module, path: PathLike, *, rename: Rename | None = None) -> FileReport:
    """Compare a file with a model; nothing is changed. Arguments are those of `load`.

    Examples:
        >>> import tempfile
        >>> from spago import nn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nn.save(nn.Linear(2, 3), f"{folder}/model")
        ...     nn.compare(nn.Linear(4, 3, bias=False), f"{folder}/model", rename={"bias": "b"})
        FileReport(missing=[], unexpected=['b'], other_shape={'weight': ((3, 4), (3, 2))})
    """
    with Checkpoint(path, rename=rename) as file:
        ours = {name: array.shape for name, array in model.state_dict(copy=False).items()}
        fitting = {name: ours.get(name, shape) for name, shape in file.shapes.items()}
        _, (missing, unexpected) = model.match_state(fitting, strict=False)
        other = {
            name: (shape, file.shapes[name]) for name, shape in ours.items() if file.shapes.get(name, shape) != shape
        }
        return FileReport(missing, unexpected, other)


def load_model(path: PathLike, *, memory_map: bool = False) -> Any:
    """Make the model of a file that `save` has written.

    Its class must be one of spago, or registered by the program that reads it: see `register`. A file can name nothing
    else, and nothing is imported.

    Args:
        path: A safetensors file.
        memory_map: See `load`.

    Raises:
        FormatError: The file is damaged, or its class is not known, or it does not say how to make the model.
        OSError: The file cannot be read.

    Examples:
        >>> import tempfile
        >>> from spago import nn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nn.save(nn.BiLSTM(2, 3), f"{folder}/model")
        ...     type(nn.load_model(f"{folder}/model")).__name__
        'BiRNN'
    """
    with Checkpoint(path, memory_map=memory_map) as file:
        name, configuration = (file.metadata.get(f"spago_{key}") for key in ("class", "configuration"))
        if name is None or configuration is None:
            raise FormatError(
                f"{path}: expected a file that says how to make its model{f', a {name}' if name else ''}, got none; "
                "register the class before nn.save, or make the model and use nn.load"
            )
        model = make(name, configuration, str(path), sum(map(math.prod, file.shapes.values())))
        try:
            _load(model, file, strict=True)
        except ValueError as error:
            raise FormatError(str(error)) from error
        return model


def _version() -> str:
    try:
        return version("spago-nn")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
