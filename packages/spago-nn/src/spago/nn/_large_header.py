"""Large JSON headers of safetensors files, some entries at a time, in bounded memory and time.

As Python objects a header can take thirty times its bytes, and `json.loads` checks nothing until it has built all of
them. Here some entries are cut out, parsed and handed over before the next are looked at, and their memory is counted.

The format allows 100 million bytes, which a hostile file can fill with a million and a half empty arrays. Reading stays
below a second because there may be `MAX_ARRAYS` of them, of metadata as many lines, and `_MAX_PIECES` in a text; the
largest published models have some hundred arrays in a file, and a header below a megabyte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

from spago.mat import FormatError

MAX_ARRAYS = 100_000

_AT_ONCE = 100
_MAX_PIECES = 5_000_000  # escaped characters of a text, and what is between them
_SPACE = rb"[ \t\n\r]*+"
_TEXT = rb'"((?:[^"\\\x00-\x1f]++|\\.){0,%d}+)"' % _MAX_PIECES
_NAME = _SPACE + _TEXT + _SPACE + rb":" + _SPACE
_END = _SPACE + rb"([,}])"
_ENTRIES = re.compile(rb"(?:%s\{[^{}]{0,4096}+\}%s){1,%d}+" % (_NAME, _END, _AT_ONCE))
_LINE = re.compile(_NAME + _TEXT + _END)
_METADATA = re.compile(rb'%s"__metadata__"%s:%s\{' % (_SPACE, _SPACE, _SPACE))
_NOTHING = re.compile(_SPACE + rb"\}")
_A_NAME, _AN_END, _REST = re.compile(_NAME), re.compile(_END), re.compile(_SPACE)
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
        self.position: int = 0
        self.decode = json.JSONDecoder(object_pairs_hook=partial(_unique, path)).decode

    def entries(self) -> Iterator[tuple[str, Any]]:
        """Yield the entries of the header with their names; each is an object of at most 4,096 bytes.

        The metadata, under `__metadata__`, are an object of strings of any length.

        Raises:
            FormatError: It is no JSON, or not of this kind, or needs too much memory.
        """
        if not self.text.startswith(b"{"):
            self.refuse("a header that begins with {", f"{self.text[:1]!r}; is it a safetensors file?")
        # Counted first, which takes no time; and again below, for whoever writes them in escaped characters.
        self.check_count(self.text.count(b'"data_offsets"'), "arrays")
        self.position = 1
        count, end = 0, self.matched(_NOTHING) or b","
        while end == b",":
            if (match := _ENTRIES.match(self.text, self.position)) is not None:
                entries = self.parsed(match.start(), match.end() - 1)
                self.position, end = match.end(), match[2]
                count += len(entries)
                self.check_count(count, "arrays")
                self.charge(_PER_ENTRY * len(entries))
                yield from entries.items()
            elif self.matched(_METADATA):
                yield "__metadata__", self.lines()
                end = self.matched(_AN_END).strip() or self.refuse_text()
            else:
                self.refuse_text()
        self.matched(_REST)
        if self.position != len(self.text):
            self.refuse("nothing behind the header", "something")

    def lines(self) -> dict[str, str]:
        """Read the metadata."""
        lines: dict[str, str] = {}
        end = self.matched(_NOTHING) or b","
        while end == b",":
            match = _LINE.match(self.text, self.position)
            if match is None:
                self.refuse("metadata in JSON that are text by name", "something else")
            [(name, text)] = self.parsed(match.start(), match.end() - 1).items()
            self.position, end = match.end(), match[3]
            if name in lines:
                self.refuse("each name once", f"{name[:80]!r} again")
            lines[name] = text
            self.check_count(len(lines), "lines of metadata")
            self.charge(_PER_LINE)
        return lines

    def parsed(self, start: int, stop: int) -> Any:
        """Return an object of JSON, from its first name to its last value."""
        size = stop - start
        self.charge(2 * size)
        raw = self.text[start:stop]
        # One character beyond Latin-1 makes each take four bytes; and escaped ones take time.
        width = 1 if raw.isascii() and b"\\" not in raw else 4
        self.charge(2 * width * size)
        try:
            result = self.decode(f"{{{raw.decode()}}}")
        except FormatError:
            raise
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{self.path}: expected a header in JSON and UTF-8, got {error}") from error
        self.left += (2 + width) * size  # what is needed no more
        return result

    def matched(self, pattern: re.Pattern[bytes]) -> bytes:
        """Go past what has the form of a pattern; nothing where nothing has."""
        match = pattern.match(self.text, self.position)
        if match is None:
            return b""
        self.position = match.end()
        return match[0]

    def check_count(self, count: int, what: str) -> None:
        if count > MAX_ARRAYS:
            self.refuse(f"at most {MAX_ARRAYS} {what}", "more")

    def charge(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            self.refuse(f"names and shapes that take at most {self.limit} bytes of memory", "more")

    def refuse_text(self) -> NoReturn:
        """Raise the exception for what is no entry."""
        match = _A_NAME.match(self.text, self.position)
        if match is None:
            self.refuse(f"a header in JSON, with text at byte {self.position + 8}", "something else")
        name = match[1][:80].decode("utf-8", "replace")
        self.refuse(f"dtype, shape and data_offsets for {name!r}", "something else")

    def refuse(self, expected: str, got: str) -> NoReturn:
        raise FormatError(f"{self.path}: expected {expected}, got {got}")


def _unique(path: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise FormatError(f"{path}: expected each name once, got {', '.join(repr(name[:80]) for name, _ in pairs[:4])}")
    return names
