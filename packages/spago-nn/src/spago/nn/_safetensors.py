"""The safetensors format: eight bytes with the size of a JSON header, the header, and the arrays one after the other.

A reader runs nothing that a file contains, and checks all of the header before it reads or allocates anything: the
arrays must follow each other without holes or overlaps and end where the file ends.

Source: https://huggingface.co/docs/safetensors, "Format"; what it leaves open is as in version 0.8 of the library.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from spago.mat import FormatError
from spago.nn._atomic_write import atomic_write
from spago.nn._large_header import MAX_ARRAYS, LargeHeader
from spago.nn._progress import advance

PathLike: TypeAlias = str | os.PathLike[str]

# bfloat16 is the upper half of a float32, which NumPy has not: its bits are read as integers.
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items() if name != "BF16"}
_MAX_HEADER = 100_000_000
_AT_ONCE = 1 << 20  # a header up to here is parsed as a whole
_SPARE = 3 << 24  # memory for it beside twice the file's size
_MAX_AXES = 64  # NumPy has no more


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an array is in a file.

    Attributes:
        dtype: Its name in the format, such as `F32`.
        shape: Its sizes.
        start: The byte of the file at which it begins.
        stop: The byte of the file before which it ends.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a file contains.

    Attributes:
        entries: The arrays by name, in the order of the file.
        metadata: Free text by name.
    """

    entries: dict[str, Entry]
    metadata: dict[str, str]


def save_arrays(path: PathLike, arrays: Mapping[str, npt.ArrayLike], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays to a safetensors file, in row-major order whatever their layout in memory.

    The file is written beside path and then renamed: a failure leaves what was there.

    Args:
        path: The file, replaced if it exists.
        arrays: Arrays of floats, integers and booleans by name.
        metadata: Free text by name.

    Raises:
        TypeError: For an array of another dtype, and for metadata that is not text.
        ValueError: For a name that the format has not, and for more than 100,000 arrays or lines of metadata.
        OSError: When the file cannot be written.
    """
    if max(len(arrays), len(metadata or {})) > MAX_ARRAYS:
        raise ValueError(f"{path}: expected at most {MAX_ARRAYS} arrays and as many lines of metadata, got more")
    converted = {_checked_name(name, path): _little_endian(array, name, path) for name, array in arrays.items()}
    # Larger elements first: so each array begins at a multiple of its element's size.
    ordered = dict(sorted(converted.items(), key=lambda item: -item[1].itemsize))
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = _checked_metadata(metadata, path)
    offset = 0
    for name, array in ordered.items():
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise ValueError(f"{path}: expected names and metadata of at most {_MAX_HEADER} bytes, got {len(text)}")
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in ordered.values():
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            advance(array.nbytes)


def load_arrays(path: PathLike, *, memory_map: bool = False) -> dict[str, npt.NDArray[Any]]:
    """Read all arrays of a safetensors file, by name, in the order of the file.

    float16 and bfloat16 come as float32.

    Args:
        path: The file.
        memory_map: Whether arrays are read-only views of the file, which the system reads when they are used. The file
            must then not be changed in place while they are.

    Raises:
        FormatError: The file is damaged or of another format.
        OSError: The file cannot be read.
    """
    with ArrayFile(path, memory_map=memory_map) as file:
        return {name: file.read(name) for name in file.header.entries}


def load_metadata(path: PathLike) -> dict[str, str]:
    """Read the free text of a safetensors file, without its arrays.

    Raises:
        FormatError: The file is damaged or of another format.
        OSError: The file cannot be read.
    """
    with ArrayFile(path) as file:
        return file.header.metadata


class ArrayFile:
    """A safetensors file that is open for reading, with its header checked.

    Args:
        path: The file.
        memory_map: Whether arrays are views of the file.
        writable: With memory_map, whether arrays can be written to; changes stay in memory.

    Raises:
        FormatError: The file is damaged or of another format.
        OSError: The file cannot be read.
    """

    def __init__(self, path: PathLike, *, memory_map: bool = False, writable: bool = False) -> None:
        self.path = path
        self._file: BufferedReader = Path(path).open("rb")  # noqa: SIM115 - closed by __exit__
        try:
            self.header = _read_header(self._file, path)
            access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(self._file.fileno(), 0, access=access) if memory_map else None
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *exception: object) -> None:
        # A memory map lives as long as the arrays that are views of it.
        self._file.close()

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return one array; float16 and bfloat16 as float32."""
        entry = self.header.entries[name]
        dtype = _DTYPES[entry.dtype]
        if self._map is not None:
            array: npt.NDArray[Any] = np.ndarray(entry.shape, dtype, self._map, entry.start)
            if not array.flags.aligned:
                array = array.copy()
        else:
            array = np.empty(entry.shape, dtype)
            self._file.seek(entry.start)
            data = array.reshape(-1).view(np.uint8).data
            if self._file.readinto(data) != len(data):
                _refuse(self.path, f"{len(data)} bytes for {name!r}", "fewer; the file was cut while it was read")
        advance(entry.stop - entry.start)
        return _native(array, entry.dtype)


def _native(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return what was read in a dtype that computes well."""
    if name == "BF16":
        bits = array.astype(np.uint32) << np.uint32(16)
        return bits.view(np.float32)
    if name == "F16":
        return array.astype(np.float32)
    if name == "BOOL":
        # A byte other than 0 and 1 is no boolean for NumPy.
        truth: npt.NDArray[Any] = array.view(np.uint8) != 0
        return truth
    return array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("="))


# Reading the header


def _read_header(file: BufferedReader, path: PathLike) -> Header:
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    if len(prefix) < 8:
        _refuse(path, "at least 8 bytes", f"{size}; is it a safetensors file?")
    length = int.from_bytes(prefix, "little")
    if length > min(_MAX_HEADER, size - 8):
        limit = f"{_MAX_HEADER}" if size - 8 > _MAX_HEADER else f"{size - 8}, the rest of the file"
        _refuse(path, f"a header of at most {limit} bytes", f"{length}; is it a safetensors file, and complete?")
    text = file.read(length)
    metadata: dict[str, str] = {}
    entries: dict[str, Entry] = {}
    if length <= _AT_ONCE:
        fields = iter(_parse(text, path).items())
    else:
        fields = LargeHeader(text, str(path), 2 * size + _SPARE - length).entries()
    for name, value in fields:
        if name in entries:
            _refuse(path, "each name once", f"{name[:80]!r} again")
        if name == "__metadata__":
            metadata = _metadata(value, path)
        else:
            entries[name] = _entry(name, value, 8 + length, path)
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)))
    position = 8 + length
    for name, entry in entries.items():
        if entry.start != position:
            _refuse(
                path,
                f"{name!r} to begin where the array before it ends, at byte {position - 8 - length} of the data",
                f"byte {entry.start - 8 - length}",
            )
        position = entry.stop
    if position != size:
        _refuse(path, f"{position} bytes, where the last array ends", f"{size}; is the file complete?")
    return Header(entries, metadata)


def _parse(text: bytes, path: PathLike) -> dict[str, Any]:
    """Return the header, an object, as JSON has it."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        if len(names) < len(pairs):
            name, count = Counter(name for name, _ in pairs).most_common(1)[0]
            _refuse(path, "each name once", f"{name!r} {count} times")
        return names

    def no_constant(constant: str) -> NoReturn:
        _refuse(path, "a header in JSON", f"{constant}, which JSON has not")

    if not text.startswith(b"{"):
        _refuse(path, "a header that begins with {", f"{text[:1]!r}; is it a safetensors file?")
    try:
        fields: dict[str, Any] = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=no_constant)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        # Among the ValueErrors are those of UTF-8, of JSON, and of integers of more than 4,300 digits.
        raise FormatError(f"{path}: expected a header in JSON and UTF-8, got {error}") from error
    return fields


def _metadata(value: Any, path: PathLike) -> dict[str, str]:
    if not is_object(value) or not all(isinstance(text, str) for text in value.values()):
        _refuse(path, "__metadata__ that is text by name", _shown(value))
    return value


def _entry(name: str, value: Any, data: int, path: PathLike) -> Entry:
    """Return one entry, checked by itself.

    Args:
        name: Of the array.
        value: As the header has it.
        data: The byte of the file at which the arrays begin.
        path: For messages.
    """
    if not _is_text(name):
        _refuse(path, "names in Unicode", repr(name))
    if leads_elsewhere(name):
        _refuse(path, "names that are no paths to elsewhere", repr(name[:80]))
    if not is_object(value) or value.keys() != {"dtype", "shape", "data_offsets"}:
        _refuse(path, f"dtype, shape and data_offsets for {name!r}", _shown(value))
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        _refuse(path, f"a dtype of {', '.join(_DTYPES)} for {name!r}", _shown(dtype))
    if not _are_sizes(shape) or len(shape) > _MAX_AXES:
        _refuse(path, f"a shape of at most {_MAX_AXES} sizes from 0 on for {name!r}", _shown(shape))
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(path, f"data_offsets of a beginning and an end for {name!r}", _shown(offsets))
    itemsize = _DTYPES[dtype].itemsize
    # Sizes beside a 0 count too: NumPy makes no array whose other sizes have a product beyond its addresses.
    if math.prod(size or 1 for size in shape) * itemsize > sys.maxsize:
        _refuse(path, f"a shape of less than 2^63 bytes for {name!r}", _shown(shape))
    if math.prod(shape) * itemsize != offsets[1] - offsets[0]:
        _refuse(
            path,
            f"{math.prod(shape) * itemsize} bytes for {name!r}, {dtype} of shape {shape}",
            f"{offsets[1] - offsets[0]}",
        )
    return Entry(dtype, tuple(shape), data + offsets[0], data + offsets[1])


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value of JSON is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value of JSON is a list."""
    return isinstance(value, list)


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    # Not isinstance: True is an int.
    return is_list(value) and all(type(size) is int and size >= 0 for size in value)


def _is_text(name: str) -> bool:
    """Whether a string can be written as UTF-8: JSON can escape half a character."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    """Return a value for a message: short, and without a recursion into what may be nested very deep."""
    if is_object(value):
        return f"an object of {len(value)} fields"
    if is_list(value):
        return f"[{', '.join(_shown(element) if type(element) is int else '…' for element in value[:8])}]"
    return repr(value)[:80]


def leads_elsewhere(name: str) -> bool:
    """Whether a name, taken for a path by a careless program, would leave its folder."""
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or (len(parts) > 1 and not parts[0])


def _refuse(path: PathLike, expected: str, got: str) -> NoReturn:
    raise FormatError(f"{path}: expected {expected}, got {got}")


# What is written


def _little_endian(array: npt.ArrayLike, name: str, path: PathLike) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = np.asarray(array)
    dtype = values.dtype.newbyteorder("<")
    if dtype not in _NAMES:
        raise TypeError(f"{path}: expected {name!r} to be of floats, integers or booleans, got {values.dtype}")
    return values.astype(dtype, copy=False)


def _checked_name(name: Any, path: PathLike) -> str:
    if not isinstance(name, str) or name == "__metadata__" or not _is_text(name):
        raise ValueError(f"{path}: expected names of arrays that are text, and not __metadata__, got {name!r}")
    if leads_elsewhere(name):
        raise ValueError(f"{path}: expected names of arrays that are no paths to elsewhere, got {name!r}")
    return name


def _checked_metadata(metadata: Mapping[Any, Any], path: PathLike) -> dict[str, str]:
    for name, text in metadata.items():
        if not (isinstance(name, str) and isinstance(text, str) and _is_text(name) and _is_text(text)):
            raise TypeError(f"{path}: expected metadata that is text by name, got {name!r}: {text!r}")
    return dict(metadata)
