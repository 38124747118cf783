"""Making a damaged store usable again, with a report of what that changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from spago.embeddings._header import FORMAT, Header, pack, unpack
from spago.embeddings._leveldb import DATABASE, MARKER, open_leveldb, rebuild
from spago.embeddings._leveldb_store import is_open
from spago.embeddings._marker import Marker
from spago.embeddings._record import FORMAT as RECORD_FORMAT
from spago.embeddings._record import RESIDUE, decode
from spago.embeddings._store import DamagedStoreError, StoreError


@dataclass
class StoreRepair:
    """What was found in one store.

    Attributes:
        expected: How many records its header promised; None when the header is damaged.
        found: How many whole records are there now.
        removed: Keys of damaged records, which were removed.
        attributes: Those of the header; when it is damaged, what the records tell.
    """

    expected: int | None = None
    found: int = 0
    removed: list[bytes] = field(default_factory=list[bytes])
    attributes: dict[str, int | str] = field(default_factory=dict[str, int | str])


@dataclass
class RepairReport:
    """What a repair has changed.

    Attributes:
        stores: By name.
        lost_batches: How many of the last acknowledged batches are gone.
        set_aside: Files of the database, moved to its folder `lost` after what they hold was taken over.
        garbage: Keys of the database that belong to no store, which were removed.
    """

    stores: dict[str, StoreRepair]
    lost_batches: int
    set_aside: list[str]
    garbage: list[bytes]


def repair(path: str | os.PathLike[str]) -> RepairReport:
    """Make the best of the files of a LevelDB store, so that it opens again.

    LevelDB puts together what it can read; older values may come back where newer ones are lost, and so may removed
    words. Records of embeddings whose checksum is wrong are removed, and the counts are set to what is there. Copy the
    folder first: what repair drops is gone.

    Raises:
        StoreError: There is no store, or this process has it open.
        StoreLockedError: Another process has it open.
    """
    folder = Path(os.path.realpath(path))
    marker = Marker(folder / MARKER)
    if not folder.is_dir() or not (marker.path.exists() or any(folder.glob("*.ldb")) or any(folder.glob("*.log"))):
        raise StoreError(f"{folder}: expected a store to repair, found none")
    if is_open(folder):
        raise StoreError(f"{folder}: expected a closed store, got one that this process has open; close it first")
    before = _lost(folder)
    rebuild(folder)
    db = open_leveldb(folder, create=False)
    try:
        sequence = _fields(db.get(DATABASE, verify_checksums=True), folder).get("sequence", 0)
        acknowledged = _acknowledged(marker)
        stores, garbage = _survey(db, folder)
        _write(db, stores, garbage, max(sequence, acknowledged) + 1)
    finally:
        db.close()
    marker.path.unlink(missing_ok=True)
    marker.create()
    marker.write(max(sequence, acknowledged) + 1)
    marker.close()
    return RepairReport(stores, max(acknowledged - sequence, 0), sorted(_lost(folder) - before), garbage)


def _lost(folder: Path) -> set[str]:
    return {file.name for file in (folder / "lost").glob("*")}


def _acknowledged(marker: Marker) -> int:
    try:
        return marker.read() or 0
    except DamagedStoreError:
        return 0


def _fields(content: bytes | None, folder: Path) -> dict[str, Any]:
    """Return what a header holds; nothing when it is damaged."""
    try:
        return {} if content is None else unpack(content, folder)
    except DamagedStoreError:
        return {}


def _survey(db: Any, folder: Path) -> tuple[dict[str, StoreRepair], list[bytes]]:
    """Read the whole database: LevelDB takes over what is left of a log without looking at its checksums."""
    stores: dict[str, StoreRepair] = {}
    garbage: list[bytes] = []
    damaged: dict[str, list[bytes]] = {}
    with db.iterator(verify_checksums=True) as pairs:
        for key, content in pairs:  # headers come before records
            name, word = _split(key)
            if name is None:
                garbage += [key] if key != DATABASE else []
            elif word is None:
                fields = _fields(content, folder)
                stores[name] = StoreRepair(fields.get("count"), attributes=fields.get("attributes", {}))
                damaged[name] = []
            elif name not in stores:
                garbage.append(key)
            elif crc32(content, crc32(word)) == RESIDUE:
                stores[name].found += 1
                if not stores[name].attributes:
                    layout = decode([word], [content])[0].layout
                    stores[name].attributes = {"format": RECORD_FORMAT, "size": layout.size, "dtype": layout.dtype.name}
            else:
                damaged[name].append(word)
    for name, store in stores.items():
        # Only a model's records carry a checksum; other values are whatever their owner put there.
        if "format" in store.attributes:
            store.removed = damaged[name]
        else:
            store.found += len(damaged[name])
    return stores, garbage


def _split(key: bytes) -> tuple[str | None, bytes | None]:
    """Return the name of the store and, for a record, the key in it, of a key of the database."""
    name, nul, word = key[1:].partition(b"\0")
    try:
        if key[:1] == b"h" and not nul:
            return name.decode(), None
        if key[:1] == b"r" and nul:
            return name.decode(), word
    except UnicodeDecodeError:
        pass
    return None, None


def _write(db: Any, stores: dict[str, StoreRepair], garbage: list[bytes], sequence: int) -> None:
    """Remove what is damaged, and set counts and sequence right, in one batch."""
    with db.write_batch(sync=True) as batch:
        for key in garbage:
            batch.delete(key)
        for name, store in stores.items():
            for word in store.removed:
                batch.delete(b"r" + name.encode() + b"\0" + word)
            header = Header(name)
            batch.put(b"h" + header.name, header.after(store.found, store.attributes).pack())
        batch.put(DATABASE, pack({"format": FORMAT, "sequence": sequence}))
