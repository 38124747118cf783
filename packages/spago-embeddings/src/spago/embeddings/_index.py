"""A copy of all vectors of a store in one file, in the order of their keys, for questions about all of them.

A store on disk gives its vectors one record at a time; the copy is read at the speed of memory. It is made with the
first question that reads the whole store, belongs to one revision of it, and is never used with another. Its blocks
carry checksums: where one is wrong the copy is thrown away, and the store is read from there on.

    header   MAGIC, bytes of the rest (4), then checksum and JSON: revision, count, size, dtype
    blocks   rows (4 bytes), bytes of keys (4), sum of the 64-bit words of the vectors (8), CRC-32 of all the rest (4)
             vectors, padded to 8 bytes; their lengths; where each key ends (4 each); the keys

All numbers are little-endian. The file is not forced to disk: the checksums tell what a machine that died left of it.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Protocol, Self, overload, runtime_checkable
from zlib import crc32

import numpy as np
import numpy.typing as npt

from spago.embeddings._chunks import chunks
from spago.embeddings._header import FORMAT, pack, unpack
from spago.embeddings._store import Store
from spago.mat import Array, FormatError

_MAGIC = b"spagovec"
_LENGTH = struct.Struct("<I")
_BLOCK = struct.Struct("<IIQ")
_CRC = struct.Struct("<I")
_BLOCK_BYTES = 1 << 20  # of vectors: they stay in a processor's cache while they are verified and multiplied
_MIN_BYTES = 16 << 20  # of vectors: a smaller store is read in a tenth of a second


@runtime_checkable
class Indexable(Protocol):
    """A store that has room for an index."""

    @property
    def revision(self) -> str:
        """A text that no other content of any store has."""
        ...

    @property
    def index_path(self) -> Path:
        """Where to keep the index."""
        ...


class Keys(Sequence[bytes]):
    """Keys that lie one behind the other; each is cut out when it is asked for."""

    def __init__(self, content: memoryview, ends: npt.NDArray[np.uint32], start: int = 0) -> None:
        self._content = content
        self._ends = ends
        self._start = start

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Keys: ...
    def __getitem__(self, place: int | slice) -> bytes | Keys:
        """Return a key, or those from one place to another."""
        if isinstance(place, slice):
            first, last, _ = place.indices(len(self))
            return Keys(self._content, self._ends[first:last], self._begin(first))
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._content[self._begin(place) : int(self._ends[place])].tobytes()

    def _begin(self, place: int) -> int:
        return int(self._ends[place - 1]) if place else self._start


class VectorBlock(NamedTuple):
    """Some of the vectors of a store; they are overwritten when the next ones are asked for.

    Attributes:
        keys: N keys in byte order.
        values: Their vectors, shape (N, D).
        lengths: Their Euclidean lengths, 1 for zeros, shape (N,).
    """

    keys: Sequence[bytes]
    values: Array
    lengths: Array


def vector_blocks(store: Store) -> Iterator[VectorBlock]:
    """Yield all vectors of a store in the byte order of their keys, from its index where that is up to date."""
    if not isinstance(store, Indexable) or _bytes_of(store) < _MIN_BYTES:
        yield from _from_store(store)
        return
    last, damaged = b"", False
    try:
        index = _Index(store.index_path, store.revision)
    except (OSError, _UselessError):
        with _NewIndex(store.index_path, store) as new:
            for block in _from_store(store):
                new.add(block)
                yield block
        return
    with index:
        try:
            for block in index.blocks():
                yield block
                last = block.keys[len(block.keys) - 1] + b"\0"
        except (OSError, _UselessError):
            damaged = True
    if damaged:
        store.index_path.unlink(missing_ok=True)
        yield from _from_store(store, last)


def _bytes_of(store: Store) -> int:
    """Return the bytes of all vectors of a store."""
    return len(store) * int(store.attributes.get("size", 0)) * _dtype_of(store).itemsize


def _dtype_of(store: Store) -> np.dtype[Any]:
    return np.dtype(str(store.attributes.get("dtype", "float32")))


def _from_store(store: Store, start: bytes = b"") -> Iterator[VectorBlock]:
    rows = max(_BLOCK_BYTES * len(store) // max(_bytes_of(store), 1), 1)
    for keys, values in chunks(store, rows, start):
        lengths: Array = np.sqrt(np.einsum("nd,nd->n", values, values))
        lengths[lengths == 0] = 1
        yield VectorBlock(keys, values, lengths)


class _UselessError(Exception):
    """An index is damaged, or of another revision."""


class _Index:
    """An index, open for reading."""

    def __init__(self, path: Path, revision: str) -> None:
        self._file = path.open("rb", buffering=0)
        try:
            self._left = path.stat().st_size
            self._buffer = memoryview(bytearray())
            start = self._read(len(_MAGIC) + _LENGTH.size).tobytes()
            if not start.startswith(_MAGIC):
                raise _UselessError
            fields = unpack(self._read(_LENGTH.unpack_from(start, len(_MAGIC))[0]).tobytes(), path)
            if fields["revision"] != revision:
                raise _UselessError
            self._count: int = fields["count"]
            self._size: int = fields["size"]
            self._dtype = np.dtype(fields["dtype"])
        except FormatError as error:
            self._file.close()
            raise _UselessError from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def blocks(self) -> Iterator[VectorBlock]:
        """Yield all blocks; _UselessError when one is damaged."""
        done = 0
        while done < self._count:
            block = self._next()
            done += len(block.keys)
            yield block

    def _next(self) -> VectorBlock:
        head = self._read(_BLOCK.size + _CRC.size).tobytes()
        rows, key_bytes, total = _BLOCK.unpack_from(head)
        item = self._dtype.itemsize
        vectors = rows * self._size * item
        lengths = vectors + -vectors % 8
        ends = lengths + rows * item
        keys = ends + 4 * rows
        content = self._read(keys + key_bytes)
        checksum = crc32(content[lengths:], crc32(head[: _BLOCK.size]))
        if not rows or checksum != _CRC.unpack_from(head, _BLOCK.size)[0] or _sum(content[:lengths]) != total:
            raise _UselessError
        return VectorBlock(
            Keys(content[keys:], np.frombuffer(content[ends:keys], "<u4")),
            np.frombuffer(content[:vectors], self._dtype).reshape(rows, self._size),
            np.frombuffer(content[lengths:ends], self._dtype),
        )

    def _read(self, count: int) -> memoryview:
        """Return so many bytes, until the next ones are read; the memory is taken when the file has them."""
        if count > self._left:
            raise _UselessError
        if count > len(self._buffer):
            self._buffer = memoryview(bytearray(count))
        content = self._buffer[:count]
        if self._file.readinto(content) != count:
            raise _UselessError
        self._left -= count
        return content


def _sum(content: memoryview | bytes) -> int:
    """Return the sum of 64-bit words modulo 2^64: every changed word changes it, and beside reading it is free."""
    return int(np.add.reduce(np.frombuffer(content, "<u8"), dtype=np.uint64))


_being_made: set[Path] = set()
_being_made_lock = threading.Lock()


class _NewIndex:
    """An index on its way; it takes the place of the old one when the block ends and the store is as it was.

    A full disk, or another thread that is making the same one, ends it quietly: it is not needed.
    """

    def __init__(self, path: Path, store: Any) -> None:
        self._path = path
        self._temporary = path.with_name(f"{path.name}.tmp")
        self._store = store
        self._revision: str = store.revision
        self._dtype = _dtype_of(store).newbyteorder("<")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        with _being_made_lock:
            self._mine = self._path not in _being_made
            _being_made.add(self._path)
        if self._mine:
            fields = {"size": self._store.attributes["size"], "dtype": self._dtype.str, "count": len(self._store)}
            header = pack({"format": FORMAT, "revision": self._revision, **fields})
            with suppress(OSError):
                self._file = self._temporary.open("wb")
            self._write(_MAGIC, _LENGTH.pack(len(header)), header)
        return self

    def add(self, block: VectorBlock) -> None:
        """Add vectors."""
        vectors = block.values.astype(self._dtype, copy=False).tobytes()
        vectors += bytes(-len(vectors) % 8)
        ends = np.cumsum([len(key) for key in block.keys]).astype("<u4").tobytes()
        rest = block.lengths.astype(self._dtype, copy=False).tobytes() + ends + b"".join(block.keys)
        head = _BLOCK.pack(len(block.keys), sum(map(len, block.keys)), _sum(vectors))
        self._write(head, _CRC.pack(crc32(rest, crc32(head))), vectors, rest)

    def _write(self, *parts: bytes) -> None:
        try:
            if self._file is not None:
                self._file.writelines(parts)
        except OSError:
            self._close()

    def _close(self) -> bool:
        """Close the file and return whether all is in it."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError:
            return False
        return file is not None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._mine:
            return
        with suppress(OSError):
            if self._close() and kind is None and self._store.revision == self._revision:
                self._temporary.replace(self._path)
            self._temporary.unlink(missing_ok=True)
        with _being_made_lock:
            _being_made.discard(self._path)
