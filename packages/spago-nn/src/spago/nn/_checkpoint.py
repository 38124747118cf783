"""Files of parameters, whichever program wrote them: arrays by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.mat import FormatError
from spago.nn._guards import is_array, is_dict, is_mapping
from spago.nn._safetensors import ArrayFile, PathLike, leads_elsewhere
from spago.nn._torch_files import read_torch

Rename: TypeAlias = Mapping[str, str | None] | Callable[[str], str | None]

_FLOATS = ("F64", "F32", "F16", "BF16")
_MAX_INDEX = 1 << 22


class Checkpoint(AbstractContextManager["Checkpoint"]):
    """A file of parameters that is open for reading: safetensors, an index of several of these, or PyTorch's.

    Args:
        path: The file; an index ends in `.json`.
        rename: The names that arrays are to have; see `load`.
        memory_map: Whether arrays of safetensors files are views of them.

    Attributes:
        shapes: The shapes of the arrays, by their new names.
        metadata: Free text by name.
        format: `safetensors`, `sharded safetensors` or `pytorch`.

    Raises:
        FormatError: The file is damaged or of another format.
        OSError: The file cannot be read.
        ValueError: Two arrays get one name.
    """

    def __init__(self, path: PathLike, *, rename: Rename | None = None, memory_map: bool = False) -> None:
        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self._read: dict[str, Callable[[], npt.NDArray[Any]]] = {}
        self._rename = renaming(rename)
        self._stack = ExitStack()
        try:
            with Path(path).open("rb") as file:
                start = file.read(4)
            if start == b"PK\3\4":
                self.format = "pytorch"
                self._add_torch()
            elif str(path).endswith(".json"):
                self.format = "sharded safetensors"
                self._add_shards(memory_map)
            else:
                self.format = "safetensors"
                self._add_safetensors(path, memory_map)
        except BaseException:
            self._stack.close()
            raise

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return an array by its new name.

        Raises:
            ValueError: It holds no floats.
        """
        if self.dtypes[name] not in _FLOATS:
            raise ValueError(f"{self.path}: expected floats for {name}, got {self.dtypes[name]}")
        return self._read[name]()

    def read_any(self, name: str) -> npt.NDArray[Any]:
        """Return an array of any dtype by its new name."""
        return self._read[name]()

    def _add(self, name: str, shape: tuple[int, ...], dtype: str, read: Callable[[], npt.NDArray[Any]]) -> None:
        new = self._rename(name)
        if new is None:
            return
        if new in self.shapes:
            raise ValueError(f"{self.path}: expected rename to give each array a name of its own, got {new!r} twice")
        self.shapes[new] = shape
        self.dtypes[new] = dtype
        self._read[new] = read

    def _add_safetensors(self, path: PathLike, memory_map: bool, only: Mapping[str, str] | None = None) -> None:
        file = self._stack.enter_context(ArrayFile(path, memory_map=memory_map, writable=True))
        self.metadata |= file.header.metadata
        for name, entry in file.header.entries.items():
            if only is None or name in only:
                self._add(name, entry.shape, entry.dtype, partial(file.read, name))
        missing = [name for name in only or () if name not in file.header.entries]
        if missing:
            _refuse(path, f"the arrays that {self.path} says are here", f"none called {missing[0]!r}")

    def _add_shards(self, memory_map: bool) -> None:
        by_file: dict[str, dict[str, str]] = {}
        for name, file in read_index(self.path).items():
            by_file.setdefault(file, {})[name] = file
        for file, names in by_file.items():
            path = Path(self.path).parent / file
            if not os.path.isfile(path):  # noqa: PTH113 - that of pathlib raises for names that no file can have
                _refuse(self.path, f"a file {file[:80]!r} beside it", "none")
            self._add_safetensors(path, memory_map, names)

    def _add_torch(self) -> None:
        content, narrow = read_torch(self.path)
        if not is_dict(content):
            _refuse(self.path, "a dict of arrays", type(content).__name__)
        for name, array in _flat(content):
            if leads_elsewhere(name):
                _refuse(self.path, "names that are no paths to elsewhere", f"{name[:80]!r}")
            self._add(name, array.shape, narrow.get(id(array)) or _name_of(array.dtype), partial(np.asarray, array))


def read_index(path: PathLike) -> dict[str, str]:
    """Read which file has which array from a `model.safetensors.index.json`.

    Raises:
        FormatError: It is damaged, or names files outside its folder.
        OSError: It cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(_MAX_INDEX + 1)
    if len(data) > _MAX_INDEX:
        _refuse(path, f"an index of at most {_MAX_INDEX} bytes", "more")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        if len(names) < len(pairs):
            _refuse(path, "each name once", "one twice")
        return names

    try:
        index = json.loads(data.decode(), object_pairs_hook=unique)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected an index in JSON and UTF-8, got {error}") from error
    files = index.get("weight_map") if is_mapping(index) else None
    if not is_dict(files) or not all(isinstance(file, str) for file in files.values()):
        _refuse(path, "a weight_map of files by name", type(files).__name__)
    for file in files.values():
        if not file or file != Path(file).name or "\\" in file or ":" in file or "\0" in file or file == "..":
            _refuse(path, "files beside the index", f"{file[:80]!r}")
    return files


def renaming(rename: Rename | None) -> Callable[[str], str | None]:
    """The function that a `rename` means."""
    if rename is None:
        return lambda name: name
    if callable(rename):
        return rename
    names = {old: new for old, new in rename.items() if not old.endswith(".")}
    prefixes = {old: new for old, new in rename.items() if old.endswith(".")}

    def renamed(name: str) -> str | None:
        if name in names:
            return names[name]
        for prefix in sorted(prefixes, key=len, reverse=True):
            if name.startswith(prefix):
                new = prefixes[prefix]
                return None if new is None else new + name.removeprefix(prefix)
        return name

    return renamed


def _flat(content: Mapping[Any, Any]) -> list[tuple[str, npt.NDArray[Any]]]:
    """The arrays of dicts in dicts, with the keys that lead to them joined by dots; the rest is passed over."""
    found: list[tuple[str, npt.NDArray[Any]]] = []
    to_do: list[tuple[str, Mapping[Any, Any]]] = [("", content)]
    while to_do:
        prefix, part = to_do.pop()
        for key, value in part.items():
            if is_array(value):
                found.append((f"{prefix}{key}", value))
            elif is_mapping(value):
                to_do.append((f"{prefix}{key}.", value))
    return found


def _name_of(dtype: np.dtype[Any]) -> str:
    """What safetensors calls a dtype."""
    if dtype.kind == "b":
        return "BOOL"
    return f"{ {'f': 'F', 'i': 'I', 'u': 'U', 'c': 'C'}[dtype.kind] }{8 * dtype.itemsize}"


def _refuse(path: PathLike, expected: str, got: str) -> NoReturn:
    raise FormatError(f"{path}: expected {expected}, got {got}")
