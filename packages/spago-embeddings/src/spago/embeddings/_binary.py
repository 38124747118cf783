"""Vectors as word2vec writes them with `-binary 1`: a header, then for each word its text, a space, and its numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spago.embeddings._files import Source
from spago.embeddings._text import (
    BLOCK_BYTES,
    MAX_WORD_BYTES,
    Choose,
    Fault,
    Rows,
    check_size,
    finite_rows,
    header_of,
    is_text,
)
from spago.mat import Array, FormatError

_FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")
_LONGEST_HEADER = 64


class BinaryVectors:
    """The vectors of a binary file, block by block.

    Args:
        source: The file, at its beginning.

    Attributes:
        size: D.
        promised: How many vectors the header says there are.

    Raises:
        FormatError: It is a file of another format, or promises more than it has room for.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rest = source.read(BLOCK_BYTES)
        if self._rest.startswith(_FASTTEXT_MAGIC):
            raise FormatError(f"{source.name}: expected vectors, got a model of fastText; export its vectors as .vec")
        line, newline, _ = self._rest[:_LONGEST_HEADER].partition(b"\n")
        header = header_of(line)
        if header is None or not newline:
            raise FormatError(f"{source.name}: expected a header, count and size, got {line[:40]!r}; is it binary?")
        self.promised: int | None = header[0]
        self.size = check_size(header[1], source.name)
        self._rest = self._rest[len(line) + 1 :]
        self._number = 1
        needed = header[0] * (4 * self.size + 1)
        if source.is_plain and needed > source.size:
            raise FormatError(
                f"{source.name}: expected at least {needed} bytes for {header[0]} vectors of {self.size}, got "
                f"{source.size}; is the file complete?"
            )

    def blocks(self, choose: Choose) -> Iterator[Rows]:
        """Yield the vectors of the words that are chosen.

        Raises:
            FormatError: The file ends within a vector, or goes on behind the last.
        """
        left = self.promised or 0
        while left:
            more = self._source.read(BLOCK_BYTES)
            block = self._rest + more
            rows, taken, count = self._read(block, left, choose)
            if not more and count < left:
                raise FormatError(
                    f"{self._source.name}: expected {left - count} more vectors from number {self._number} on, got the "
                    "end of the file; is it complete?"
                )
            self._rest = block[taken:]
            left -= count
            yield rows
        if (self._rest + self._source.read(16)).strip():
            raise FormatError(f"{self._source.name}: expected the file to end after {self.promised} vectors, got more")

    def _read(self, block: bytes, most: int, choose: Choose) -> tuple[Rows, int, int]:
        """Return the vectors that are whole in a block, how many bytes of it they take, and how many they are."""
        length = 4 * self.size
        words: list[bytes] = []
        starts: list[int] = []
        position = 0
        while len(words) < most:
            space = block.find(b" ", position, position + MAX_WORD_BYTES + 2)
            if space < 0 and len(block) - position > MAX_WORD_BYTES + 1:
                raise FormatError(
                    f"{self._source.name}: expected a word of at most {MAX_WORD_BYTES} bytes for vector "
                    f"{self._number + len(words)}, got more; is the file damaged?"
                )
            if space < 0 or space + 1 + length > len(block):
                break
            words.append(block[position:space].lstrip(b"\n"))  # most writers end a vector with a newline
            starts.append(space + 1)
            position = space + 1 + length
        first, self._number = self._number, self._number + len(words)
        return self._chosen(block, words, starts, first, choose), position, len(words)

    def _chosen(self, block: bytes, words: list[bytes], starts: list[int], first: int, choose: Choose) -> Rows:
        wanted = list(choose(words))
        length = 4 * self.size
        joined = b"".join([block[starts[i] : starts[i] + length] for i in wanted])
        values: Array = np.frombuffer(joined, "<f4").astype(np.float32).reshape(len(wanted), self.size)
        finite: list[bool] = finite_rows(values).tolist()
        keep: list[int] = []
        faults: list[Fault] = []
        for row, (i, is_finite) in enumerate(zip(wanted, finite, strict=True)):
            if not is_finite:
                faults.append(
                    Fault(first + i, f"expected {self.size} finite numbers, got others for {words[i][:60]!r}")
                )
            elif not words[i] or not is_text(words[i]):
                faults.append(Fault(first + i, f"expected a word in UTF-8, got {words[i][:60]!r}"))
            else:
                keep.append(row)
        keys = [words[wanted[row]] for row in keep]
        lines = np.array([first + wanted[row] for row in keep], np.int64)
        return Rows(keys, values[keep], lines, faults, len(words), first + len(words))


def looks_binary(start: bytes) -> bool:
    """Whether what a file begins with is rather a header and binary numbers than text."""
    line, _, rest = start.partition(b"\n")
    return header_of(line) is not None and bool(rest.translate(None, bytes(range(9, 256))))
