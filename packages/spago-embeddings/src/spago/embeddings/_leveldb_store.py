"""Named stores in one LevelDB database."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spago.embeddings._disk import DiskRepository, DiskStore, OpenDatabases
from spago.embeddings._leveldb import MARKER, Database, LevelDBHeader, exists, get_many
from spago.embeddings._marker import Marker
from spago.embeddings._store import (
    Attributes,
    DamagedStoreError,
    StoreError,
    StoreLockedError,
    as_batch,
)

_CHUNK = 256  # records that an iterator reads at a time
_CLEAR_CHUNK = 10_000  # records that `clear` removes in one batch

_databases: OpenDatabases[Database] = OpenDatabases()


def _acquire(path: Path, create: bool) -> Database:
    """Return the open database of the folder; the folder is known by its device and inode, not by its name."""
    made = _prepare(path, create)
    try:
        return _databases.acquire(_identity(path), lambda: Database(path))
    except StoreLockedError:
        raise
    except BaseException:
        if made and not exists(path):
            shutil.rmtree(path, ignore_errors=True)
        raise


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def is_open(path: Path) -> bool:
    """Whether this process has the database of the folder open."""
    return _identity(path) in _databases


def _prepare(path: Path, create: bool) -> bool:
    """Make sure that path can be opened, and return whether the folder was made for that.

    Raises:
        StoreError: When there is no store and none may be made.
        DamagedStoreError: When there is a store without its most important file.
    """
    if exists(path):
        return False
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path}: expected a folder, got a file; choose another path")
    made = not path.exists()
    # A marker of 0 without a database: its making was cut short, and nothing was ever acknowledged.
    acknowledged = Marker(path / MARKER).read()
    if acknowledged or (acknowledged is None and not made and any(path.glob("MANIFEST-*"))):
        raise DamagedStoreError(f"{path}: expected a file CURRENT in the store, found none; repair the store")
    if not create:
        raise StoreError(f"{path}: expected a store, found none; is the path right?")
    if acknowledged is None and not made and any(path.iterdir()):
        raise StoreError(f"{path}: expected an empty folder or a store, got other files; choose another path")
    path.mkdir(parents=True, exist_ok=True)
    if acknowledged is None:
        Marker(path / MARKER).create()
    return made


class LevelDBRepository(DiskRepository[Database]):
    """Named stores in one LevelDB database, a folder on disk.

    One process at a time can have it open. In that process it may be opened as often as one likes.

    Args:
        path: The folder.
        read_only: Refuse writing. LevelDB needs a writable folder even so, and the lock.
        create: Make a new database where there is none; its parent folders too. Never with read_only.
        sync: Wait after each batch until the disk has it. Without, acknowledged batches survive the death of the
            process, and the last ones may be lost when the machine dies; that they are is noticed at the next opening.

    Raises:
        StoreLockedError: Another process has it open.
        DamagedStoreError: Its files are damaged, or acknowledged batches are gone.
        StoreError: There is none, and none may be made.
        ModuleNotFoundError: No binding of LevelDB is installed.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with LevelDBRepository(folder) as repository:
        ...     repository.store("words").put(b"ev", b"house")
        >>> with LevelDBRepository(folder, read_only=True) as repository:
        ...     repository.store("words").get(b"ev")
        b'house'
    """

    def __init__(
        self, path: str | os.PathLike[str], *, read_only: bool = False, create: bool = True, sync: bool = False
    ) -> None:
        database = _acquire(Path(os.path.realpath(path)), create and not read_only)
        super().__init__(path, database, _databases, read_only=read_only, sync=sync)

    def store(self, name: str, *, read_only: bool = False) -> LevelDBStore:
        """Return the store of that name; see `Repository.store`."""
        return LevelDBStore(self, name, self._refuses_writing(name, read_only))

    def names(self) -> list[str]:
        """Return the names of the stores that have been written, in the byte order of their UTF-8."""
        with (
            self.open_database() as db,
            db.iterator(prefix=b"h", include_value=False, verify_checksums=True) as iterator,
        ):
            return [key[1:].decode() for key in iterator]

    def _drop(self, name: str) -> None:
        LevelDBStore(self, name, read_only=False).clear()
        database = self.open_database()
        database.forget(database.header(name), sync=self.sync)


class LevelDBStore(DiskStore[Database]):
    """One store of a `LevelDBRepository`; see `Store`."""

    _header: LevelDBHeader

    def set_attributes(self, attributes: Attributes) -> None:
        """Replace the attributes."""
        self._write({}, attributes=attributes)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value, or None, for each key.

        Raises:
            DamagedRecordError: When the block of one of them is damaged.
        """
        header = self._header
        with self._database() as db:
            version = header.version
            records = get_many(db, header.prefix, keys, self._repository.path)
        header.remember((key for key, record in zip(keys, records, strict=True) if record is not None), version)
        return records

    def put_many(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Write all pairs in one atomic batch."""
        self._write(as_batch(items))

    def put_new(self, items: Iterable[tuple[bytes, bytes]], version: int) -> None:
        """Do as `put_many` with keys of which none was there at that version: it is not looked up which are new."""
        self._write(as_batch(items), absent_at=version)

    def delete_many(self, keys: Iterable[bytes]) -> int:
        """Remove all keys in one atomic batch and return how many were there."""
        return self._write({}, keys)

    def clear(self) -> None:
        """Remove all records; the attributes stay."""
        keys = self.keys()
        while chunk := list(itertools.islice(keys, _CLEAR_CHUNK)):
            self.delete_many(chunk)

    def keys(self, start: bytes = b"") -> Iterator[bytes]:
        """Iterate over the keys ≥ start in byte order."""
        length = len(self._header.prefix)
        for key in self._iterate(start, include_value=False):
            yield key[length:]

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys ≥ start and their values in byte order."""
        length = len(self._header.prefix)
        for key, value in self._iterate(start, include_value=True):
            yield key[length:], value

    def _iterate(self, start: bytes, include_value: bool) -> Iterator[Any]:
        prefix = self._header.prefix
        with self._database() as db:
            iterator = db.iterator(
                start=prefix + start,
                stop=prefix[:-1] + b"\1",
                include_value=include_value,
                verify_checksums=True,
                fill_cache=False,
            )
        chunk: list[Any] = []
        with contextlib.closing(iterator):
            while True:
                # The database is held while reading a chunk, never while the caller works with it.
                with self._database() as now:
                    if now is not db:
                        raise StoreError(f"{self._repository.path}: the store was reopened meanwhile; iterate again")
                    chunk = list(itertools.islice(iterator, _CHUNK))
                yield from chunk
                if len(chunk) < _CHUNK:
                    return

    def _write(
        self,
        puts: dict[bytes, bytes],
        deletes: Iterable[bytes] = (),
        attributes: Attributes | None = None,
        absent_at: int = -1,
    ) -> int:
        self._check_writable()
        sync = self._repository.sync
        return self._database().write(self._header, puts, deletes, attributes, sync=sync, absent_at=absent_at)
