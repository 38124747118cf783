"""Reading gob: a stream of messages, each the definition of a type or a value.

Nothing in a file is trusted. What a count announces is compared with the bytes that are there before anything is
allocated; what is built is charged to a budget of memory; values inside values are kept on a list instead of Python's
stack, and go down to a limit.

Source: the documentation of Go's package encoding/gob, "Encoding Details".
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NoReturn, TypeAlias

import numpy as np

from spago import mat
from spago.mat import Array, FormatError
from spago.nn._progress import advance
from spago.nn.gob import _types as t
from spago.nn.gob._numbers import DTYPES, FEW, decode_run, float_of
from spago.nn.gob._types import LEAVES, PREDEFINED, Fields, Type
from spago.nn.gob._values import METHODS, PARAM_TYPES, Buffer, Interface, Param, Payload, Struct

MAX_DEPTH = 300
MAX_TYPES = 10_000
MAX_NAME = 1024

# Two declarations that are none: of what nobody knows, and of what nobody wants to know.
ANY, SKIP = Type("any"), Type("skip")
Wanted: TypeAlias = tuple[Type, Type, str]
Parts: TypeAlias = Generator[Wanted, Any, Any]

REGISTERED: dict[str, Type] = {}
"""Structs by the names that interfaces call them, such as `*linear.Model`."""

# What an object of Python takes, roughly, in bytes.
_OBJECT, _ITEM, _STRUCT = 64, 16, 400


class Budget:
    """How much memory may still be used, in bytes; streams in streams share one."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit


class Reader:
    """A stream that is being read.

    Args:
        data: All of it.
        path: For messages: the file.
        budget: Of memory.
        start: For messages: the byte of the file at which data begins.
        field: For messages: where the stream is, when inside another.
    """

    def __init__(self, data: memoryview, path: str, budget: Budget, start: int = 0, field: str = "") -> None:
        self.data = data
        self.path = path
        self.budget = budget
        self.start = start
        self.where = [field] if field else []
        self.position = 0
        # Where the chunk that is being read ends; before it on the list those that it is in.
        self.ends = [len(data)]
        self.types: dict[int, Type] = dict(PREDEFINED)
        self.defined: set[int] = set()
        self.top = ANY

    # Messages

    def next_value(self, declared: Type | Callable[[Type], Type] = ANY) -> Any:
        """Read definitions up to the next value, and that.

        Args:
            declared: The type that is wanted, or a function that chooses it for the type that is there.

        Raises:
            FormatError: The stream ends, or is damaged, or has a value of another type.
        """
        while True:
            if self.position == len(self.data):
                self.refuse("a value", "the end of the stream")
            count = self.unsigned()
            if not 0 < count <= len(self.data) - self.position:
                self.refuse("a message of at least one byte and at most the rest of the stream", f"{count} bytes")
            self.ends.append(self.position + count)
            number = self.signed()
            if number < 0:
                self.define(-number)
                self.close("definition")
                continue
            kind = self.top = self.type_of(number)
            if kind.kind != "struct" and self.unsigned() != 0:
                self.refuse("a zero byte before a value that is no struct", "another")
            value = self.value(kind, declared if isinstance(declared, Type) else declared(kind))
            self.close("value")
            return value

    def close(self, what: str) -> None:
        """Leave a chunk, which must have been read to its end."""
        end = self.ends.pop()
        if self.position != end:
            self.refuse(f"the {what} to fill its {'message' if len(self.ends) == 1 else 'chunk'}", "bytes left over")

    # Numbers

    def unsigned(self) -> int:
        """Read an unsigned integer."""
        position = self.position
        if position >= self.ends[-1]:
            self.refuse("a number", "the end of the message")
        first = self.data[position]
        self.position = position + 1
        if first < 128:
            return first
        size = 256 - first
        if size > 8:
            self.refuse("a number of at most 8 bytes", f"{size}")
        return int.from_bytes(self.take(size), "big")

    def signed(self) -> int:
        """Read a signed integer."""
        u = self.unsigned()
        return ~(u >> 1) if u & 1 else u >> 1

    def take(self, size: int) -> memoryview:
        """Read bytes, without copying them."""
        position = self.position
        if size > self.ends[-1] - position:
            self.refuse(f"{size} bytes", f"{self.ends[-1] - position} before the end of the message")
        self.position = position + size
        return self.data[position : position + size]

    def count(self) -> int:
        """Read how many elements follow, of at least one byte each."""
        count = self.unsigned()
        if count > self.ends[-1] - self.position:
            self.refuse("elements of at least one byte each", f"{count} in {self.ends[-1] - self.position} bytes")
        return count

    def string(self) -> str:
        """Read text; bytes that are no UTF-8 are kept as surrogates."""
        data = bytes(self.take(self.count()))
        self.charge(_OBJECT + len(data) * (1 if data.isascii() else 4))
        return data.decode("utf-8", "surrogateescape")

    # Types

    def type_of(self, number: int) -> Type:
        """The type of a number, which must be defined by now."""
        kind = self.types.get(number)
        if kind is None or not kind.kind:
            self.refuse("a type that has been defined", f"number {number}")
        return kind

    def reference(self, number: int) -> Type:
        """The type of a number, which may be defined later."""
        if number not in self.types:
            if not 64 <= number < 1 << 31:
                self.refuse("the number of a type", f"{number}")
            self.charge(_STRUCT)
            self.types[number] = Type()
        return self.types[number]

    def define(self, number: int) -> None:
        """Read the definition of a type."""
        if number in self.defined:
            self.refuse("each type defined once", f"type {number} again")
        if len(self.defined) >= MAX_TYPES:
            self.refuse(f"at most {MAX_TYPES} types", "more")
        kind = self.reference(number)
        if number < 64:
            self.refuse("definitions of types from 64 on", f"{number}")
        self.defined.add(number)
        definition = self.value(t.WIRE_TYPE, t.WIRE_TYPE)
        if len(definition) != 1:
            self.refuse("a definition of exactly one kind of type", ", ".join(definition) or "none")
        ((name, fields),) = definition.items()
        kind.name = fields["CommonType"]["Name"] if fields["CommonType"] else ""
        if name == "struct":
            kind.fields = self.fields(fields["Field"])
        if name in ("slice", "array", "map"):
            kind.elem = self.reference(fields["Elem"])
        if name == "map":
            kind.key = self.reference(fields["Key"])
        if name == "array":
            kind.length = fields["Len"]
            if kind.length < 0:
                self.refuse("an array of length 0 or more", f"{kind.length}")
        kind.kind = name if name in ("struct", "slice", "array", "map") else "opaque"

    def fields(self, listed: list[Struct]) -> Fields:
        fields = {field["Name"]: self.reference(field["Id"]) for field in listed}
        if len(fields) < len(listed) or "" in fields:
            self.refuse("fields with names, each another one", ", ".join(f["Name"] for f in listed[:20]))
        return tuple(fields.items())

    # Values

    def value(self, kind: Type, declared: Type, place: str = "") -> Any:
        """Read a value.

        What a value consists of is asked for by generators, one for each struct, list, map and interface that is open;
        they are kept on a list here.

        Args:
            kind: Its type in the stream.
            declared: Its type in Go, or ANY or SKIP.
            place: For messages: what to call it.
        """
        open_parts: list[Parts] = []
        result: Any = None
        while True:
            if kind.kind in LEAVES:
                if place:
                    self.where.append(place)
                result = self.leaf(kind, declared)
                if place:
                    self.where.pop()
            else:
                if len(open_parts) == MAX_DEPTH:
                    self.refuse(f"values at most {MAX_DEPTH} deep inside one another", "deeper ones")
                self.where.append(place)
                open_parts.append(self.parts(kind, declared))
                result = None
            while open_parts:
                try:
                    kind, declared, place = open_parts[-1].send(result)
                    break
                except StopIteration as stop:
                    result = stop.value
                    open_parts.pop()
                    self.where.pop()
            else:
                return result

    def parts(self, kind: Type, declared: Type) -> Parts:
        """A value that consists of others."""
        if declared is not ANY and declared is not SKIP and kind.kind != declared.kind:
            self.refuse(f"{_shown(declared)}", f"{_shown(kind)}")
        if kind.kind == "struct":
            return self.struct(kind, declared)
        if kind.kind == "interface":
            return self.interface(declared)
        if kind.kind == "map":
            return self.mapping(kind, declared)
        if kind.kind not in ("slice", "array"):
            self.refuse("a type that has been defined", "one that has not")
        return self.sequence(kind, declared)

    def struct(self, kind: Type, declared: Type) -> Parts:
        self.charge(_STRUCT)
        known = declared.by_name if declared.kind == "struct" else None
        if known and kind.fields and not any(name in known for name, _ in kind.fields):
            names = ", ".join(name for name, _ in kind.fields[:20])
            self.refuse(f"fields of {_shown(declared)}: {', '.join(known)}", names)
        result = Struct(kind if known is None else declared)
        fields, number = kind.fields, -1
        while delta := self.unsigned():
            number += delta
            if number >= len(fields):
                self.refuse(f"a field below {len(fields)}, as {_shown(kind)} has", f"number {number}")
            name, field = fields[number]
            if known is None:
                value = yield field, declared, name
            elif name in known:
                value = yield field, known[name], name
            else:
                yield field, SKIP, name
                continue
            if declared is not SKIP:
                self.charge(_ITEM)
                result[name] = value
        return result

    def sequence(self, kind: Type, declared: Type) -> Parts:
        elem, wanted = kind.elem, declared.elem or declared
        assert elem is not None
        count = self.count()
        self.charge(2 * _OBJECT)
        if kind.kind == "array" and (count != kind.length or declared.length not in (count, 0)):
            self.refuse(f"an array of {declared.length or kind.length} elements", f"{count}")
        if elem.kind in DTYPES and count >= FEW:
            self.same_kind(elem, wanted)
            return self.numbers(elem.kind, count)
        result: list[Any] = []
        for i in range(count):
            value = yield elem, wanted, str(i)
            if declared is not SKIP:
                self.charge(_ITEM)
                result.append(value)
        if elem.kind in DTYPES and declared is not SKIP:
            self.charge(2 * _OBJECT)
            return np.array(result, DTYPES[elem.kind])
        return result

    def numbers(self, kind: str, count: int) -> Any:
        """A long run of numbers, as an array."""
        self.charge(2 * _OBJECT + DTYPES[kind].itemsize * count)
        try:
            result, used = decode_run(self.data[self.position : self.ends[-1]], kind, count)
        except FormatError as error:
            raise FormatError(f"{self.place()}: {error}") from None
        self.position += used
        return result

    def mapping(self, kind: Type, declared: Type) -> Parts:
        key_kind, elem = kind.key, kind.elem
        assert key_kind is not None
        assert elem is not None
        count = self.count()
        if 2 * count > self.ends[-1] - self.position:
            self.refuse("entries of at least two bytes each", f"{count} in {self.ends[-1] - self.position} bytes")
        self.charge(_STRUCT)
        pairs: list[tuple[Any, Any]] = []
        keys: set[Any] = set()
        for _ in range(count):
            key = yield key_kind, declared.key or declared, "key"
            if key_kind.kind in LEAVES:
                if key in keys:
                    self.refuse("each key once", f"{key!r} again")
                keys.add(key)
            value = yield elem, declared.elem or declared, str(key)[:80] if key_kind.kind in LEAVES else "value"
            if declared is not SKIP:
                self.charge(8 * _ITEM)
                pairs.append((key, value))
        return dict(pairs) if key_kind.kind in LEAVES else pairs

    def interface(self, declared: Type) -> Parts:
        length = self.unsigned()
        if length == 0:
            return None
        if length > MAX_NAME:
            self.refuse(f"the name of a type, of at most {MAX_NAME} bytes", f"{length}")
        name = bytes(self.take(length)).decode("utf-8", "surrogateescape")
        self.charge(_OBJECT + length)
        number = self.signed()
        while number < 0:
            self.define(-number)
            self.close("definition")
            self.open_chunk()
            number = self.signed()
        kind = self.type_of(number)
        content = self.content(name, kind, declared)
        self.open_chunk()
        if kind.kind != "struct" and self.unsigned() != 0:
            self.refuse("a zero byte before a value that is no struct", "another")
        value = yield kind, content, f"({name})"
        self.close("value")
        if isinstance(value, Struct):
            value.go_name = name
            return value
        if content.holds == "matrix" and _DENSE[name] != value.dtype:
            self.refuse(f"a matrix of {_DENSE[name]}, as its name {name} says", f"{value.dtype}")
        return value if content.holds in ("param", "matrix") else Interface(name, value, kind)

    def open_chunk(self) -> None:
        """Read the length of what follows up to the next definition or to the end of a value."""
        size = self.unsigned()
        if size > self.ends[-1] - self.position:
            self.refuse(f"at most {self.ends[-1] - self.position} bytes, which are left", f"{size}")
        self.ends.append(self.position + size)

    def content(self, name: str, kind: Type, declared: Type) -> Type:
        """The type that is declared for what an interface holds, under a registered name."""
        if declared is SKIP:
            return SKIP
        if declared.holds:
            names = _CONTENTS[declared.holds]
            if name not in names:
                self.refuse(" or ".join(names), f"{name!r}")
            return names[name]
        for names in _CONTENTS.values():
            if name in names:
                return names[name]
        if name in REGISTERED:
            return REGISTERED[name]
        if declared is not ANY and name not in _BASIC_NAMES:
            self.refuse("a registered name; see gob.declare", f"{name!r}")
        return ANY

    def same_kind(self, kind: Type, declared: Type) -> None:
        if declared is not ANY and declared is not SKIP and kind.kind != declared.kind:
            self.refuse(_shown(declared), _shown(kind))

    def leaf(self, kind: Type, declared: Type) -> Any:  # noqa: PLR0911 - a kind a line
        """Read a value that contains no other."""
        self.same_kind(kind, declared)
        name = kind.kind
        if name == "opaque":
            return self.opaque(declared)
        if name == "string":
            return self.string()
        if name == "bytes":
            size = self.count()
            self.charge(_OBJECT + size)
            return bytes(self.take(size))
        self.charge(_OBJECT)
        if name == "int":
            return self.signed()
        if name == "uint":
            return self.unsigned()
        if name == "bool":
            return self.unsigned() != 0
        if name == "float":
            return float_of(self.unsigned())
        return complex(float_of(self.unsigned()), float_of(self.unsigned()))

    # What Go Spago's types make of bytes

    def opaque(self, declared: Type) -> Any:
        """Read bytes that their type explains."""
        data = self.take(self.count())
        self.charge(_STRUCT)
        if declared is SKIP:
            return None
        inner = Reader(data, self.path, self.budget, self.start + self.position - len(data), self.field())
        if declared is ANY:
            return inner.guess()
        if not declared.holds:
            return inner.copy()
        return {"param": inner.param, "buffer": inner.buffer, "matrix": inner.matrix, "payload": inner.payload}[
            declared.holds
        ]()

    def guess(self) -> Any:
        """All of the stream as what it looks like, or else as bytes."""
        for read, field in ((Reader.param, "PType"), (Reader.buffer, "Value"), (Reader.matrix, "")):
            attempt = Reader(self.data, self.path, self.budget, self.start, self.field())
            try:
                value = read(attempt)
            except FormatError:
                if self.budget.left < 0:
                    raise
            else:
                if not field or field in attempt.top.by_name:
                    return value
        return self.copy()

    def copy(self) -> bytes:
        self.charge(len(self.data))
        return bytes(self.data)

    def whole(self, declared: Type) -> Struct:
        """The one value of a stream inside another."""
        value = self.next_value(declared)
        if not isinstance(value, Struct):
            self.refuse(_shown(declared), "a value of another type")
        if self.position != len(self.data):
            self.refuse("one value", f"{len(self.data) - self.position} bytes behind it")
        return value

    def param(self) -> Param:
        """All of the stream as a parameter."""
        fields = self.whole(t.PARAM_STRUCT)
        kind: int = fields["PType"]
        if kind >= len(PARAM_TYPES):
            self.refuse(f"a kind of parameter below {len(PARAM_TYPES)}", f"{kind}")
        return Param(fields["Value"], fields["Name"], PARAM_TYPES[kind], fields["RequiresGrad"], fields["Payload"])

    def buffer(self) -> Buffer:
        """All of the stream as a buffer."""
        fields = self.whole(t.BUFFER_STRUCT)
        return Buffer(fields["Value"], fields["Name"])

    def matrix(self) -> Array:
        """All of the stream as a matrix."""
        self.charge(2 * _OBJECT + len(self.data))
        advance(len(self.data))
        try:
            return mat.unmarshal(self.data)
        except FormatError as error:
            raise FormatError(f"{self.place()}: {error}") from None

    def payload(self) -> Payload:
        """All of the stream as the state of an optimizer."""
        if len(self.data) < 12:
            self.refuse("a payload of at least 12 bytes", f"{len(self.data)}")
        label = int.from_bytes(self.data[:8], "little", signed=True)
        count = int.from_bytes(self.data[8:12], "little")
        if not 0 <= label < len(METHODS):
            self.refuse(f"the number of a method below {len(METHODS)}", f"{label}")
        rest = self.data[12:]
        if count > len(rest):
            self.refuse("matrices of at least one byte each", f"{count} in {len(rest)} bytes")
        data: list[Array | None] = []
        for _ in range(count):
            self.charge(4 * _OBJECT + len(rest[:9]))
            try:
                x, rest = mat.read_matrix(rest)
            except FormatError as error:
                raise FormatError(f"{self.place()}: {error}") from None
            self.charge(x.nbytes if x is not None else 0)
            data.append(x)
        if len(rest):
            self.refuse(f"a payload of {count} matrices", f"{len(rest)} bytes behind them")
        return Payload(label, data)

    # Refusing

    def charge(self, size: int) -> None:
        """Count memory."""
        self.budget.left -= size
        if self.budget.left < 0:
            self.refuse(
                f"values that take at most {self.budget.limit} bytes",
                "more; if the file is trusted, raise memory_limit",
            )

    def place(self) -> str:
        """For messages: file, byte and field."""
        field = self.field()
        return f"{self.path}, byte {self.start + self.position}{f', {field[-200:]}' if field else ''}"

    def field(self) -> str:
        """The path to what is being read."""
        return ".".join(name for name in self.where if name)

    def refuse(self, expected: str, got: str) -> NoReturn:
        """Raise the one exception that there is."""
        raise FormatError(f"{self.place()}: expected {expected}, got {got}"[:1000])


def _shown(kind: Type) -> str:
    return f"{kind.kind} {kind.name}".strip()[:80]


_DENSE: dict[str, str] = {"*mat.Dense[float32]": "float32", "*mat.Dense[float64]": "float64"}
_CONTENTS: dict[str, dict[str, Type]] = {
    "param": {"*nn.BaseParam": t.OPAQUE_PARAM},
    "matrix": dict.fromkeys(_DENSE, t.OPAQUE_MATRIX),
}
_BASIC_NAMES = frozenset(
    f"{prefix}{name}"
    for prefix in ("", "[]")
    for name in (
        "bool",
        "string",
        "[]uint8",
        "interface {}",
        "int",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "uintptr",
        "float32",
        "float64",
        "complex64",
        "complex128",
    )
) | {
    "github.com/nlpodyssey/spago/embeddings/store.PreventStoreMarshaling",
    "github.com/nlpodyssey/spago/embeddings.Shared[string]",
    "github.com/nlpodyssey/spago/embeddings.Shared[[]uint8]",
}
