"""A small file beside the database that says how many batches have been acknowledged."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from spago.embeddings._store import DamagedStoreError

_MAGIC = b"spagoseq"
_FIELDS = struct.Struct("<8sQ")
_CRC = struct.Struct("<I")
_BYTES = _FIELDS.size + _CRC.size


class Marker:
    """The number of the last acknowledged batch, in a file that is overwritten in place.

    A database cannot tell a log whose end was cut off from one whose writer died: it opens, without the last batches
    and without a word. Each batch therefore carries a number, and when the batch is written the number goes here. A
    database that is behind its marker has lost acknowledged batches; one that is ahead had its writer killed between
    the two writes, and is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def create(self) -> None:
        """Write the number 0; an existing file stays as it is."""
        with suppress(FileExistsError), self.path.open("xb") as file:
            file.write(_pack(0))
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> int | None:
        """Return the number, or None when there is no file.

        Raises:
            DamagedStoreError: When the file is damaged.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if not content:  # cut short while it was created
            return 0
        if len(content) != _BYTES or content[-_CRC.size :] != _CRC.pack(crc32(content[: -_CRC.size])):
            raise DamagedStoreError(f"{self.path}: expected {_BYTES} bytes with a right checksum; repair the store")
        number: int
        magic, number = _FIELDS.unpack_from(content)
        if magic != _MAGIC:
            raise DamagedStoreError(f"{self.path}: expected a file that begins with {_MAGIC!r}, got {magic!r}")
        return number

    def write(self, number: int) -> None:
        """Overwrite the number.

        The batch is safe already: when the file cannot be written, the marker only falls behind.
        """
        with suppress(OSError):
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, _pack(number))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _pack(number: int) -> bytes:
    fields = _FIELDS.pack(_MAGIC, number)
    return fields + _CRC.pack(crc32(fields))
