"""What the contents of a gob file are in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spago.mat import Array
from spago.nn.gob._numbers import DTYPES
from spago.nn.gob._types import Type

PARAM_TYPES = ("weights", "biases", "undefined")
METHODS = ("", "SGD", "AdaGrad", "Adam", "RAdam", "RMSProp", "Lamb")


class Struct(dict[str, Any]):
    """A Go struct: its fields by their Go names.

    A field that the file leaves out, because it is zero in Go, is no key, but `struct[name]` gives its zero: 0, False,
    "", an empty list, None.

    Attributes:
        type: Its type, with the names of all fields.
        go_name: The name that it is registered by, such as `*linear.Model`; empty where no interface holds it.

    Examples:
        >>> from spago.nn import gob
        >>> linear = gob.Struct(gob.go_type("linear.Model"), W=None)
        >>> linear["B"], "B" in linear
        (None, False)
    """

    __slots__ = ("go_name", "type")

    def __init__(self, kind: Type, values: Mapping[str, Any] | None = None, /, go_name: str = "", **more: Any) -> None:
        super().__init__(values or {}, **more)
        self.type = kind
        self.go_name = go_name

    def __missing__(self, name: str) -> Any:
        kind = self.type.by_name.get(name)
        if kind is None:
            raise KeyError(name)
        return zero(kind)

    def __reduce__(self) -> Any:
        return Struct, (self.type, dict(self), self.go_name)


def zero(kind: Type) -> Any:
    """The zero of a type; None for what may be nothing, structs included."""
    if kind.kind == "array":
        return np.zeros(kind.length, DTYPES[kind.elem.kind]) if kind.elem and kind.elem.kind in DTYPES else []
    if kind.kind == "slice":
        return np.zeros(0, DTYPES[kind.elem.kind]) if kind.elem and kind.elem.kind in DTYPES else []
    return {"bool": False, "int": 0, "uint": 0, "float": 0.0, "complex": 0j, "string": "", "bytes": b""}.get(kind.kind)


@dataclass(slots=True)
class Interface:
    """What an interface of Go holds when it is no struct, parameter or matrix, which need no name beside them.

    Attributes:
        go_name: The registered name of the type, such as `int`.
        value: The value.
        type: Its type.
    """

    go_name: str
    value: Any
    type: Type = field(repr=False, compare=False)


@dataclass(slots=True)
class Payload:
    """What an optimizer of Go Spago keeps with a parameter.

    Attributes:
        label: Number of the method, an index of `METHODS`.
        data: Matrices; which they are depends on the method.
    """

    label: int
    data: list[Array | None]


@dataclass(slots=True)
class Param:
    """A parameter of Go Spago.

    Attributes:
        value: Shape (rows, columns), or None.
        name: As Go has it, often that of its field.
        type: `weights`, `biases` or `undefined`.
        requires_grad: Whether it is trained.
        payload: The state of an optimizer, or None.
    """

    value: Array | None
    name: str = ""
    type: str = "undefined"
    requires_grad: bool = True
    payload: Payload | None = None


@dataclass(slots=True)
class Buffer:
    """A constant of Go Spago.

    Attributes:
        value: Shape (rows, columns), or None.
        name: As Go has it.
    """

    value: Array | None
    name: str = ""
