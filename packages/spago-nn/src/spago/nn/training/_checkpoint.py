"""Checkpoints: all of a training run in one file, so that it can go on as if it had never stopped."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NoReturn, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.mat import FormatError
from spago.mat.rand import LockedRand, default_rng
from spago.nn._module import Module
from spago.nn._safetensors import ArrayFile, PathLike, is_list, is_object, save_arrays
from spago.nn.training._stateful import Stateful

Part: TypeAlias = Stateful | LockedRand
"""What a checkpoint holds beside model and optimizer: what has a state, or draws random numbers."""

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_VERSION = "1"
_ARRAY = "$array"
_MODEL = "model."


def save_checkpoint(
    path: PathLike,
    model: Module,
    optimizer: Stateful | None = None,
    *,
    parts: Mapping[str, Part] | None = None,
    data: Any = None,
) -> None:
    """Write all that training needs to go on later, bit by bit the same, to one safetensors file.

    That is: the parameters and buffers of the model; the state of the optimizer, with that of its schedules; the states
    of the random streams of `mat.rand`, of the layers of the model, and of parts; and data. The file holds arrays and
    JSON, nothing that a reader runs. It is written beside path and then renamed: whoever stops this process, at any
    moment, finds the old checkpoint or the new one, complete. Take it between two steps: gradients are not saved.

    What keeps its state itself, as an embedding store on disk does, is not in the file, and is not set back by it.

    Args:
        path: The file, replaced if it exists.
        model: What is trained.
        optimizer: What trains it.
        parts: What else there is, by name: mini-batches, further optimizers, schedules that no optimizer has, random
            streams.
        data: What else to remember, such as the epoch: whatever JSON has, and arrays.

    Raises:
        TypeError: When data or a state has something that JSON has not, and that is no array.
        ValueError: When two parameters have the same name.
        OSError: When the file cannot be written.
    """
    ag.synchronize()
    arrays: Arrays = {_MODEL + name: value for name, value in model.state_dict(copy=False).items()}
    states = {name: part.state_dict() for name, part in _stateful(optimizer, parts).items()}
    content: dict[str, Any] = {
        "states": _packed(states, "states", arrays),
        "streams": {name: stream.state() for name, stream in _streams(model, parts).items()},
        "data": _packed(data, "data", arrays),
    }
    metadata = {"spago_checkpoint": _VERSION, "content": _as_json(content, path)}
    save_arrays(path, arrays, {**metadata, "crc32": _checksum(arrays, metadata)})


def load_checkpoint(
    path: PathLike,
    model: Module,
    optimizer: Stateful | None = None,
    *,
    parts: Mapping[str, Part] | None = None,
) -> Any:
    """Give a model, its optimizer and all else the state that `save_checkpoint` has written, and return its data.

    They must be made as they were when training began. All is read and checked before anything is changed. Gradients
    are cleared.

    Args:
        path: The file.
        model: Of the same parameters and buffers, in the same dtypes.
        optimizer: Of the same method, over the same parameters, or None where there was none.
        parts: Of the same names.

    Raises:
        FormatError: The file is no checkpoint, or damaged: cut off, or not as it was written.
        ValueError: It is that of another model, optimizer or other parts.
        OSError: The file cannot be read.
    """
    arrays, metadata = _read(path)
    try:
        content = _unpacked(json.loads(metadata["content"]), arrays)
        states, streams, data = content["states"], content["streams"], content["data"]
        if not (is_object(states) and is_object(streams)):
            raise TypeError("states that are not by name")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected the content of a checkpoint, got {error!r}") from error
    values = {name.removeprefix(_MODEL): array for name, array in arrays.items() if name.startswith(_MODEL)}
    _check_model(model, values, path)
    stateful = _stateful(optimizer, parts)
    own_streams = _streams(model, parts)
    _check_names("states", stateful, states, path)
    _check_names("random streams", own_streams, streams, path)
    for state in streams.values():
        LockedRand(0).set_state(state)
    ag.synchronize()
    try:
        _load_all([(part, states[name]) for name, part in stateful.items()])
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: expected states as state_dict gives them, got {error!r}") from error
    # Nothing can fail from here on.
    model.load_state_dict(values)
    model.zero_grad()
    for name, stream in own_streams.items():
        stream.set_state(streams[name])
    return data


# What takes part


def _stateful(optimizer: Stateful | None, parts: Mapping[str, Part] | None) -> dict[str, Stateful]:
    others = {f"parts.{name}": part for name, part in (parts or {}).items() if not isinstance(part, LockedRand)}
    # The optimizer is loaded last: so its old state, which may be large, is never copied to be set back.
    return others if optimizer is None else {**others, "optimizer": optimizer}


def _streams(model: Module, parts: Mapping[str, Part] | None) -> dict[str, LockedRand]:
    """The random streams by name: the common one, those of parts, and those that are attributes of layers."""
    streams = {"default": default_rng()}
    streams |= {f"parts.{name}": part for name, part in (parts or {}).items() if isinstance(part, LockedRand)}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, LockedRand):
                streams[f"{_MODEL}{path}.{name}" if path else f"{_MODEL}{name}"] = value
    return streams


def _load_all(states: Sequence[tuple[Stateful, Any]]) -> None:
    """Load every state or none: when one is refused, those before it are set back."""
    with ExitStack() as undo:
        for i, (part, state) in enumerate(states):
            before = part.state_dict() if i + 1 < len(states) else None
            part.load_state_dict(state)
            undo.callback(part.load_state_dict, before)
        undo.pop_all()


def _check_model(model: Module, values: Arrays, path: PathLike) -> None:
    shapes = {name: array.shape for name, array in values.items()}
    matches, (missing, unexpected) = model.match_state(shapes, strict=False, about=str(path))
    faults = [f"missing {', '.join(missing)}"] if missing else []
    faults += [f"unexpected {', '.join(unexpected)}"] if unexpected else []
    for name, member in matches:
        if values[name].dtype != member.dtype:
            faults.append(f"expected {name} of {member.dtype}, got {values[name].dtype}")
    if faults:
        raise ValueError(f"{path}: the state does not fit: {'; '.join(faults)}; is it a checkpoint of this model?")


def _check_names(what: str, own: Mapping[str, Any], saved: Mapping[str, Any], path: PathLike) -> None:
    if own.keys() != saved.keys():
        raise ValueError(
            f"{path}: expected the {what} of {', '.join(own) or 'nothing'}, got those of "
            f"{', '.join(saved) or 'nothing'}; pass the same optimizer and parts as when it was saved"
        )


# States as JSON and arrays


def _packed(value: Any, path: str, arrays: Arrays) -> Any:
    """Return a state as JSON has it; its arrays are added to arrays, by the path to them."""
    if isinstance(value, np.ndarray):
        array = cast("npt.NDArray[Any]", value)
        if array.dtype == np.float16:
            raise TypeError(f"save_checkpoint: expected {path} not to be float16, which would come back as float32")
        while path in arrays:  # the keys "a.b" and "a", "b" lead to the same path
            path += "_"
        arrays[path] = array
        return {_ARRAY: path}
    if is_object(value):
        for name in value:
            if not _is_key(name):
                raise TypeError(f"save_checkpoint: expected {path} with text as keys, got {name!r}")
        return {name: _packed(field, f"{path}.{name}", arrays) for name, field in value.items()}
    if isinstance(value, tuple) or is_list(value):
        elements = cast("Sequence[Any]", value)
        return [_packed(element, f"{path}.{i}", arrays) for i, element in enumerate(elements)]
    return value


def _is_key(name: Any) -> bool:
    return isinstance(name, str) and name != _ARRAY


def _unpacked(value: Any, arrays: Arrays) -> Any:
    """Undo `_packed`."""
    if is_object(value):
        if value.keys() == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {name: _unpacked(field, arrays) for name, field in value.items()}
    if is_list(value):
        return [_unpacked(element, arrays) for element in value]
    return value


def _as_json(content: Any, path: PathLike) -> str:
    def scalar(x: Any) -> Any:
        if isinstance(x, np.bool_ | np.integer | np.floating):
            return cast("Any", x).item()
        raise TypeError(f"{path}: expected data and states of what JSON has, got {type(x).__name__}")

    return json.dumps(content, default=scalar)


# The file


def _read(path: PathLike) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays and metadata of a checkpoint, with its checksum checked."""
    with ArrayFile(path) as file:
        metadata = dict(file.header.metadata)
        if "spago_checkpoint" not in metadata or "content" not in metadata or "crc32" not in metadata:
            _refuse(path, "a checkpoint of save_checkpoint", "a file of arrays alone; nn.load reads model files")
        if metadata["spago_checkpoint"] != _VERSION:
            _refuse(path, f"version {_VERSION} of checkpoints", metadata["spago_checkpoint"])
        arrays: Arrays = {name: file.read(name) for name in file.header.entries}
    saved = metadata.pop("crc32")
    found = _checksum(arrays, metadata)
    if saved != found:
        _refuse(path, f"content of checksum {saved}", f"{found}; the file is not as it was written")
    return arrays, metadata


def _checksum(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    """The CRC-32 of names, dtypes, shapes and numbers of arrays, in the order of names, and of metadata."""
    crc = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(json.dumps([name, array.dtype.name, array.shape]).encode(), crc)
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        crc = zlib.crc32(little.reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


def _refuse(path: PathLike, expected: str, got: str) -> NoReturn:
    raise FormatError(f"{path}: expected {expected}, got {got}")
