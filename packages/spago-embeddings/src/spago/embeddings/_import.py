"""Reading files of vectors into a store."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.embeddings._array_files import ArrayVectors
from spago.embeddings._binary import BinaryVectors, looks_binary
from spago.embeddings._files import Progress, Source, open_source, reporting, stem_of
from spago.embeddings._leveldb_store import LevelDBStore
from spago.embeddings._record import encode
from spago.embeddings._seen import SeenKeys
from spago.embeddings._sqlite import SQLiteStore
from spago.embeddings._store import Store
from spago.embeddings._text import Choose, Fault, Rows, TextVectors
from spago.embeddings._vectors import agree, note
from spago.mat import Array, FormatError

Format: TypeAlias = Literal["text", "glove", "word2vec", "binary", "arrays"]
"""How vectors are written: text with or without a header, text without, text with, binary, array files."""

OnError: TypeAlias = Literal["raise", "skip"]

FORMATS: tuple[Format, ...] = ("text", "glove", "word2vec", "binary", "arrays")
MANY = 1000
"""Faults and duplicates that a report lists; more are only counted."""

_STATE = "import"  # the attribute of a store that says how far an import is
_ROWS_BETWEEN_NOTES = 20_000


@dataclass
class ImportReport:
    """What an import has done.

    Attributes:
        lines: Vectors that the file has, good and bad.
        written: Vectors that are in the store now.
        left_out: Vectors whose words were not wanted.
        duplicates: Vectors whose word had come before in the file; the first one counts.
        malformed: Vectors that could not be read.
        promised: How many vectors the header of the file said there are; None without a header.
        faults: The first of the malformed ones with their lines.
        duplicate_lines: The lines of the first duplicates.
        resumed_at: The line at which an interrupted import went on; 0 for a new one. Lists begin there.
    """

    lines: int = 0
    written: int = 0
    left_out: int = 0
    duplicates: int = 0
    malformed: int = 0
    promised: int | None = None
    faults: list[Fault] = field(default_factory=list[Fault])
    duplicate_lines: list[int] = field(default_factory=list[int])
    resumed_at: int = 0


class _Reader(Protocol):
    size: int
    promised: int | None

    def blocks(self, choose: Choose) -> Iterator[Rows]: ...


def import_vectors(
    path: str | os.PathLike[str],
    store: Store,
    *,
    format: Format | None = None,
    member: str | None = None,
    vocabulary: str | os.PathLike[str] | None = None,
    tensor: str | None = None,
    words: Collection[str] | None = None,
    limit: int | None = None,
    dtype: npt.DTypeLike = np.float32,
    on_error: OnError = "raise",
    progress: Progress = None,
) -> ImportReport:
    r"""Read the vectors of a file into a store.

    The file is read in blocks: memory does not grow with it, but for 8 bytes a word, and the words of array files.
    Words are kept byte by byte. Those that the store has already get the new vector, without an optimizer's state.

    An import that was interrupted goes on where it was when it is called again with the same file and store; the store
    has what was written so far. When it fails at a malformed line, the same holds once the line is mended in a file of
    the same length, or with `on_error="skip"`.

    Args:
        path: The file: text of word2vec, GloVe or fastText, binary of word2vec, any of them in gzip or zip; .npy, .npz
            or .safetensors.
        store: Where vectors go, empty or with vectors of the same size and dtype.
        format: How the file is written; None finds out. "glove": text without a header. "word2vec": text with one.
            "binary". "arrays".
        member: Which file of a zip file.
        vocabulary: For arrays, a text file with one word a line; see `ArrayVectors`.
        tensor: For arrays, the name of the array.
        words: Only vectors of these words are read.
        limit: How many vectors to look at; those of frequent words come first in most files.
        dtype: float32 or float64, of a store that is new. Numbers have the precision of float32 in any case.
        on_error: "raise" or "skip" malformed lines; the report has their numbers.
        progress: A function that is told how many bytes of how many are done, or True for a bar by tqdm.

    Raises:
        FormatError: A line is malformed, the file is damaged or of another format, or it has another number of vectors
            than its header says.
        ShapeError: The store has vectors of another size.
        StoreError: The store cannot write.

    Examples:
        >>> import pathlib, tempfile
        >>> from spago import embeddings
        >>> file = pathlib.Path(tempfile.mkdtemp(), "words.txt")
        >>> _ = file.write_text("ev 1 2\nat 3 4\nev 5 6\n")
        >>> store = embeddings.MemoryRepository().store("words")
        >>> report = embeddings.import_vectors(file, store)
        >>> report.written, report.duplicates, report.duplicate_lines
        (2, 1, [3])
        >>> embeddings.Model(store).get("ev")
        array([1., 2.], dtype=float32)
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f'import_vectors: expected on_error "raise" or "skip", got {on_error!r}')
    if format not in (None, *FORMATS):
        raise ValueError(f"import_vectors: expected a format of {', '.join(FORMATS)}, got {format!r}")
    with ExitStack() as stack:
        source: Source | None = None
        reader: _Reader
        if format == "arrays" or (format is None and stem_of(path).endswith((".npy", ".npz", ".safetensors"))):
            reader = ArrayVectors(path, vocabulary, tensor)
        else:
            source = stack.enter_context(open_source(path, member))
            reader = _reader(source, format)
        tell = stack.enter_context(reporting(progress, "B" if source else "words", Path(path).name))
        name = source.name if source else str(path)
        identity = _identity(path, member)
        job = _Import(store, reader, name, words=words, on_error=on_error, dtype=dtype, identity=identity)
        for rows in reader.blocks(job.choose):
            stop = limit is not None and rows.next_line - job.first_line >= limit
            job.take(_until(rows, job.first_line + (limit or 0)) if stop else rows)
            tell(*((source.done(), source.size) if source else (job.report.lines, reader.promised or 0)))
            if stop:
                break
        return job.finish(whole=limit is None)


def _reader(source: Source, format: Format | None) -> _Reader:
    if format == "binary" or (format is None and looks_binary(source.peek(8192))):
        return BinaryVectors(source)
    return TextVectors(source, {"glove": False, "word2vec": True}.get(format or ""))


def _identity(path: str | os.PathLike[str], member: str | None) -> str:
    """Return what tells a file from others, for resuming; one that is mended in place stays the same."""
    file = Path(os.path.realpath(path))
    return f"{file}:{file.stat().st_size}" + (f":{member}" if member else "")


def _until(rows: Rows, line: int) -> Rows:
    """Return those of the rows that come before a line."""
    count = int(np.searchsorted(rows.lines, line))
    faults = [fault for fault in rows.faults if fault.line < line]
    looked_at = rows.total - (rows.next_line - line)
    return Rows(rows.keys[:count], rows.values[:count], rows.lines[:count], faults, looked_at, line)


class _Import:
    """One import on its way.

    Attributes:
        report: What has been done.
        first_line: The number of the first line with a vector.
    """

    def __init__(
        self,
        store: Store,
        reader: _Reader,
        name: str,
        *,
        words: Collection[str] | None,
        on_error: OnError,
        dtype: npt.DTypeLike,
        identity: str,
    ) -> None:
        known = store.attributes.get("dtype")
        size, self._dtype = agree(store, reader.size, None if known else dtype)
        note(store, size, self._dtype)
        self._store = store
        self._name = name
        self._wanted = None if words is None else {word.encode() for word in words}
        self._skip = on_error == "skip"
        self._identity = identity
        self._seen = SeenKeys()
        self.report = ImportReport(promised=reader.promised)
        has_header = reader.promised is not None and isinstance(reader, TextVectors)
        self.first_line = 2 if has_header else 1
        self._next_line = self.first_line
        self._noted_line = self.first_line
        self._fresh = len(store) == 0  # what was not seen in the file is not in the store
        self._resume()
        self._version = store.version

    def _resume(self) -> None:
        state: dict[str, Any] = json.loads(str(self._store.attributes.get(_STATE, "{}")))
        if state.get("file") == self._identity:
            counts = state["counts"]
            self.report = ImportReport(**(asdict(self.report) | counts | {"resumed_at": state["line"]}))
            self._fresh = False  # words behind the noted line may have been written

    def choose(self, keys: list[bytes]) -> Sequence[int]:
        """Return which words are wanted."""
        if self._wanted is None:
            return range(len(keys))
        wanted = self._wanted
        return [i for i, key in enumerate(keys) if key in wanted]

    def take(self, rows: Rows) -> None:
        """Write what is new of the rows."""
        report = self.report
        done = report.resumed_at
        if rows.next_line <= done:
            self._take_note_of(rows.keys)
        else:
            old = int(np.searchsorted(rows.lines, done))
            if old:
                self._take_note_of(rows.keys[:old])
            faults = [fault for fault in rows.faults if fault.line >= done]
            self._refuse(faults)
            report.malformed += len(faults)
            report.faults += faults[: MANY - len(report.faults)]
            fresh = self._new(rows, old)
            self._write([rows.keys[i] for i in fresh], rows.values[fresh])
            report.lines += rows.total - old
            report.left_out += rows.total - len(faults) - len(rows.keys)
        self._next_line = rows.next_line
        if self._next_line - self._noted_line >= _ROWS_BETWEEN_NOTES and self._next_line > done:
            self._note()

    def _refuse(self, faults: list[Fault]) -> None:
        if faults and not self._skip:
            self._note()
            fault = faults[0]
            raise FormatError(f'{self._name}:{fault.line}: {fault.message}; mend it, or import with on_error="skip"')

    def _take_note_of(self, keys: list[bytes]) -> None:
        """Note the words that an import has written before it was interrupted."""
        self._seen.add([key for key, value in zip(keys, self._store.get_many(keys), strict=True) if value is not None])

    def _new(self, rows: Rows, start: int) -> list[int]:
        """Return which of the rows from start on have words that did not come before."""
        keys = rows.keys[start:] if start else rows.keys
        before = self._seen.add(keys)
        if not before:
            return list(range(start, len(rows.keys)))
        # That a word was seen is known by 64 bits alone: whether it really was, the store knows.
        values = self._store.get_many([keys[i] for i in before])
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        duplicates = {i for i, value in zip(before, values, strict=True) if value is not None or first[keys[i]] < i}
        self.report.duplicates += len(duplicates)
        lines = [int(rows.lines[start + i]) for i in sorted(duplicates)]
        self.report.duplicate_lines += lines[: MANY - len(self.report.duplicate_lines)]
        return [start + i for i in range(len(keys)) if i not in duplicates]

    def _write(self, keys: list[bytes], values: Array) -> None:
        if keys:
            records = zip(keys, encode(keys, values.astype(self._dtype, copy=False)), strict=True)
            if self._fresh and isinstance(self._store, (LevelDBStore, SQLiteStore)):
                self._store.put_new(records, self._version)
            else:
                self._store.put_many(records)
            self._version += 1
            self.report.written += len(keys)

    def _note(self) -> None:
        """Note in the store how far the import is."""
        report = self.report
        names = ("lines", "written", "left_out", "duplicates", "malformed")
        counts = {name: getattr(report, name) for name in names}
        line = max(self._next_line, report.resumed_at)
        state = {"file": self._identity, "line": line, "counts": counts}
        self._store.set_attributes(self._store.attributes | {_STATE: json.dumps(state)})
        self._version += 1
        self._noted_line = self._next_line

    def finish(self, whole: bool) -> ImportReport:
        """Compare with what the header promised, and return the report."""
        report = self.report
        if whole and not self._skip and report.promised not in (None, report.lines):
            self._note()
            raise FormatError(
                f"{self._name}: expected {report.promised} vectors as the header says, got {report.lines}; "
                'is the file complete? on_error="skip" takes what is there'
            )
        attributes = self._store.attributes
        if attributes.pop(_STATE, None) is not None:
            self._store.set_attributes(attributes)
        return report
