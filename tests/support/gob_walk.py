"""A second reader of gob, which shares nothing with the one that is tested and forgives nothing.

It checks what Go's decoder relies on: each message and each content of an interface is filled exactly; each type is
defined once and before the value; fields rise; what is opaque is a stream or a matrix of the size that it says.
It returns the parameters by path, as (shape, dtype).
"""

import struct
from typing import Any

BASIC = {1: "bool", 2: "int", 3: "uint", 4: "float", 5: "bytes", 6: "string", 7: "complex", 8: "interface"}
WIRE = ("array", "slice", "struct", "map", "gob", "binary", "text")


class Walk:
    """Bytes that are walked through."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        assert self.at + size <= len(self.data), "the end comes too early"
        self.at += size
        return self.data[self.at - size : self.at]

    def uint(self) -> int:
        (first,) = self.take(1)
        if first < 128:
            return first
        raw = self.take(256 - first)
        assert 1 <= len(raw) <= 8
        assert raw[0], "a number is longer than needed"
        return int.from_bytes(raw, "big")

    def int(self) -> int:
        u = self.uint()
        return -1 - (u >> 1) if u & 1 else u >> 1

    def part(self) -> "Walk":
        return Walk(self.take(self.uint()))

    def text(self) -> str:
        return self.take(self.uint()).decode()

    def end(self) -> None:
        assert self.at == len(self.data), "bytes are left over"


def fields(walk: Walk, readers: list[Any]) -> dict[int, Any]:
    """A struct whose fields are read by functions."""
    found: dict[int, Any] = {}
    number = -1
    while delta := walk.uint():
        number += delta
        assert number < len(readers)
        found[number] = readers[number]()
    return found


class Stream:
    """One stream, with the types that it defines."""

    def __init__(self, data: bytes) -> None:
        self.walk = Walk(data)
        self.types: dict[int, tuple[str, Any]] = {}
        self.params: dict[str, Any] = {}

    def run(self, path: str = "") -> Any:
        while True:
            message = self.walk.part()
            number = message.int()
            if number < 0:
                self.define(-number, message)
                message.end()
                continue
            if self.kind(number) != "struct":
                assert message.take(1) == b"\0"
            value = self.value(number, message, path)
            message.end()
            self.walk.end()
            return value

    def kind(self, number: int) -> str:
        return BASIC.get(number) or self.types[number][0]

    def define(self, number: int, walk: Walk) -> None:
        assert number >= 65
        assert number not in self.types
        common = lambda: fields(walk, [walk.text, walk.int])  # noqa: E731
        listed = lambda: [fields(walk, [walk.text, walk.int]) for _ in range(walk.uint())]  # noqa: E731
        by_kind: list[list[Any]] = [[common, walk.int, walk.int], [common, walk.int], [common, listed]]
        by_kind += [[common, walk.int, walk.int], [common], [common], [common]]
        definition = fields(walk, [lambda readers=readers: fields(walk, readers) for readers in by_kind])
        ((which, content),) = definition.items()
        self.types[number] = WIRE[which], content

    def value(self, number: int, walk: Walk, path: str) -> Any:  # noqa: PLR0911 - a kind a line
        kind = self.kind(number)
        content = self.types[number][1] if number in self.types else {}
        if kind == "struct":
            entries = content.get(1, [])
            readers = [
                lambda entry=entry: self.value(entry[1], walk, f"{path}.{entry[0]}" if path else entry[0])
                for entry in entries
            ]
            return {entries[k][0]: value for k, value in fields(walk, readers).items()}
        if kind in ("slice", "array"):
            return [self.value(content[1], walk, f"{path}.{i}") for i in range(walk.uint())]
        if kind == "map":
            pairs: dict[str, Any] = {}
            for _ in range(walk.uint()):
                raw = self.value(content[1], walk, path)
                key = raw.decode() if isinstance(raw, bytes) else str(raw)
                assert key not in pairs
                pairs[key] = self.value(content[2], walk, f"{path}.{key}")
            return pairs
        if kind == "interface":
            return self.interface(walk, path)
        if kind in ("gob", "binary", "text"):
            return self.opaque(walk.take(walk.uint()), path)
        if kind in ("bytes", "string"):
            return walk.take(walk.uint())
        if kind == "int":
            return walk.int()
        return [walk.uint(), walk.uint()] if kind == "complex" else walk.uint()

    def interface(self, walk: Walk, path: str) -> Any:
        if not (name := walk.text()):
            return None
        number = walk.int()
        assert number > 0, "a definition inside a value"
        content = walk.part()
        if self.kind(number) != "struct":
            assert content.take(1) == b"\0"
        value = self.value(number, content, path)
        content.end()
        return name, value

    def opaque(self, data: bytes, path: str) -> Any:
        if len(data) >= 17 and data[0] in (0, 1):
            tag, rows, columns = struct.unpack_from("<BQQ", data)
            if len(data) == 17 + rows * columns * (4, 8)[tag]:
                self.params[path] = (rows, columns), ("float32", "float64")[tag]
                return data
        if len(data) > 12 and data[1:8] == bytes(7):
            return self.payload(Walk(data))
        if data:
            inner = Stream(data)
            inner.run(path)
            self.params |= {name.removesuffix("Value").removesuffix("."): told for name, told in inner.params.items()}
        return data

    def payload(self, walk: Walk) -> Any:
        walk.take(8)
        for _ in range(int.from_bytes(walk.take(4), "little")):
            tag = walk.take(1)[0]
            assert tag in (0, 1, 2)
            if tag:
                matrix = walk.take(int.from_bytes(walk.take(8), "little"))
                own, rows, columns = struct.unpack_from("<BQQ", matrix)
                assert own == tag - 1
                assert len(matrix) == 17 + rows * columns * (4, 8)[own]
        walk.end()


def walk(data: bytes) -> dict[str, Any]:
    """Walk through a stream of one value; return shapes and dtypes of its matrices by path."""
    stream = Stream(data)
    stream.run()
    return stream.params
