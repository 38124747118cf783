"""Large JSON headers of safetensors files, an entry at a time, in bounded memory.

As Python objects a header can take thirty times its bytes, and `json.loads` checks nothing until it has built all of
them. Here each entry is cut out, parsed and handed over before the next is looked at, and its memory is counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from spago.mat import FormatError

_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"')
_ENTRY = re.compile(rb"\{[^{}]{0,4096}+\}")
_SPACE = re.compile(rb"[ \t\n\r]*+")
# What an entry and a line of metadata take, roughly, in bytes, beside the text.
_PER_ENTRY, _PER_LINE = 1000, 500


class LargeHeader:
    """A header that is being read.

    Args:
        text: All of it.
        path: For messages.
        budget: Bytes that what is read may take.
    """

    def __init__(self, text: bytes, path: str, budget: int) -> None:
        self.text = text
        self.path = path
        self.limit = self.left = budget
        self.position = 0

    def entries(self) -> Iterator[tuple[str, Any]]:
        """Yield the entries of the header with their names; each is an object of at most 4,096 bytes.

        The metadata, under `__metadata__`, are an object of strings of any length.

        Raises:
            FormatError: It is no JSON, or not of this kind, or needs too much memory.
        """
        for name in self.names():
            if name == "__metadata__":
                yield name, dict(self.lines())
                continue
            self.charge(_PER_ENTRY)
            match = _ENTRY.match(self.text, self.position)
            if match is None:
                self.refuse(f"dtype, shape and data_offsets for {name[:80]!r}", "something else")
            self.position = match.end()
            yield name, self.parsed(match[0])
        self.skip_space()
        if self.position != len(self.text):
            self.refuse("nothing behind the header", "something")

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the metadata."""
        seen: set[str] = set()
        for name in self.names():
            if name in seen:
                self.refuse("each name once", f"{name[:80]!r} again")
            seen.add(name)
            self.charge(_PER_LINE)
            yield name, self.string()

    def names(self) -> Iterator[str]:
        """Yield the names of an object, with the position at their values."""
        self.expect(b"{")
        self.skip_space()
        if self.text.startswith(b"}", self.position):
            self.position += 1
            return
        while True:
            self.skip_space()
            name = self.string()
            self.skip_space()
            self.expect(b":")
            self.skip_space()
            yield name
            self.skip_space()
            if not self.text.startswith(b",", self.position):
                break
            self.position += 1
        self.expect(b"}")

    def string(self) -> str:
        match = _STRING.match(self.text, self.position)
        if match is None:
            self.refuse("a header in JSON", "no text where text belongs")
        self.position = match.end()
        raw = match[0]
        self.charge(len(raw) * (1 if raw.isascii() and b"\\" not in raw else 4))
        text: str = self.parsed(raw)
        return text

    def parsed(self, raw: bytes) -> Any:
        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            names = dict(pairs)
            if len(names) < len(pairs):
                self.refuse("each name once", f"{raw[:80]!r}")
            return names

        try:
            return json.loads(raw.decode(), object_pairs_hook=unique)
        except FormatError:
            raise
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{self.path}: expected a header in JSON and UTF-8, got {error}") from error

    def skip_space(self) -> None:
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match is not None else self.position

    def expect(self, mark: bytes) -> None:
        if not self.text.startswith(mark, self.position):
            got = self.text[self.position : self.position + 1]
            self.refuse(f"a header in JSON, with {mark.decode()} at byte {self.position + 8}", f"{got!r}")
        self.position += 1

    def charge(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            self.refuse(f"names and shapes that take at most {self.limit} bytes of memory", "more")

    def refuse(self, expected: str, got: str) -> NoReturn:
        raise FormatError(f"{self.path}: expected {expected}, got {got}")
