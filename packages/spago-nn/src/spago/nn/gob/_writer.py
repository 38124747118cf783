"""Writing gob: all definitions of types first, then the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, cast

import numpy as np

from spago import mat
from spago.nn._guards import is_array, is_list, is_mapping
from spago.nn.gob import _types as t
from spago.nn.gob._numbers import DTYPES, FEW, encode_float, encode_int, encode_run, encode_uint
from spago.nn.gob._types import Type
from spago.nn.gob._values import PARAM_TYPES, Buffer, Interface, Param, Payload, Struct

_FIRST = 65
_INT_LIMIT, _UINT_LIMIT = 1 << 63, 1 << 64


def encode(value: Any, kind: Type | None = None, *, interface: bool = False) -> bytes:
    """Return the stream of one value.

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

    def encode(self, value: Any, kind: Type) -> bytes:
        number = encode_int(self.number(kind))
        content = self.value(value, kind)
        body = number + (b"" if kind.kind == "struct" else b"\0") + content
        return b"".join(encode_uint(len(part)) + part for part in (*self.definitions, body))

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
        self.definitions[place] = encode_int(-number) + self.value(self.definition(kind, number), t.WIRE_TYPE)
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

    def value(self, value: Any, kind: Type) -> bytes:  # noqa: PLR0911 - a kind a line
        """Bytes of a value, zeros included."""
        if kind.kind == "struct":
            return self.struct(value, kind)
        if kind.kind in ("slice", "array"):
            return self.sequence(value, kind)
        if kind.kind == "map":
            return self.mapping(value, kind)
        if kind.kind == "interface":
            return self.interface(value, kind)
        if kind.kind == "opaque":
            data = self.opaque(value, kind)
            return encode_uint(len(data)) + data
        if kind.kind == "string":
            if not isinstance(value, str):
                self.refuse("text", type(value).__name__)
            return self.counted(self.text(value))
        if kind.kind == "bytes":
            if not isinstance(value, bytes | bytearray):
                self.refuse("bytes", type(value).__name__)
            return self.counted(bytes(value))
        return self.a_number(value, kind.kind)

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

    def text(self, text: str) -> bytes:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            self.refuse("text that UTF-8 has", f"{text!r:.80}")

    def counted(self, data: bytes) -> bytes:
        return encode_uint(len(data)) + data

    def struct(self, value: Any, kind: Type) -> bytes:
        if not is_mapping(value):
            self.refuse(f"a struct {kind.name}", type(value).__name__)
        fields: Mapping[str, Any] = value
        unknown = fields.keys() - kind.by_name.keys()
        if unknown:
            self.refuse(f"fields of {kind.name}: {', '.join(kind.by_name)}", ", ".join(map(str, unknown)))
        self.enter(value)
        parts: list[bytes] = []
        last = -1
        for number, (name, field) in enumerate(kind.fields):
            # A nested struct that is left out would be a nil pointer; nn.Module is never one.
            content = fields.get(name, {} if field.name == "Module" and not field.fields else None)
            self.where.append(name)
            if not _is_zero(content, field):
                parts += encode_uint(number - last), self.value(content, field)
                last = number
            self.where.pop()
        self.open.discard(id(value))
        return b"".join(parts) + b"\0"

    def sequence(self, value: Any, kind: Type) -> bytes:
        if not (is_list(value) or is_array(value)):
            self.refuse("a list", type(value).__name__)
        if kind.kind == "array" and len(value) != kind.length:
            self.refuse(f"an array of {kind.length} elements", f"{len(value)}")
        elem = kind.elem
        assert elem is not None
        count = encode_uint(len(value))
        if is_array(value) and elem.kind in DTYPES and len(value) >= FEW:
            if value.ndim != 1 or value.dtype != DTYPES[elem.kind]:
                self.refuse(f"an array of one axis and {DTYPES[elem.kind]}", f"{value.shape} of {value.dtype}")
            return count + encode_run(value, elem.kind)
        self.enter(value)
        elements: list[bytes] = []
        for i, element in enumerate(value):
            self.where.append(str(i))
            elements.append(self.value(element, elem))
            self.where.pop()
        self.open.discard(id(value))
        return count + b"".join(elements)

    def mapping(self, value: Any, kind: Type) -> bytes:
        assert kind.key is not None
        assert kind.elem is not None
        if not is_mapping(value) and not is_list(value):
            self.refuse("a dict, or a list of pairs", type(value).__name__)
        self.enter(value)
        pairs: list[bytes] = []
        for key, element in value.items() if is_mapping(value) else value:
            self.where.append(str(key)[:80])
            pairs.append(self.value(key, kind.key) + self.value(element, kind.elem))
            self.where.pop()
        self.open.discard(id(value))
        return encode_uint(len(pairs)) + b"".join(sorted(pairs))

    def interface(self, value: Any, kind: Type) -> bytes:
        if value is None:
            return b"\0"
        content = _own_type(value)
        name = value.go_name if isinstance(value, Struct | Interface) else ""
        if isinstance(value, Param):
            name = "*nn.BaseParam"
        elif is_array(value):
            name = f"*mat.Dense[{value.dtype}]"
        if content is None or not name or (kind.holds and kind.holds != content.holds):
            self.refuse(f"what a {kind.name or 'Go'} interface can hold, under a registered name", type(value).__name__)
        assert content is not None
        number = encode_int(self.number(content))
        data = self.value(value.value if isinstance(value, Interface) else value, content)
        data = data if content.kind == "struct" else b"\0" + data
        return self.counted(self.text(name)) + number + encode_uint(len(data)) + data

    # What Go Spago's types make of bytes

    def opaque(self, value: Any, kind: Type) -> bytes:
        own = _own_type(value)
        if kind.holds and (own is None or own.holds != kind.holds):
            self.refuse(f"a {kind.name}", type(value).__name__)
        if isinstance(value, bytes):
            return value
        if isinstance(value, Param):
            return self.param(value)
        if isinstance(value, Buffer):
            return _Stream().encode({"Value": value.value, "Name": value.name}, t.BUFFER_STRUCT)
        if isinstance(value, Payload):
            if not 0 <= value.label < 1 << 63:
                self.refuse("the number of a method", f"{value.label}")
            matrices = b"".join(mat.marshal_matrix(x) for x in value.data)
            return value.label.to_bytes(8, "little") + len(value.data).to_bytes(4, "little") + matrices
        if is_array(value):
            return self.matrix(value)
        raise self.refused("bytes, a Param, a Buffer or a matrix", type(value).__name__)

    def matrix(self, value: Any) -> bytes:
        if value.dtype not in (np.dtype(np.float32), np.dtype(np.float64)) or value.ndim > 2:
            self.refuse("a matrix of float32 or float64", f"shape {value.shape} of {value.dtype}")
        return mat.marshal(value)

    def param(self, value: Param) -> bytes:
        if value.type not in PARAM_TYPES:
            self.refuse(f"a parameter of type {', '.join(PARAM_TYPES)}", f"{value.type!r}")
        fields = {
            "Name": value.name,
            "PType": PARAM_TYPES.index(value.type),
            "Value": value.value,
            "Payload": value.payload,
            "RequiresGrad": bool(value.requires_grad),
        }
        inner = _Stream()
        inner.where = list(self.where)
        return inner.encode(fields, t.PARAM_STRUCT)

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
