"""Making a damaged store usable again, with a report of what that changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from spago.embeddings._disk import is_open
from spago.embeddings._leveldb import DATABASE, FORMAT, MARKER, open_leveldb, pack, rebuild, unpack
from spago.embeddings._marker import Marker
from spago.embeddings._record import RESIDUE
from spago.embeddings._store import DamagedStoreError, StoreError


@dataclass
class StoreRepair:
    """What was found in one store.

    Attributes:
        expected: How many records its header promised; None when the header is gone.
        found: How many whole records are there now.
        removed: Keys of damaged records, which were removed.
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
    """

    stores: dict[str, StoreRepair]
    lost_batches: int
    set_aside: list[str]


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
        content = db.get(DATABASE, verify_checksums=True)
        sequence = 0 if content is None else unpack(content, folder)["sequence"]
        acknowledged = _acknowledged(marker)
        stores = _survey(db, folder)
        _write(db, stores, max(sequence, acknowledged) + 1)
    finally:
        db.close()
    marker.path.unlink(missing_ok=True)
    marker.create()
    marker.write(max(sequence, acknowledged) + 1)
    marker.close()
    return RepairReport(stores, max(acknowledged - sequence, 0), sorted(_lost(folder) - before))


def _lost(folder: Path) -> set[str]:
    return {file.name for file in (folder / "lost").glob("*")}


def _acknowledged(marker: Marker) -> int:
    try:
        return marker.read() or 0
    except DamagedStoreError:
        return 0


def _survey(db: Any, folder: Path) -> dict[str, StoreRepair]:
    """Read all headers and records."""
    stores: dict[str, StoreRepair] = {}
    with db.iterator(prefix=b"h", verify_checksums=True) as headers:
        for key, content in headers:
            fields = unpack(content, folder)
            stores[key[1:].decode()] = StoreRepair(fields["count"], attributes=fields["attributes"])
    with db.iterator(prefix=b"r", verify_checksums=True) as records:
        for full_key, record in records:
            name, _, key = full_key[1:].partition(b"\0")
            store = stores.setdefault(name.decode(), StoreRepair())
            # Only a model's records carry a checksum; other values are whatever their owner put there.
            if "format" in store.attributes and crc32(record, crc32(key)) != RESIDUE:
                store.removed.append(key)
            else:
                store.found += 1
    return stores


def _write(db: Any, stores: dict[str, StoreRepair], sequence: int) -> None:
    """Remove damaged records and set counts and sequence right, in one batch."""
    with db.write_batch(sync=True) as batch:
        for name, store in stores.items():
            for key in store.removed:
                batch.delete(b"r" + name.encode() + b"\0" + key)
            fields = {"format": FORMAT, "count": store.found, "attributes": store.attributes}
            batch.put(b"h" + name.encode(), pack(fields))
        batch.put(DATABASE, pack({"format": FORMAT, "sequence": sequence}))
