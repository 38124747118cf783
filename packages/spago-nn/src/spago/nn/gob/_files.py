"""Gob files of plain data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from spago.nn._atomic_write import atomic_write
from spago.nn._progress import advance
from spago.nn.gob._reader import ANY, REGISTERED, Budget, Reader
from spago.nn.gob._types import Type, go_type
from spago.nn.gob._writer import encode

PathLike: TypeAlias = str | os.PathLike[str]
Kind: TypeAlias = str | Type | Callable[[Type], Type] | None

_SPARE = 1 << 26
_KEPT = 1 << 23  # of that, for what no value is charged with


def load(path: PathLike, kind: Kind = None, *, memory_limit: int | None = None) -> Any:
    """Read the first value of a gob file as plain data.

    A struct becomes a `Struct`, which is a dict of its fields; a parameter a `Param`, a buffer a `Buffer`, a matrix an
    array (rows, columns); lists of numbers become arrays of one axis, other lists stay lists. What else an interface
    holds is an `Interface`. Bytes that only their type understands stay bytes, unless they are one of these.

    Args:
        path: The file.
        kind: The Go type that is expected, such as `*linear.Model`, or a function that chooses it for the type of the
            file; fields that it has not are passed over. By default any, and all is kept.
        memory_limit: Bytes that may be used; twice the size of the file and 64 MiB by default.

    Raises:
        FormatError: The file is damaged, or has a value of another type, or needs more memory.
        OSError: The file cannot be read.
        ValueError: kind is not known.
    """
    return loads(Path(path).read_bytes(), kind, memory_limit=memory_limit, name=str(path))


def loads(data: bytes, kind: Kind = None, *, memory_limit: int | None = None, name: str = "gob") -> Any:
    """Read the first value of a gob stream; see `load`.

    Args:
        data: The stream.
        kind: The Go type that is expected.
        memory_limit: Bytes that may be used.
        name: What messages call the stream.
    """
    return _reader(data, memory_limit, name).next_value(kind if callable(kind) else _declared(kind))


def load_all(path: PathLike, *, memory_limit: int | None = None) -> list[Any]:
    """Read all values that one encoder has sent to a file; see `load`."""
    data = Path(path).read_bytes()
    reader = _reader(data, memory_limit, str(path))
    values: list[Any] = []
    while reader.position < len(data):
        values.append(reader.next_value())
    return values


def save(value: Any, path: PathLike, kind: str | Type | None = None, *, interface: bool = False) -> None:
    """Write plain data, as `load` returns it, to a gob file that Go reads.

    The same data give the same bytes. The file is written beside path and then renamed.

    Args:
        value: A `Struct`, `Param`, `Buffer` or matrix; anything else needs a kind.
        path: The file, replaced if it exists.
        kind: The Go type to write; by default that of the value.
        interface: Whether the value is put into an interface, as by Go's `Encode(&model)` for a variable of interface
            type.

    Raises:
        ValueError: The value is not of its type, or has no type, or contains itself.
        OSError: The file cannot be written.
    """
    pieces = encode(value, None if kind is None else _declared(kind), interface=interface)
    write(pieces, path)


def write(pieces: list[bytes | memoryview], path: PathLike) -> None:
    """Write what `encode` returns to a file."""
    with atomic_write(path) as file:
        for piece in pieces:
            file.write(piece)
            if isinstance(piece, memoryview):  # a matrix
                advance(len(piece))


def dumps(value: Any, kind: str | Type | None = None, *, interface: bool = False) -> bytes:
    """Return the gob stream of plain data; see `save`."""
    return b"".join(encode(value, None if kind is None else _declared(kind), interface=interface))


def _reader(data: bytes, memory_limit: int | None, name: str) -> Reader:
    limit = 2 * len(data) + _SPARE if memory_limit is None else memory_limit
    return Reader(memoryview(data), name, Budget(max(limit - len(data) - _KEPT, 0)))


def _declared(kind: str | Type | None) -> Type:
    if kind is None:
        return ANY
    if isinstance(kind, Type):
        return kind
    return REGISTERED[kind] if kind in REGISTERED else go_type(kind)


def known_kind(kind: Type) -> Type:
    """The struct of Go Spago, or of a user, that has exactly the fields of a type of a stream; or else ANY."""
    for known in REGISTERED.values() if kind.kind == "struct" else ():
        # Models with no field but Module are all alike.
        if any(name != "Module" for name, _ in known.fields) and _are_alike(kind, known):
            return known
    return ANY


def _are_alike(kind: Type, known: Type) -> bool:
    """Whether two types have the same fields; goes no deeper than what is known, which ends."""
    if kind.kind != known.kind or len(kind.fields) != len(known.fields):
        return False
    if known.elem is not None and kind.elem is not None:
        return _are_alike(kind.elem, known.elem)
    pairs = zip(kind.fields, known.fields, strict=True)
    return all(name == known_name and _are_alike(field, other) for (name, field), (known_name, other) in pairs)
