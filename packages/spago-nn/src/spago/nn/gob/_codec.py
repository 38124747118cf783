"""How layers of ours and structs of Go correspond."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from spago import nn
from spago.nn._guards import is_list
from spago.nn.gob._parts import Fields, fill, place, split
from spago.nn.gob._values import Buffer, Param, Struct

Parts: TypeAlias = Mapping[str, Sequence[str]]
Settings: TypeAlias = dict[str, Any]


def _no_settings(layer: Any) -> Settings:
    return {}


def _equal_sizes(layer: Any) -> None:
    return None


@dataclass(frozen=True)
class Layer:
    """How a layer of ours and a struct of Go correspond.

    Attributes:
        make: Ours, its weights yet to be read, from the struct and a dtype.
        parts: For each parameter of ours, by its path, those of Go, one below the other.
        settings: The fields of the struct that are no parameters.
        sizes: The rows of Go's parameters where they are not all the same.
    """

    make: Callable[[Fields, Any], nn.Module]
    parts: Callable[[Any], Parts]
    settings: Callable[[Any], Settings] = _no_settings
    sizes: Callable[[Any], Sequence[int] | None] = _equal_sizes

    def read(self, s: Fields) -> nn.Module:
        """Our layer."""
        layer = self.make(s, dtype_of(s))
        for ours, theirs in self.parts(layer).items():
            fill(part_of(layer, ours), s, theirs)
        return layer

    def write(self, layer: nn.Module) -> Settings:
        """The fields of Go's struct."""
        result = dict(self.settings(layer))
        sizes = self.sizes(layer)
        for ours, theirs in self.parts(layer).items():
            source = part_of(layer, ours)
            if source is None:
                raise ValueError(f"gob: expected {type(layer).__name__} with {ours}, as Go Spago has it, got none")
            place(result, split(source, theirs, sizes if len(theirs) > 1 else None))
        return result


@dataclass(frozen=True)
class Special:
    """A layer that corresponds to a struct of Go in a way of its own.

    Attributes:
        read: Our layer.
        write: The fields of Go's struct.
    """

    read: Callable[[Fields], nn.Module]
    write: Callable[[Any], Settings]


def plain(**parts: str) -> Callable[[Any], Parts]:
    """Parts that do not depend on the layer, each written as names with spaces between them."""
    split_up = {ours: theirs.split() for ours, theirs in parts.items()}
    return lambda layer: split_up


def dtype_of(s: Fields) -> Any:
    """That of the first parameter or buffer."""
    for name, _ in s.struct.type.fields:
        value = s.struct.get(name)
        first = value[0] if is_list(value) and value else value
        if isinstance(first, Param | Buffer) and first.value is not None:
            return first.value.dtype
        if isinstance(first, Struct):
            dtype = dtype_of(Fields(first, s.place))
            if dtype is not None:
                return dtype
    return None


def number_at(s: Fields, path: str) -> float:
    matrix = s.matrix(path)
    if matrix.size != 1:
        s.refuse(f"one number for {path}", f"shape {matrix.shape}")
    return float(matrix.item())


def constant(value: float, dtype: Any) -> Buffer:
    return Buffer(np.full((1, 1), value, dtype))


def remember(layer: nn.Module, **facts: Any) -> None:
    """Note what Go has and the layer has no place for, so that it is written again."""
    vars(layer)["gob_facts"] = remembered(layer) | facts


def remembered(layer: nn.Module) -> dict[str, Any]:
    facts: dict[str, Any] = vars(layer).get("gob_facts", {})
    return facts


def part_of(layer: Any, path: str) -> Any:
    """What a path such as `layers.0.weight` leads to."""
    for name in path.split("."):
        layer = layer[int(name)] if name.isdecimal() else getattr(layer, name)
    return layer
