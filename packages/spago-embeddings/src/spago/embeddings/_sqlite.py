"""Stores in an SQLite database: where LevelDB is not at hand, from the standard library alone.

What SQLite leaves open is closed here:

- Of a write-ahead log whose end is damaged or missing it drops the end without a word. A file beside the database holds
  the number of the last acknowledged batch; a database that is behind it does not open.
- Several processes may write. A store would not notice, so the database is held by one process, with the lock of a
  second, empty database.
- A database that was open during a fork may not be used in the child. A store works in the process that opened it.

SQLite keeps no checksums of its pages. The records of a model have their own: damaged numbers are noticed. But a bit
that flips in a key can hide a word, which `check` notices.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spago.embeddings._disk import DiskRepository, DiskStore, OpenDatabase, OpenDatabases
from spago.embeddings._header import Fields, Header
from spago.embeddings._marker import Marker
from spago.embeddings._store import (
    Attributes,
    DamagedStoreError,
    StoreError,
    StoreLockedError,
    as_batch,
)

_APPLICATION = 0x73706167  # "spag", in the header of the file
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION};
CREATE TABLE IF NOT EXISTS stores (id INTEGER PRIMARY KEY, name BLOB UNIQUE NOT NULL, header BLOB);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, store INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS keys ON records (store, key);
CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY CHECK (id = 0), number INTEGER NOT NULL);
INSERT OR IGNORE INTO batches VALUES (0, 0);
"""
_GET = "SELECT value FROM records WHERE store = ? AND key = ?"
_UPDATE = "UPDATE records SET value = ? WHERE store = ? AND key = ?"
_INSERT = "INSERT OR IGNORE INTO records (value, store, key) VALUES (?, ?, ?)"
_DELETE = "DELETE FROM records WHERE store = ? AND key = ?"
_CACHE_KIBIBYTES = 16 << 10
_CHUNK = 256  # records that an iterator reads at a time


class _Header(Header):
    """What is known about one store."""

    id = 0  # in the database; 0 before the first write


class _Database(OpenDatabase):
    """One open database."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.lock = threading.RLock()
        self.headers: dict[str, _Header] = {}
        self._marker = Marker(path.with_name(path.name + "-sequence"))
        self._held = _hold(path)
        try:
            made = not path.exists()
            self.db = connect(path)
            try:
                self._open(made)
            except BaseException:
                self.db.close()
                raise
        except BaseException as error:
            self._held.close()
            if isinstance(error, sqlite3.Error):
                raise _translate(error, path) from error
            raise

    def _open(self, made: bool) -> None:
        (application,) = self.db.execute("PRAGMA application_id").fetchone()
        (tables,) = self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        acknowledged = self._marker.read()
        if application != _APPLICATION and tables:
            raise DamagedStoreError(f"{self.path}: expected a store of embeddings, got another SQLite database")
        if acknowledged is None and not made and tables:
            raise DamagedStoreError(f"{self._marker.path}: expected this file of a store, found none; restore it")
        if acknowledged and not tables:
            raise DamagedStoreError(f"{self.path}: expected {acknowledged} batches, got an empty database; restore it")
        self._marker.create()
        self.db.executescript(_SCHEMA)
        (self._sequence,) = self.db.execute("SELECT number FROM batches").fetchone()
        if (acknowledged or 0) > self._sequence:
            raise DamagedStoreError(
                f"{self.path}: expected {acknowledged} batches, got {self._sequence}: the last are lost; was the file "
                f"{self.path.name}-wal removed? Remove {self._marker.path.name} to go on with what is left"
            )

    @contextmanager
    def use(self) -> Generator[sqlite3.Connection]:
        """Hold the database; errors of SQLite come out as errors of this package."""
        self.check_process()
        with self.lock:
            try:
                yield self.db
            except sqlite3.Error as error:
                raise _translate(error, self.path) from error

    def header(self, name: str) -> _Header:
        """Return the header of the store of that name, the same object each time."""
        with self.use() as db:
            header = self.headers.get(name)
            if header is None:
                header = _Header(name)
                row = db.execute("SELECT id, header FROM stores WHERE name = ?", (header.name,)).fetchone()
                if row is not None:
                    header.id = row[0]
                    header.take_over(row[1], self.path)
                self.headers[name] = header
            return header

    @contextmanager
    def batch(self, sync: bool) -> Generator[sqlite3.Connection]:
        """Hold the database for one atomic batch."""
        with self.use() as db:
            db.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("UPDATE batches SET number = ?", (self._sequence + 1,))
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            self._sequence += 1
            self._marker.write(self._sequence)

    def close(self) -> None:
        """Close for good."""
        with self.lock:
            self.db.close()
            self._held.close()
            self._marker.close()

    def handles(self) -> list[Any]:
        """Return the connections."""
        return [self.db, self._held]

    def index_path(self, digest: str) -> Path:
        """Return where the index of a store is kept, beside the file."""
        return self.path.with_name(f"{self.path.name}-vectors-{digest}")


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection in which transactions begin where we say so."""
    db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA page_size = 8192")
        db.execute("PRAGMA journal_mode = WAL")  # iterators see what was there when they began
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    except BaseException:
        db.close()
        raise
    return db


def _hold(path: Path) -> sqlite3.Connection:
    """Take the lock that keeps other processes out."""
    lock = path.with_name(path.name + "-lock")
    held = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        held.close()
        if "locked" in str(error):
            raise StoreLockedError(
                f"{path}: expected a store that no other process has open, got one whose lock is held ({lock}); "
                "close it there first"
            ) from error
        raise _translate(error, lock) from error
    return held


def _translate(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the error of this package for one of SQLite."""
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return DamagedStoreError(f"{path}: expected a whole SQLite database, got: {error}; restore it from a copy")
    return StoreError(f"{path}: expected SQLite to read and write, got: {error}")


_databases: OpenDatabases[_Database] = OpenDatabases()


def _acquire(path: Path, create: bool) -> _Database:
    """Return the open database of the file, known by its folder's inode and its name."""
    if not path.exists() and not create:
        raise StoreError(f"{path}: expected a store, found none; is the path right?")
    if path.is_dir():
        raise StoreError(f"{path}: expected a file, got a folder; choose another path")
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.stat()
    return _databases.acquire((folder.st_dev, folder.st_ino, path.name), lambda: _Database(path))


class SQLiteRepository(DiskRepository[_Database]):
    """Named stores in one SQLite database, a file on disk with some others beside it.

    One process at a time can have it open. In that process it may be opened as often as one likes.

    Args:
        path: The file.
        read_only: Refuse writing. SQLite needs a writable folder even so.
        create: Make a new database where there is none; its folders too. Never with read_only.
        sync: Wait after each batch until the disk has it. Without, acknowledged batches survive the death of the
            process, and the last ones may be lost when the machine dies; that they are is noticed at the next opening.

    Raises:
        StoreLockedError: Another process has it open.
        DamagedStoreError: It is damaged, or acknowledged batches are gone.
        StoreError: There is none, and none may be made.

    Examples:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp(), "words.sqlite")
        >>> with SQLiteRepository(file) as repository:
        ...     repository.store("words").put(b"ev", b"house")
        >>> with SQLiteRepository(file, read_only=True) as repository:
        ...     repository.store("words").get(b"ev")
        b'house'
    """

    def __init__(
        self, path: str | os.PathLike[str], *, read_only: bool = False, create: bool = True, sync: bool = False
    ) -> None:
        database = _acquire(Path(os.path.realpath(path)), create and not read_only)
        super().__init__(path, database, _databases, read_only=read_only, sync=sync)

    def store(self, name: str, *, read_only: bool = False) -> SQLiteStore:
        """Return the store of that name; see `Repository.store`."""
        return SQLiteStore(self, name, self._refuses_writing(name, read_only))

    def names(self) -> list[str]:
        """Return the names of the stores that have been written, in the byte order of their UTF-8."""
        with self.open_database().use() as db:
            return [name.decode() for (name,) in db.execute("SELECT name FROM stores ORDER BY name")]

    def _drop(self, name: str) -> None:
        database = self.open_database()
        header = database.header(name)
        with database.lock:
            with database.batch(self.sync) as db:
                db.execute("DELETE FROM records WHERE store = ?", (header.id,))
                db.execute("DELETE FROM stores WHERE id = ?", (header.id,))
            header.id, header.fields = 0, Fields()
            header.version += 1


class SQLiteStore(DiskStore[_Database]):
    """One store of an `SQLiteRepository`; see `Store`."""

    _header: _Header

    def set_attributes(self, attributes: Attributes) -> None:
        """Replace the attributes."""
        with self._batch(attributes):
            pass

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value, or None, for each key."""
        with self._database().use() as db:
            cursor, number = db.cursor(), self._header.id
            rows: list[Any] = [cursor.execute(_GET, (number, key)).fetchone() for key in keys]
        return [None if row is None else row[0] for row in rows]

    def put_many(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Write all pairs in one atomic batch."""
        self._put(items, absent_at=-1)

    def put_new(self, items: Iterable[tuple[bytes, bytes]], version: int) -> None:
        """Do as `put_many` with keys of which none was there at that version: it is not tried to update them."""
        self._put(items, absent_at=version)

    def _put(self, items: Iterable[tuple[bytes, bytes]], absent_at: int) -> None:
        pairs = as_batch(items)
        with self._batch() as batch:
            rows = [(value, self._header.id, key) for key, value in pairs.items()]
            # What is there is updated; a training step has nothing else.
            update = rows and len(self) and absent_at != self._header.version
            there = batch.db.executemany(_UPDATE, rows).rowcount if update else 0
            if there < len(rows):
                batch.added = batch.db.executemany(_INSERT, rows).rowcount

    def delete_many(self, keys: Iterable[bytes]) -> int:
        """Remove all keys in one atomic batch and return how many were there."""
        with self._batch() as batch:
            rows = [(self._header.id, key) for key in keys]
            batch.added = -batch.db.executemany(_DELETE, rows).rowcount if rows else 0
        return -batch.added

    def clear(self) -> None:
        """Remove all records; the attributes stay."""
        with self._batch() as batch:
            batch.db.execute("DELETE FROM records WHERE store = ?", (self._header.id,))
            batch.added = -len(self)

    def keys(self, start: bytes = b"") -> Iterator[bytes]:
        """Iterate over the keys ≥ start in byte order."""
        return (row[0] for row in self._iterate("key", start))

    def items(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys ≥ start and their values in byte order."""
        return self._iterate("key, value", start)

    def _iterate(self, columns: str, start: bytes) -> Iterator[Any]:
        """Read on a connection of its own, whose transaction keeps what was there at the first step."""
        database = self._database()
        database.check_process()
        with closing(connect(database.path)) as db:
            db.execute("BEGIN")
            query = f"SELECT {columns} FROM records WHERE store = ? AND key >= ? ORDER BY key"
            cursor = db.execute(query, (self._header.id, start))
            while True:
                self._database().check_process()
                try:
                    rows = cursor.fetchmany(_CHUNK)
                except sqlite3.Error as error:
                    raise _translate(error, database.path) from error
                if not rows:
                    return
                for row in rows:
                    self._database()
                    yield row

    @contextmanager
    def _batch(self, attributes: Attributes | None = None) -> Generator[_Batch]:
        """Hold the database for one batch, which ends with the store's new header."""
        self._check_writable()
        database, header = self._database(), self._header
        with database.lock:
            before = header.id
            try:
                with database.batch(self._repository.sync) as db:
                    if not header.id:
                        cursor = db.execute("INSERT INTO stores (name) VALUES (?)", (header.name,))
                        header.id = int(cursor.lastrowid or 0)
                    batch = _Batch(db)
                    yield batch
                    fields = header.after(batch.added, attributes)
                    db.execute("UPDATE stores SET header = ? WHERE id = ?", (fields.pack(), header.id))
            except BaseException:
                header.id = before
                raise
            header.fields = fields
            header.version += 1


@dataclass
class _Batch:
    """A batch that is being written.

    Attributes:
        db: Where to.
        added: How many records more there are after it.
    """

    db: sqlite3.Connection
    added: int = 0
