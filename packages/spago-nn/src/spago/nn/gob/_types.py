"""The types of gob: those that a stream defines, and those that Go's declarations have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

Fields: TypeAlias = tuple[tuple[str, "Type"], ...]

NUMBERS = frozenset(("bool", "int", "uint", "float", "complex"))
LEAVES = NUMBERS | {"bytes", "string", "opaque"}


class Type:
    """A type. Two are the same when they are the same object: types may contain themselves.

    Attributes:
        kind: `bool`, `int`, `uint`, `float`, `complex`, `bytes`, `string`, `interface`, `slice`, `array`, `map`,
            `struct` or `opaque`, which is bytes that only the type itself understands; empty while a stream has not
            defined it.
        name: That of a struct; informative.
        elem: Of slices, arrays and maps.
        key: Of maps.
        length: Of arrays.
        fields: Of structs, by name, in order.
        holds: What an interface or opaque value of Go's declaration contains: `param`, `buffer`, `payload`, `matrix`;
            empty for anything.
    """

    __slots__ = ("elem", "fields", "holds", "key", "kind", "length", "name", "_by_name")

    def __init__(
        self,
        kind: str = "",
        name: str = "",
        *,
        elem: Type | None = None,
        key: Type | None = None,
        length: int = 0,
        fields: Fields = (),
        holds: str = "",
    ) -> None:
        self.kind = kind
        self.name = name
        self.elem = elem
        self.key = key
        self.length = length
        self.fields = fields
        self.holds = holds
        self._by_name: dict[str, Type] | None = None

    @property
    def by_name(self) -> Mapping[str, Type]:
        """The fields of a struct."""
        if self._by_name is None:
            self._by_name = dict(self.fields)
        return self._by_name

    def __repr__(self) -> str:
        return f"<{self.kind or 'undefined type'}{f' {self.name}' if self.name else ''}>"


BOOL = Type("bool")
INT = Type("int")
UINT = Type("uint")
FLOAT = Type("float")
BYTES = Type("bytes")
STRING = Type("string")
COMPLEX = Type("complex")
INTERFACE = Type("interface")
PREDEFINED = dict(enumerate((BOOL, INT, UINT, FLOAT, BYTES, STRING, COMPLEX, INTERFACE), start=1))

PARAM = Type("interface", "nn.Param", holds="param")
MATRIX = Type("interface", "mat.Matrix", holds="matrix")
OPAQUE_PARAM = Type("opaque", "nn.BaseParam", holds="param")
OPAQUE_MATRIX = Type("opaque", "mat.Dense", holds="matrix")
BUFFER = Type("opaque", "nn.Buffer", holds="buffer")
PAYLOAD = Type("opaque", "nn.Payload", holds="payload")
OPAQUE = Type("opaque")

PARAM_STRUCT = Type(
    "struct",
    "baseParamForMarshaling",
    fields=(("Name", STRING), ("PType", UINT), ("Value", MATRIX), ("Payload", PAYLOAD), ("RequiresGrad", BOOL)),
)
BUFFER_STRUCT = Type("struct", fields=(("Value", MATRIX), ("Name", STRING)))


def _wire_type() -> Type:
    """The type of a definition, in its own terms."""
    common = Type("struct", "CommonType", fields=(("Name", STRING), ("Id", INT)))

    def kind(name: str, *fields: tuple[str, Type]) -> Type:
        return Type("struct", name, fields=(("CommonType", common), *fields))

    field = Type("struct", "fieldType", fields=(("Name", STRING), ("Id", INT)))
    return Type(
        "struct",
        "wireType",
        fields=(
            ("array", kind("arrayType", ("Elem", INT), ("Len", INT))),
            ("slice", kind("sliceType", ("Elem", INT))),
            ("struct", kind("structType", ("Field", Type("slice", elem=field)))),
            ("map", kind("mapType", ("Key", INT), ("Elem", INT))),
            ("GobEncoder", kind("gobEncoderType")),
            ("BinaryMarshaler", kind("gobEncoderType")),
            ("TextMarshaler", kind("gobEncoderType")),
        ),
    )


WIRE_TYPE = _wire_type()

# Go's declarations

_BASIC = {
    "bool": BOOL,
    "string": STRING,
    "[]byte": BYTES,
    "[]uint8": BYTES,
    "any": INTERFACE,
    "interface {}": INTERFACE,
    "interface{}": INTERFACE,
    "nn.Param": PARAM,
    "nn.BaseParam": OPAQUE_PARAM,
    "nn.Buffer": BUFFER,
    "nn.Payload": PAYLOAD,
    "nn.StandardModel": INTERFACE,
    "mat.Matrix": MATRIX,
    "mat.Dense[float32]": OPAQUE_MATRIX,
    "mat.Dense[float64]": OPAQUE_MATRIX,
    "embeddings.Shared[string]": OPAQUE,
    "embeddings.Shared[[]uint8]": OPAQUE,
    **dict.fromkeys(("int", "int8", "int16", "int32", "int64", "rune"), INT),
    **dict.fromkeys(("uint", "uint8", "uint16", "uint32", "uint64", "uintptr", "byte"), UINT),
    **dict.fromkeys(("float32", "float64"), FLOAT),
    **dict.fromkeys(("complex64", "complex128"), COMPLEX),
}
STRUCTS: dict[str, Type] = {"nn.Module": Type("struct", "Module")}
"""The structs that are known, by their Go name without the star of a pointer."""


@cache
def go_type(text: str) -> Type:
    """Return the type that a Go declaration such as `map[string]*linear.Model` names.

    Pointers do not exist in a stream. An interface type other than `any`, `nn.Param` and `nn.StandardModel` is written
    as `any`. Structs are those of Go Spago and those declared by `declare_struct`.

    Raises:
        ValueError: There is no such type.
    """
    text = text.strip().lstrip("*")
    if text in _BASIC:
        return _BASIC[text]
    if text in STRUCTS:
        return STRUCTS[text]
    if text.startswith("[]"):
        return Type("slice", elem=go_type(text[2:]))
    if match := re.fullmatch(r"\[(\d+)\](.+)", text):
        return Type("array", elem=go_type(match[2]), length=int(match[1]))
    if match := re.fullmatch(r"map\[((?:\[\])?[\w.*]+)\](.+)", text):
        return Type("map", key=go_type(match[1]), elem=go_type(match[2]))
    raise ValueError(
        f"gob: expected a Go type such as int, []nn.Param or *linear.Model, got {text!r}; is its struct declared yet?"
    )


def declare_struct(name: str, fields: Mapping[str, str]) -> Type:
    """Make a Go struct known.

    Args:
        name: Its Go name without a star, such as `main.Tagger`.
        fields: Go types by field name, all exported fields in the order of the declaration.

    Raises:
        ValueError: A type is not known.
    """
    types = tuple((field, go_type(text)) for field, text in fields.items())
    kind = STRUCTS[name] = Type("struct", name.rsplit(".", 1)[-1].split("[", maxsplit=1)[0], fields=types)
    go_type.cache_clear()
    return kind
