"""What is in a model file of any format."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spago.mat import FormatError
from spago.nn._checkpoint import Checkpoint
from spago.nn._guards import is_array, is_list, is_mapping
from spago.nn._safetensors import PathLike
from spago.nn.gob import Buffer, Interface, Param, Struct, load

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "U64": 8, "U32": 4, "U16": 2, "C64": 8}
_LONG = 60


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array in a file.

    Attributes:
        name: Where it is.
        shape: Its sizes.
        dtype: As safetensors has it, such as `F32`.
        bytes: Its size.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What is in a file.

    Attributes:
        path: The file.
        format: `gob`, `pytorch`, `safetensors` or `sharded safetensors`.
        bytes: Its size.
        arrays: The arrays, in order.
        metadata: Text by name; for gob all other fields.
    """

    path: str
    format: str
    bytes: int
    arrays: list[ArrayInfo] = field(default_factory=list[ArrayInfo])
    metadata: dict[str, str] = field(default_factory=dict[str, str])

    def table(self) -> str:
        """A table for people to read."""
        rows = [(_printable(a.name), "x".join(map(str, a.shape)) or "()", a.dtype, f"{a.bytes:,}") for a in self.arrays]
        rows = [("name", "shape", "dtype", "bytes"), *rows]
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = [
            f"{name:<{widths[0]}}  {shape:>{widths[1]}}  {dtype:<{widths[2]}}  {size:>{widths[3]}}"
            for name, shape, dtype, size in rows
        ]
        count = sum(math.prod(array.shape) for array in self.arrays)
        head = f"{self.path}: {self.format}, {self.bytes:,} bytes, {len(self.arrays)} arrays, {count:,} numbers"
        about = [f"{_printable(key)}: {_printable(_short(text))}" for key, text in self.metadata.items()]
        return "\n".join([head, *about, "", *lines])

    def json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def inspect_file(path: PathLike) -> FileInfo:
    """Tell what is in a model file: gob, safetensors, an index of several of these, or PyTorch's.

    Raises:
        FormatError: The file is damaged, or of no format that is known.
        OSError: The file cannot be read.
    """
    size = Path(path).stat().st_size
    if is_gob(path):
        info = FileInfo(str(path), "gob", size)
        for name, value in _walk(_load(path)):
            if is_array(value):
                info.arrays.append(ArrayInfo(name, value.shape, _dtype(value), value.nbytes))
            else:
                info.metadata[name] = str(value)
        return info
    with Checkpoint(path) as file:
        info = FileInfo(str(path), file.format, size, metadata=file.metadata)
        for name, shape in file.shapes.items():
            dtype = file.dtypes[name]
            info.arrays.append(ArrayInfo(name, shape, dtype, math.prod(shape) * _SIZES.get(dtype, 1)))
        return info


def _load(path: PathLike) -> Any:
    try:
        return load(path)
    except FormatError as error:
        if str(path).endswith(".gob"):
            raise
        message = f"{path}: expected a model file of gob, safetensors or PyTorch, got none; as gob, {error}"
        raise FormatError(message) from error


def is_gob(path: PathLike) -> bool:
    """Whether a file looks like gob: not like JSON, a zip archive, or safetensors, whose ninth byte is a brace."""
    with Path(path).open("rb") as file:
        start = file.read(9)
    return not start.startswith((b"PK\3\4", b"{")) and start[8:9] != b"{" and not str(path).endswith(".safetensors")


def _walk(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays and plain values of what a gob file holds, with their places."""
    if isinstance(value, Param):
        yield name, value.value
        if value.payload is not None:
            yield from ((f"{name}.payload.{i}", x) for i, x in enumerate(value.payload.data))
    elif isinstance(value, Buffer):
        yield name, value.value
    elif isinstance(value, Interface):
        yield from _walk(value.value, name)
    elif is_mapping(value):
        if isinstance(value, Struct) and value.go_name:
            yield name, value.go_name
        for key, part in value.items():
            if not is_mapping(part) or part or (isinstance(part, Struct) and part.go_name):
                yield from _walk(part, f"{name}.{key}" if name else str(key))
    elif is_list(value):
        for i, part in enumerate(value):
            yield from _walk(part, f"{name}.{i}")
    else:
        yield name, value


def _dtype(array: Any) -> str:
    return {"f": "F", "i": "I", "u": "U", "c": "C"}.get(array.dtype.kind, "BOOL") + (
        "" if array.dtype.kind == "b" else str(8 * np.dtype(array.dtype).itemsize)
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text)} characters)"


def _printable(text: str) -> str:
    """Text that does to a terminal nothing but be shown."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
