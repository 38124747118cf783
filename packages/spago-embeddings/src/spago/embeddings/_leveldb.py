"""Stores on disk, in LevelDB.

What LevelDB leaves open is closed here (each line was seen to go wrong):

- With default settings a flipped bit in a table gives wrong values. Every read verifies checksums, and a database is
  opened with paranoid checks.
- A log whose end is missing opens without a word. A marker file holds the number of the last acknowledged batch; a
  database that is behind it does not open.
- A second open in one process fails, and drops the lock that keeps other processes out. A process opens a database
  once and shares it, whatever the paths that lead to it.
- A forked child can write into its parent's log. A store works in the process that opened it alone.
- A write that failed half-way leaves a torn log, and LevelDB would go on behind the tear. The database is opened
  again before the next write.
- Opening what does not exist leaves a folder behind. Existence is tested first.

Keys of the database: `d` the database itself, `h` + name the header of a store, `r` + name + NUL + key its records.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from spago.embeddings._disk import OpenDatabase
from spago.embeddings._header import FORMAT, Fields, Header, pack, unpack
from spago.embeddings._marker import Marker
from spago.embeddings._record import damaged_record
from spago.embeddings._store import (
    Attributes,
    DamagedStoreError,
    StoreError,
    StoreLockedError,
)
from spago.mat.addons import require

if sys.platform != "win32":
    import fcntl

DATABASE = b"d"
MARKER = "SEQUENCE"
_KNOWN_KEYS = 50_000
_SETTINGS: dict[str, Any] = {
    "paranoid_checks": True,
    "write_buffer_size": 64 << 20,  # of random words: with half of it, importing takes a third more processor time
    "max_file_size": 32 << 20,
    "block_size": 1024,  # a read verifies a whole block; of about one record, it reads a quarter faster than of 4 KB
    "bloom_filter_bits": 10,  # a word that is not there costs no read
    "compression": None,  # the bits of float vectors hardly shrink; without it, writing is up to 1.4 times as fast
}


def _plyvel() -> Any:
    return require("plyvel", "plyvel_next", install="spago-embeddings", purpose="LevelDBRepository")


class LevelDBHeader(Header):
    """What is known about one store.

    To count records, a write has to know which of its keys are new. Keys that were read or written lately are known to
    be there, which spares a training step to read each word a second time.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.key = b"h" + self.name
        self.prefix = b"r" + self.name + b"\0"
        self._known: set[bytes] = set()
        self._known_lock = threading.Lock()

    def read(self, db: Any, path: Path) -> None:
        """Take over what the database says."""
        self.take_over(db.get(self.key, verify_checksums=True), path)
        with self._known_lock:
            self._known.clear()
            self.version += 1  # what a cache holds may be of before

    def remember(self, keys: Iterable[bytes], version: int) -> None:
        """Note keys that were seen to be there, unless something was written since that version."""
        with self._known_lock:
            if version == self.version:
                if len(self._known) > _KNOWN_KEYS:
                    self._known.clear()
                self._known.update(keys)

    def unknown(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return the keys of which it is not known whether they are there."""
        with self._known_lock:
            return [key for key in keys if key not in self._known]

    def wrote(self, puts: Iterable[bytes], deletes: Iterable[bytes], fields: Fields) -> None:
        """Note what was written."""
        with self._known_lock:
            self.fields = fields
            self.version += 1
            self._known.difference_update(deletes)
        self.remember(puts, self.version)


class Database(OpenDatabase):
    """One open database.

    As a context manager it hands out the database for reading: the database is not closed inside the block, and
    errors of LevelDB come out as errors of this package.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.sequence = 0
        self.headers: dict[str, LevelDBHeader] = {}
        self.marker = Marker(path / MARKER)
        self._db: Any = None
        self._closed = False
        self._failed = False
        self._writing = threading.RLock()
        self._readers = 0
        self._changed = threading.Condition()
        self._open(create=not exists(path))

    def _open(self, create: bool) -> None:
        """Open LevelDB and compare it with the marker."""
        db = open_leveldb(self.path, create)
        try:
            self._take_over(db)
        except BaseException as error:
            db.close()
            if isinstance(error, _plyvel().Error):
                raise _translate(error, self.path) from error
            raise
        self._db, self._failed = db, False

    def _take_over(self, db: Any) -> None:
        acknowledged = self.marker.read()
        content = db.get(DATABASE, verify_checksums=True)
        if content is None:
            with db.iterator(include_value=False) as iterator:
                foreign = next(iterator, None) is not None
            if foreign:
                raise DamagedStoreError(f"{self.path}: expected a store of embeddings, got another LevelDB database")
            sequence = 0
        else:
            sequence = unpack(content, self.path)["sequence"]
        if acknowledged is None:
            raise DamagedStoreError(f"{self.marker.path}: expected this file of a store, found none; repair the store")
        if acknowledged > sequence:
            raise DamagedStoreError(
                f"{self.path}: expected {acknowledged} batches, got {sequence}: the last "
                f"{acknowledged - sequence} are lost; repair the store to go on with what is left"
            )
        self.sequence = sequence
        for header in self.headers.values():
            header.read(db, self.path)

    def __enter__(self) -> Any:
        self.check_process()
        with self._changed:
            if self._db is None:
                self._open_again()
            self._readers += 1
            return self._db

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._readers -= 1
            if not self._readers:
                self._changed.notify_all()
        if error is not None and isinstance(error, _plyvel().Error):
            raise _translate(error, self.path) from error

    def _open_again(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path}: expected an open store, got a closed one; open the repository again")
        self._open(create=False)

    def header(self, name: str) -> LevelDBHeader:
        """Return the header of the store of that name, the same object each time."""
        with self as db, self._changed:
            header = self.headers.get(name)
            if header is None:
                header = LevelDBHeader(name)
                header.read(db, self.path)
                self.headers[name] = header
            return header

    def write(
        self,
        header: LevelDBHeader,
        puts: dict[bytes, bytes],
        deletes: Iterable[bytes] = (),
        attributes: Attributes | None = None,
        *,
        sync: bool,
        absent_at: int = -1,
    ) -> int:
        """Write one atomic batch with the store's new header, and return how many records were removed.

        The keys are those of the store; its prefix is added here. None of those to put was there at the version
        absent_at; at another version it is looked up which are.
        """
        with self._renewed() as db:
            prefix, deletes = header.prefix, set(deletes)
            new = absent_at == header.version
            added = len(puts) if new else _missing(db, prefix, header.unknown(puts), self.path)
            removed = len(deletes) - _missing(db, prefix, list(deletes), self.path) if deletes else 0
            fields = header.after(added - removed, attributes)
            batch = db.write_batch(sync=sync)
            for key, value in puts.items():
                batch.put(prefix + key, value)
            for key in deletes:
                batch.delete(prefix + key)
            batch.put(header.key, fields.pack())
            self._commit(batch)
            header.wrote(puts, deletes, fields)
        return removed

    def forget(self, header: LevelDBHeader, *, sync: bool) -> None:
        """Remove the header of a store that has no records."""
        with self._renewed() as db:
            batch = db.write_batch(sync=sync)
            batch.delete(header.key)
            self._commit(batch)
            header.wrote((), (), Fields())

    @contextmanager
    def _renewed(self) -> Generator[Any]:
        """Hold the database for one writer, opened anew after a write that failed."""
        self.check_process()
        with self._writing:
            if self._failed:
                self._close_database()
            with self as db:
                yield db

    def _commit(self, batch: Any) -> None:
        batch.put(DATABASE, pack({"format": FORMAT, "sequence": self.sequence + 1}))
        try:
            batch.write()
        except BaseException:
            self._failed = True
            raise
        self.sequence += 1
        self.marker.write(self.sequence)

    def _close_database(self) -> None:
        """Close LevelDB when the last reader is done; the next one to need it opens it again."""
        with self._changed:
            self._changed.wait_for(lambda: not self._readers)
            if self._db is not None:
                self._db.close()
                self._db = None

    def close(self) -> None:
        """Close for good."""
        with self._writing:
            self._closed = True
            self._close_database()
            self.marker.close()

    def handles(self) -> list[Any]:
        """Return LevelDB's own object, if any."""
        return [] if self._db is None else [self._db]

    def index_path(self, digest: str) -> Path:
        """Return where the index of a store is kept, in the folder."""
        return self.path / f"VECTORS-{digest}"


def _missing(db: Any, prefix: bytes, keys: Sequence[bytes], path: Path) -> int:
    """Return how many of the keys are not there."""
    return get_many(db, prefix, keys, path).count(None)


def get_many(db: Any, prefix: bytes, keys: Sequence[bytes], path: Path) -> list[bytes | None]:
    """Return the records of the keys; DamagedRecordError names the one whose block is damaged."""
    read = db.get
    try:
        return [read(prefix + key, None, verify_checksums=True) for key in keys]
    except _plyvel().CorruptionError:
        for key in keys:  # the slow way, to find the one to name
            get(db, prefix, key, path)
        raise


def get(db: Any, prefix: bytes, key: bytes, path: Path) -> bytes | None:
    """Return the record of the key; DamagedRecordError names it when its block is damaged."""
    try:
        record: bytes | None = db.get(prefix + key, None, verify_checksums=True)
        return record
    except _plyvel().CorruptionError as error:
        raise damaged_record(str(path), key, f"a block whose checksum is right, got: {said(error)}") from error


def _translate(error: BaseException, path: Path) -> StoreError:
    """Return the error of this package for one of LevelDB."""
    if isinstance(error, _plyvel().CorruptionError):
        return DamagedStoreError(f"{path}: expected whole files, got: {said(error)}; repair the store")
    if "lock " in str(error):
        return _locked(path)
    return StoreError(f"{path}: expected LevelDB to read and write, got: {said(error)}")


def said(error: BaseException) -> str:
    """Return what LevelDB said; the binding passes its words on as bytes."""
    words = error.args[0] if error.args else ""
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)


def _locked(path: Path) -> StoreLockedError:
    return StoreLockedError(
        f"{path}: expected a store that no other process has open, got one whose lock is held ({path / 'LOCK'}); "
        "close it there first"
    )


def exists(path: Path) -> bool:
    """Whether there is a database in the folder."""
    return (path / "CURRENT").is_file()


def open_leveldb(path: Path, create: bool) -> Any:
    """Open LevelDB at the path."""
    plyvel = _plyvel()
    try:
        return plyvel.DB(str(path), create_if_missing=create, **_SETTINGS)
    except plyvel.Error as error:
        raise _translate(error, path) from error


def rebuild(path: Path) -> None:
    """Let LevelDB make a new database of what it can read of the files; it takes no lock by itself."""
    plyvel = _plyvel()
    with (path / "LOCK").open("a") as file:
        if sys.platform != "win32":
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise _locked(path) from error
        try:
            plyvel.repair_db(str(path), paranoid_checks=True)
        except plyvel.Error as error:
            raise _translate(error, path) from error
