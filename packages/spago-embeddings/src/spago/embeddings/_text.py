"""Vectors as text: a word and its numbers a line, as word2vec, GloVe and fastText write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.embeddings._decimal import MARGIN, Bytes, parse
from spago.embeddings._files import Source
from spago.mat import Array, FormatError

Choose: TypeAlias = Callable[[list[bytes]], Sequence[int]]
"""Which of some words are wanted: only their numbers are read."""

MAX_SIZE = 65_536
MAX_WORD_BYTES = 65_536
BLOCK_BYTES = 512 << 10
_NEWLINE, _SPACE = ord("\n"), ord(" ")
_BOM = b"\xef\xbb\xbf"


class Fault(NamedTuple):
    """A line that could not be read.

    Attributes:
        line: Its number, from 1 on; in files that have no lines, that of the vector.
        message: What was expected and what came.
    """

    line: int
    message: str


class Rows(NamedTuple):
    """Some of the vectors of a file.

    Attributes:
        keys: N words in UTF-8.
        values: Their vectors, shape (N, D).
        lines: The numbers of their lines, shape (N,).
        faults: Lines between them that could not be read.
        total: How many vectors were looked at, chosen or not, good or not.
        next_line: The number of the line after the last one that was looked at.
    """

    keys: list[bytes]
    values: Array
    lines: npt.NDArray[np.int64]
    faults: list[Fault]
    total: int
    next_line: int


def check_size(size: int, where: str) -> int:
    """Return the size of vectors that a header promises, unless it is absurd: nothing is allocated before."""
    if not 1 <= size <= MAX_SIZE:
        raise FormatError(f"{where}: expected vectors of 1 to {MAX_SIZE} numbers, got {size}; is the file damaged?")
    return size


def header_of(line: bytes) -> tuple[int, int] | None:
    """Return count and size where a line is the header of word2vec and fastText, two integers; else None."""
    fields = line.split()
    return (int(fields[0]), int(fields[1])) if len(fields) == 2 and all(map(bytes.isdigit, fields)) else None


class TextVectors:
    """The vectors of a text file, block by block.

    Args:
        source: The file, at its beginning.
        header: Whether the first line is count and size; None: when it is two integers.

    Attributes:
        size: D.
        promised: How many vectors the header says there are; None where there is no header.

    Raises:
        FormatError: The first lines are no vectors.
    """

    def __init__(self, source: Source, header: bool | None = None) -> None:
        self._source = source
        self._rest = source.read(BLOCK_BYTES).removeprefix(_BOM)
        self._line = 1
        first, newline, rest = self._rest.partition(b"\n")
        found = None if header is False else header_of(first)
        if header and found is None:
            raise FormatError(f"{source.name}:1: expected a header, count and size, got {first[:80]!r}")
        self.promised: int | None = None
        if found is None:
            self.size = check_size(len(first.split()) - 1, f"{source.name}:1")
        else:
            self.promised, self.size = found[0], check_size(found[1], f"{source.name}:1")
            self._rest, self._line = (rest if newline else b""), 2

    def blocks(self, choose: Choose) -> Iterator[Rows]:
        """Yield the vectors of the words that are chosen.

        Raises:
            FormatError: A line is absurdly long, or compressed data are damaged.
        """
        limit = BLOCK_BYTES + MAX_WORD_BYTES + 32 * self.size
        ended = False
        while not ended:
            more = self._source.read(BLOCK_BYTES)
            ended = not more
            block = self._rest + more
            if ended and block and not block.endswith(b"\n"):
                block += b"\n"
            cut = block.rfind(b"\n") + 1
            self._rest = block[cut:]
            if cut:
                yield self._read(block[:cut], choose)
            if len(self._rest) > limit:
                raise FormatError(
                    f"{self._source.name}:{self._line}: expected a line of at most {limit} bytes, got more"
                )

    def _read(self, block: bytes, choose: Choose) -> Rows:
        """Return the vectors of whole lines."""
        lines = _Lines(block, self.size)
        first_line, self._line = self._line, self._line + len(lines.ends)
        words = lines.words()
        wanted: npt.NDArray[np.intp] = np.fromiter(choose(words), np.intp)
        places: list[int] = wanted.tolist()
        values = lines.numbers(lines.regular[wanted])
        keys = [words[i] for i in places]
        at = lines.regular[wanted] + first_line
        good = finite_rows(values) & _are_text(keys)
        faults = [
            Fault(int(at[i]), _what_is_wrong(lines.text_of(int(lines.regular[wanted[i]])), self.size))
            for i in np.flatnonzero(~good).tolist()
        ]
        if not good.all():
            keys = [key for key, is_good in zip(keys, good.tolist(), strict=True) if is_good]
            values, at = values[good], at[good]
        rows = Rows(keys, values, at, faults, len(lines.ends), self._line)
        return rows if lines.all_regular else self._with_irregular(rows, lines, first_line, choose)

    def _with_irregular(self, rows: Rows, lines: _Lines, first_line: int, choose: Choose) -> Rows:
        """Add lines whose word has spaces in it, as in GloVe's vectors of web pages, and faults for the others."""
        keys, faults = list(rows.keys), list(rows.faults)
        more_values: list[Array] = []
        more_at: list[int] = []
        total = rows.total
        for i in lines.irregular.tolist():
            line = lines.text_of(i)
            fields = line.split(b" ")
            if not line.strip():
                total -= 1
                continue
            fault = _what_is_wrong(line, self.size)
            word = b" ".join(fields[: -self.size])
            if fault:
                faults.append(Fault(i + first_line, fault))
            elif choose([word]):
                keys.append(word)
                more_values.append(np.array([float(field) for field in fields[-self.size :]], np.float32))
                more_at.append(i + first_line)
        faults.sort()
        if not more_values:
            return rows._replace(faults=faults, total=total)
        at = np.concatenate([rows.lines, more_at])
        order = np.argsort(at)
        values: Array = np.concatenate([rows.values, np.stack(more_values)])[order]
        return Rows([keys[i] for i in order.tolist()], values, at[order], faults, total, rows.next_line)


class _Lines:
    """Where the words and numbers of some lines are.

    Attributes:
        ends: The newline of each line.
        regular: The lines of a word and as many numbers as there should be.
        irregular: The others.
        all_regular: Whether there are no others.
    """

    def __init__(self, block: bytes, size: int) -> None:
        self._block = b"0" * MARGIN + block
        self._size = size
        self._text: Bytes = np.frombuffer(self._block, np.uint8)
        separators = np.flatnonzero(self._text <= _SPACE)
        characters = self._text.take(separators)
        rows = len(separators) // (size + 1)
        if (
            len(separators) == rows * (size + 1)
            and np.count_nonzero(characters == _SPACE) == rows * size
            and (characters[size :: size + 1] == _NEWLINE).all()
        ):  # nearly always
            last = np.arange(size, len(separators), size + 1)
        else:
            separators, last = self._find_separators(block)
        self._separators = separators
        self.ends = separators[last]
        self._starts = np.concatenate([[MARGIN], self.ends[:-1] + 1])
        self._first = np.concatenate([[0], last[:-1] + 1])
        good = (last - self._first == size) & (separators[self._first] > self._starts)
        self.all_regular = bool(good.all())
        self.regular = np.flatnonzero(good)
        self.irregular = np.flatnonzero(~good)

    def _find_separators(self, block: bytes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the spaces that end a word or a number, and the newlines, and which of them are newlines."""
        self._block = b"0" * MARGIN + block.replace(b"\r\n", b"\n").replace(b"\t", b" ")
        self._text = np.frombuffer(self._block, np.uint8)
        separators = np.flatnonzero((self._text == _SPACE) | (self._text == _NEWLINE))
        is_end = self._text.take(separators) == _NEWLINE
        idle = ~is_end
        idle[:-1] &= np.diff(separators) == 1  # a space before another, or before the end of its line
        return separators[~idle], np.flatnonzero(is_end[~idle])

    def words(self) -> list[bytes]:
        """Return the words of regular lines."""
        starts: list[int] = self._starts[self.regular].tolist()
        stops: list[int] = self._separators[self._first[self.regular]].tolist()
        return [self._block[start:stop].rstrip(b" ") for start, stop in zip(starts, stops, strict=True)]

    def numbers(self, lines: npt.NDArray[np.intp]) -> Array:
        """Return the numbers of some regular lines, float32, shape (len(lines), D); nan for what is no number."""
        if self.all_regular and len(lines) == len(self.ends):
            places = self._separators.reshape(-1, self._size + 1)
        else:
            places = self._separators[self._first[lines, None] + np.arange(self._size + 1)]
        found = parse(self._text, (places[:, :-1] + 1).ravel(), places[:, 1:].ravel())
        with np.errstate(over="ignore"):  # what is too large becomes inf, and is refused
            values: Array = found.astype(np.float32).reshape(len(lines), self._size)
        return values

    def text_of(self, line: int) -> bytes:
        """Return a line without its end and the spaces before that."""
        return self._block[self._starts[line] : self.ends[line]].rstrip(b" ")


def finite_rows(values: Array) -> npt.NDArray[np.bool_]:
    """Which rows have no nan and no inf."""
    finite: npt.NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(values), axis=1)
    return finite


def _are_text(words: list[bytes]) -> npt.NDArray[np.bool_]:
    """Whether words are UTF-8."""
    try:
        b"\n".join(words).decode()
    except UnicodeDecodeError:
        return np.array([is_text(word) for word in words], np.bool_)
    return np.ones(len(words), np.bool_)


def is_text(word: bytes) -> bool:
    """Whether a word is UTF-8."""
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True


def _what_is_wrong(line: bytes, size: int) -> str:
    """Return what was expected of a line and what came; empty when it is a word, maybe with spaces, and its numbers."""
    fields = line.split(b" ")
    numbers = fields[-size:]
    word = fields[:-size]
    if len(fields) <= size or not fields[0] or any(map(_is_number, word[1:])):
        return f"expected a word and {size} numbers, got {len(line.split())} fields in {line[:60]!r}"
    if len(b" ".join(word)) > MAX_WORD_BYTES:
        return f"expected a word of at most {MAX_WORD_BYTES} bytes, got more"
    if not is_text(b" ".join(word)):
        return f"expected a word in UTF-8, got {b' '.join(word)[:60]!r}"
    for field in numbers:
        if not _is_number(field):
            named = word[0][:60].decode(errors="replace")
            return f"expected {size} finite numbers of float32, got {field[:40]!r} for {named!r}"
    return ""


def _is_number(field: bytes) -> bool:
    try:
        return b"_" not in field and abs(float(field)) <= 3.4028235677973366e38
    except ValueError:
        return False
