"""What stores on disk have in common: a process opens a database once, shares it, and is alone with it."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Hashable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from spago.embeddings._base_store import BaseStore
from spago.embeddings._header import Header
from spago.embeddings._store import StoreError, missing_store_error, read_only_error


class OpenDatabase:
    """A database that is open, shared by all repositories of this process that stand for it.

    Attributes:
        path: Its folder or file.
        users: How many repositories have it open.
        pid: The process that opened it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.pid = os.getpid()

    def check_process(self) -> None:
        """Raise StoreError in a process that was forked from the one that opened the database."""
        if os.getpid() != self.pid:
            raise StoreError(
                f"{self.path}: expected to be used in process {self.pid}, which opened it, got process {os.getpid()}; "
                "open stores after the fork, in one process"
            )

    def header(self, name: str) -> Header:
        """Return the header of the store of that name, the same object each time."""
        raise NotImplementedError

    def index_path(self, digest: str) -> Path:
        """Return where the index of a store is kept."""
        raise NotImplementedError

    def close(self) -> None:
        """Close for good."""
        raise NotImplementedError

    def handles(self) -> list[Any]:
        """Return what closes files when it is forgotten."""
        raise NotImplementedError


D = TypeVar("D", bound=OpenDatabase)


class OpenDatabases(Generic[D]):
    """The databases of one kind that this process has open, by what tells one from another."""

    def __init__(self) -> None:
        self._databases: dict[Hashable, D] = {}
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._abandon)

    def acquire(self, identity: Hashable, open_database: Callable[[], D]) -> D:
        """Return the database, opened where it is not open."""
        with self._lock:
            database = self._databases.get(identity)
            if database is None:
                database = self._databases[identity] = open_database()
            database.users += 1
            return database

    def release(self, database: D) -> None:
        """Close the database when its last user goes; in a forked child nothing happens."""
        if os.getpid() != database.pid:
            return
        with self._lock:
            database.users -= 1
            if database.users == 0:
                for identity in [key for key, value in self._databases.items() if value is database]:
                    del self._databases[identity]
                database.close()

    def __contains__(self, identity: Hashable) -> bool:
        with self._lock:
            return identity in self._databases

    def _abandon(self) -> None:
        """Keep a forked child from closing its parent's databases, whose threads it does not have."""
        self._lock = threading.Lock()  # the parent's may be held by such a thread
        for database in self._databases.values():
            for handle in database.handles():
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))
        self._databases.clear()


class DiskRepository(Generic[D]):
    """Named stores in one database on disk.

    Attributes:
        path: Where it is.
        sync: Whether a batch waits until the disk has it.
    """

    def __init__(
        self, path: str | os.PathLike[str], database: D, databases: OpenDatabases[D], *, read_only: bool, sync: bool
    ) -> None:
        self.path = Path(path)
        self.sync = sync
        self._read_only = read_only
        self._database = database
        # Runs once: at close, when the repository is forgotten, or at the end of the process.
        self._finalize = weakref.finalize(self, databases.release, database)

    @property
    def read_only(self) -> bool:
        """Whether writing is refused in all stores."""
        return self._read_only

    def close(self) -> None:
        """Close the repository and its stores; the database when no other repository of this process has it open."""
        self._finalize()

    def open_database(self) -> D:
        """Return the database; raise StoreError when the repository is closed."""
        if not self._finalize.alive:
            raise StoreError(f"{self.path}: expected an open repository, got a closed one; open it again")
        return self._database

    def drop(self, name: str) -> None:
        """Remove a store with its attributes; nothing happens when there is none."""
        if self._read_only:
            raise read_only_error(name)
        database = self.open_database()
        if database.header(name).written:
            self._drop(name)
            index_path(database, name).unlink(missing_ok=True)

    def _drop(self, name: str) -> None:
        raise NotImplementedError

    def _refuses_writing(self, name: str, read_only: bool) -> bool:
        """Return whether the store of that name is for reading only; StoreError when it is, and is not there."""
        read_only = read_only or self._read_only
        if read_only and not self.open_database().header(name).written:
            raise missing_store_error(name, self.path)
        return read_only

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


class DiskStore(BaseStore, Generic[D]):
    """One store of a repository on disk."""

    def __init__(self, repository: DiskRepository[D], name: str, read_only: bool) -> None:
        super().__init__(name, read_only)
        self._repository = repository
        self._header = repository.open_database().header(name)

    @property
    def version(self) -> int:
        """A number that rises by one with every write."""
        return self._header.version

    @property
    def revision(self) -> str:
        """A text that no other content of any store has: it changes with every write, and not at the next opening."""
        return self._header.fields.revision

    @property
    def attributes(self) -> dict[str, int | str]:
        """A copy of what was noted with `set_attributes`."""
        self._database().check_process()
        return dict(self._header.fields.attributes)

    @property
    def index_path(self) -> Path:
        """Where `most_similar` keeps a copy of the vectors; it may be removed at any time."""
        return index_path(self._database(), self.name)

    def __len__(self) -> int:
        self._database().check_process()
        return self._header.fields.count

    def _database(self) -> D:
        return self._repository.open_database()


def index_path(database: OpenDatabase, name: str) -> Path:
    """Return where the index of the store of that name is kept: names may be longer than those of files."""
    return database.index_path(sha256(name.encode()).hexdigest()[:16])
