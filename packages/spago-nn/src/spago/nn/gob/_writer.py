"""Writing gob: all definitions of types first, then the value.

What is long is preceded by its length, and lies inside of what is preceded by its length. Bytes are therefore kept in
pieces, among them the memory of matrices, and put together once, at the end.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias, cast

import numpy as np

from spago.nn._guards import is_array, is_list, is_mapping
from spago.nn.gob import _types as t
from spago.nn.gob._numbers import DTYPES, FEW, encode_float, encode_int, encode_run, encode_uint
from spago.nn.gob._types import Type
from spago.nn.gob._values import PARAM_TYPES, Buffer, Interface, Param, Payload, Struct

Piece: TypeAlias = bytes | memoryview

_FIRST = 65
_MATRIX = struct.Struct("<BQQ")  # 0 for float32 or 1 for float64, rows, columns; numbers follow
_OF_PAYLOAD = struct.Struct("<BQ")  # 0 for nothing, 1 for float32 or 2 for float64, and the size of a matrix
_INT_LIMIT, _UINT_LIMIT = 1 << 63, 1 << 64
_FLOATS = (np.dtype("<f4"), np.dtype("<f8"))


def encode(value: Any, kind: Type | None = None, *, interface: bool = False) -> list[Piece]:
    """Return the stream of one value, in pieces; those of matrices are their memory.

    Args:
        value: What to write.
        kind: Its type; by default its own.
        interface: Whether it is put into an interface.

    Raises:
        ValueError: The value is not of its type, or has no type, or contains itself.
    """
    kind = t.INTERFACE if interface else kind or _own_type(value)
    if kind is None:
        raise ValueError(f"gob: expected a Struct, Param, Buffer or matrix, got {type(value).__name__}; say which kind")
    try:
        return _Stream().encode(value, kind)
    except RecursionError:
        raise ValueError("gob: expected values less deep inside one another") from None


def _own_type(value: Any) -> Type | None:
    if isinstance(value, Struct | Interface):
        return value.type
    if isinstance(value, Param):
        return t.OPAQUE_PARAM
    if isinstance(value, Buffer):
        return t.BUFFER
    if isinstance(value, Payload):
        return t.PAYLOAD
    return t.OPAQUE_MATRIX if is_array(value) and value.ndim <= 2 else None


class _Stream:
    """A stream that is being written."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.definitions: list[bytes] = []
        self.ids: dict[int, int] = {}
        self.kept: list[Type] = []  # so that no id is given again
        self.open: set[int] = set()
        self.where: list[str] = []
        self.pieces: list[Piece] = []
        self.size = 0

    def encode(self, value: Any, kind: Type) -> list[Piece]:
        with self.counted():
            self.write(encode_int(self.number(kind)) + (b"" if kind.kind == "struct" else b"\0"))
            self.value(value, kind)
        return [part for definition in self.definitions for part in (encode_uint(len(definition)), definition)] + (
            self.pieces
        )

    def write(self, piece: Piece) -> None:
        """Add bytes to what is being written."""
        self.pieces.append(piece)
        self.size += len(piece)

    @contextmanager
    def counted(self) -> Generator[None]:
        """Write the number of all bytes that the block writes, and then these."""
        pieces, size = self.pieces, self.size
        self.pieces, self.size = [], 0
        yield
        inner, inner_size = self.pieces, self.size
        self.pieces, self.size = pieces, size
        self.write(encode_uint(inner_size))
        self.pieces += inner
        self.size += inner_size

    def written(self, value: Any, kind: Type) -> bytes:
        """Bytes of a value that is written elsewhere."""
        pieces, size = self.pieces, self.size
        self.pieces = []
        self.value(value, kind)
        inner, self.pieces, self.size = self.pieces, pieces, size
        return b"".join(inner)

    # Types

    def number(self, kind: Type) -> int:
        """The number of a type, which is defined if need be."""
        for number, known in t.PREDEFINED.items():
            if known.kind == kind.kind:
                return number
        if id(kind) in self.ids:
            return self.ids[id(kind)]
        number = self.ids[id(kind)] = _FIRST + len(self.ids)
        self.kept.append(kind)
        place = len(self.definitions)
        self.definitions.append(b"")
        self.definitions[place] = encode_int(-number) + self.written(self.definition(kind, number), t.WIRE_TYPE)
        return number

    def definition(self, kind: Type, number: int) -> Struct:
        common = Struct(t.WIRE_TYPE, {"Name": kind.name, "Id": number})
        content: dict[str, Any] = {"CommonType": common}
        if kind.kind in ("slice", "array", "map"):
            assert kind.elem is not None
            content["Elem"] = self.number(kind.elem)
        if kind.key is not None:
            content["Key"] = self.number(kind.key)
        if kind.kind == "array":
            content["Len"] = kind.length
        if kind.kind == "struct":
            content["Field"] = [
                Struct(t.WIRE_TYPE, {"Name": name, "Id": self.number(field)}) for name, field in kind.fields
            ]
        if not kind.kind:
            self.refuse("a type that is defined", "one that is not")
        name = "BinaryMarshaler" if kind.kind == "opaque" else kind.kind
        return Struct(t.WIRE_TYPE, {name: Struct(t.WIRE_TYPE, content)})

    # Values

    def value(self, value: Any, kind: Type) -> None:
        """Write a value, zeros included."""
        if kind.kind == "struct":
            self.struct(value, kind)
        elif kind.kind in ("slice", "array"):
            self.sequence(value, kind)
        elif kind.kind == "map":
            self.mapping(value, kind)
        elif kind.kind == "interface":
            self.interface(value, kind)
        elif kind.kind == "opaque":
            with self.counted():
                self.opaque(value, kind)
        elif kind.kind == "string":
            if not isinstance(value, str):
                self.refuse("text", type(value).__name__)
            self.text(value)
        elif kind.kind == "bytes":
            if not isinstance(value, bytes | bytearray):
                self.refuse("bytes", type(value).__name__)
            self.write(encode_uint(len(value)) + value)
        else:
            self.write(self.a_number(value, kind.kind))

    def a_number(self, value: Any, kind: str) -> bytes:
        if isinstance(value, np.generic):
            value = cast("Any", value).item()
        if kind == "bool" and isinstance(value, bool):
            return encode_uint(value)
        if kind == "int" and type(value) is int and -_INT_LIMIT <= value < _INT_LIMIT:
            return encode_int(value)
        if kind == "uint" and type(value) is int and 0 <= value < _UINT_LIMIT:
            return encode_uint(value)
        if kind == "float" and type(value) in (int, float):
            return encode_float(value)
        if kind == "complex" and type(value) in (int, float, complex):
            value = complex(value)
            return encode_float(value.real) + encode_float(value.imag)
        raise self.refused(f"a {kind} that Go has", f"{value!r:.80}")

    def text(self, text: str) -> None:
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            self.refuse("text that UTF-8 has", f"{text!r:.80}")
        self.write(encode_uint(len(data)) + data)

    def struct(self, value: Any, kind: Type) -> None:
        if not is_mapping(value):
            self.refuse(f"a struct {kind.name}", type(value).__name__)
        fields: Mapping[str, Any] = value
        unknown = fields.keys() - kind.by_name.keys()
        if unknown:
            self.refuse(f"fields of {kind.name}: {', '.join(kind.by_name)}", ", ".join(map(str, unknown)))
        self.enter(value)
        last = -1
        for number, (name, field) in enumerate(kind.fields):
            # A nested struct that is left out would be a nil pointer; nn.Module is never one.
            content = fields.get(name, {} if field.name == "Module" and not field.fields else None)
            self.where.append(name)
            if not _is_zero(content, field):
                self.write(encode_uint(number - last))
                self.value(content, field)
                last = number
            self.where.pop()
        self.open.discard(id(value))
        self.write(b"\0")

    def sequence(self, value: Any, kind: Type) -> None:
        if not (is_list(value) or is_array(value)):
            self.refuse("a list", type(value).__name__)
        if kind.kind == "array" and len(value) != kind.length:
            self.refuse(f"an array of {kind.length} elements", f"{len(value)}")
        elem = kind.elem
        assert elem is not None
        self.write(encode_uint(len(value)))
        if is_array(value) and elem.kind in DTYPES and len(value) >= FEW:
            if value.ndim != 1 or value.dtype != DTYPES[elem.kind]:
                self.refuse(f"an array of one axis and {DTYPES[elem.kind]}", f"{value.shape} of {value.dtype}")
            for piece in encode_run(value, elem.kind):
                self.write(piece)
            return
        self.enter(value)
        for i, element in enumerate(value):
            self.where.append(str(i))
            self.value(element, elem)
            self.where.pop()
        self.open.discard(id(value))

    def mapping(self, value: Any, kind: Type) -> None:
        assert kind.key is not None
        assert kind.elem is not None
        if not is_mapping(value) and not is_list(value):
            self.refuse("a dict, or a list of pairs", type(value).__name__)
        self.enter(value)
        pairs: list[bytes] = []
        for key, element in value.items() if is_mapping(value) else value:
            self.where.append(str(key)[:80])
            pairs.append(self.written(key, kind.key) + self.written(element, kind.elem))
            self.where.pop()
        self.open.discard(id(value))
        self.write(encode_uint(len(pairs)) + b"".join(sorted(pairs)))

    def interface(self, value: Any, kind: Type) -> None:
        if value is None:
            self.write(b"\0")
            return
        content = _own_type(value)
        name = value.go_name if isinstance(value, Struct | Interface) else ""
        if isinstance(value, Param):
            name = "*nn.BaseParam"
        elif is_array(value):
            name = f"*mat.Dense[{value.dtype}]"
        if content is None or not name or (kind.holds and kind.holds != content.holds):
            self.refuse(f"what a {kind.name or 'Go'} interface can hold, under a registered name", type(value).__name__)
        assert content is not None
        self.text(name)
        self.write(encode_int(self.number(content)))
        with self.counted():
            if content.kind != "struct":
                self.write(b"\0")
            self.value(value.value if isinstance(value, Interface) else value, content)

    # What Go Spago's types make of bytes

    def opaque(self, value: Any, kind: Type) -> None:
        own = _own_type(value)
        if kind.holds and (own is None or own.holds != kind.holds):
            self.refuse(f"a {kind.name}", type(value).__name__)
        if isinstance(value, bytes):
            self.write(value)
        elif isinstance(value, Param):
            self.param(value)
        elif isinstance(value, Buffer):
            self.inner({"Value": value.value, "Name": value.name}, t.BUFFER_STRUCT)
        elif isinstance(value, Payload):
            self.payload(value)
        elif is_array(value):
            self.matrix(value)
        else:
            self.refuse("bytes, a Param, a Buffer or a matrix", type(value).__name__)

    def matrix(self, value: Any) -> None:
        dtype = value.dtype.newbyteorder("<")
        if dtype not in _FLOATS or value.ndim > 2:
            self.refuse("a matrix of float32 or float64", f"shape {value.shape} of {value.dtype}")
        rows, columns = (*value.shape, 1, 1)[:2]
        self.write(_MATRIX.pack(_FLOATS.index(dtype), rows, columns))
        numbers = np.ascontiguousarray(value.astype(dtype, copy=False)).reshape(-1)
        self.write(numbers.view(np.uint8).data)

    def payload(self, value: Payload) -> None:
        if not 0 <= value.label < 1 << 63:
            self.refuse("the number of a method", f"{value.label}")
        self.write(value.label.to_bytes(8, "little") + len(value.data).to_bytes(4, "little"))
        for matrix in value.data:
            if matrix is None:
                self.write(b"\0")
                continue
            self.write(_OF_PAYLOAD.pack(1 + (matrix.itemsize == 8), _MATRIX.size + matrix.nbytes))
            self.matrix(matrix)

    def param(self, value: Param) -> None:
        if value.type not in PARAM_TYPES:
            self.refuse(f"a parameter of type {', '.join(PARAM_TYPES)}", f"{value.type!r}")
        fields = {
            "Name": value.name,
            "PType": PARAM_TYPES.index(value.type),
            "Value": value.value,
            "Payload": value.payload,
            "RequiresGrad": bool(value.requires_grad),
        }
        self.inner(fields, t.PARAM_STRUCT)

    def inner(self, fields: Mapping[str, Any], kind: Type) -> None:
        """Write a stream inside this one, with definitions of its own."""
        stream = _Stream()
        stream.where = list(self.where)
        for piece in stream.encode(fields, kind):
            self.write(piece)

    # Refusing

    def enter(self, value: Any) -> None:
        """Note that a value is being written; inside itself it would have no end."""
        if id(value) in self.open:
            self.refuse("a value that does not contain itself", f"a {type(value).__name__} that does")
        self.open.add(id(value))

    def refuse(self, expected: str, got: str) -> NoReturn:
        """Raise the exception for a value that cannot be written."""
        raise self.refused(expected, got)

    def refused(self, expected: str, got: str) -> ValueError:
        """The exception for a value that cannot be written."""
        return ValueError(f"gob: {'.'.join(self.where) or 'value'}: expected {expected}, got {got}")


def _is_zero(value: Any, kind: Type) -> bool:
    """Whether Go leaves a field out."""
    if value is None:
        return True
    if kind.kind in ("struct", "array", "map", "opaque", "interface"):
        return False
    if kind.kind == "slice" or isinstance(value, str | bytes):
        return len(value) == 0
    return bool(value == 0)
